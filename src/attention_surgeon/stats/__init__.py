"""Numbers about attention: from weights, or streamed from query and key without the n x n matrix; and pooled maps."""

from attention_surgeon.stats.map_file import load_map
from attention_surgeon.stats.maps import PooledMap
from attention_surgeon.stats.pool import pool_weights

__all__ = [
    "PooledMap",
    "load_map",
    "pool_weights",
]
