"""Build attention by hand, break it on purpose, and see exactly what happens."""

__version__ = "0.1.0"
