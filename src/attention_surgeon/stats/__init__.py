"""Numbers from attention weights, for each head; what each means stands in `definitions.py`, as data."""

from attention_surgeon.stats.definitions import DEFINITIONS, PER_HEAD, Definition, definition_of
from attention_surgeon.stats.head_statistics import HeadStatistics, finish, head_statistics
from attention_surgeon.stats.row_sums import RowSums, StatisticsOptions, Strip, add_strip

__all__ = [
    "DEFINITIONS",
    "PER_HEAD",
    "Definition",
    "HeadStatistics",
    "RowSums",
    "StatisticsOptions",
    "Strip",
    "add_strip",
    "definition_of",
    "finish",
    "head_statistics",
]
