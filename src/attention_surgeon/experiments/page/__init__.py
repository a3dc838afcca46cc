"""The report as one HTML file that needs nothing else: no network, no script, no font of its own."""

from attention_surgeon.experiments.page.page import Commands, build_page

__all__ = ["Commands", "build_page"]
