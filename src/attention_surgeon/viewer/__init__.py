"""Attention as one self-contained HTML page: maps, heads, lines, steps, numbers, before and after."""

from attention_surgeon.viewer.page import Page
from attention_surgeon.viewer.view import compare, view

__all__ = ["Page", "compare", "view"]
