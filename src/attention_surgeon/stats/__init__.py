"""Numbers about attention: from weights, or streamed from query and key without the n x n matrix; and pooled maps."""

from attention_surgeon.stats.definitions import DEFINITIONS, PER_HEAD, Definition, definition_of
from attention_surgeon.stats.head_statistics import HeadStatistics, finish, head_statistics
from attention_surgeon.stats.map_file import load_map
from attention_surgeon.stats.maps import PooledMap
from attention_surgeon.stats.pool import pool_weights
from attention_surgeon.stats.row_sums import RowSums, StatisticsOptions, Strip, add_strip

__all__ = [
    "DEFINITIONS",
    "PER_HEAD",
    "Definition",
    "HeadStatistics",
    "PooledMap",
    "RowSums",
    "StatisticsOptions",
    "Strip",
    "add_strip",
    "definition_of",
    "finish",
    "head_statistics",
    "load_map",
    "pool_weights",
]
