"""Numbers about attention: from weights, or streamed from query and key without the n x n matrix; and pooled maps."""

from attention_surgeon.stats.analyze import analyze_attention_patterns
from attention_surgeon.stats.compare import PatternDifference, compare_patterns
from attention_surgeon.stats.definitions import COMPARISONS, DEFINITIONS, PER_HEAD, Definition, definition_of
from attention_surgeon.stats.head_statistics import HeadStatistics, finish, head_statistics
from attention_surgeon.stats.maps import PooledMap, load_map, pool_weights
from attention_surgeon.stats.patterns import MIXED, PATTERNS, HeadPatterns, Pattern, name_patterns, patterns_from
from attention_surgeon.stats.row_sums import RowSums, StatisticsOptions, Strip, add_strip
from attention_surgeon.stats.scan.pairs import scan_similarity, scan_top_keys
from attention_surgeon.stats.scan.record import AttentionScan, load_scans, save_scans
from attention_surgeon.stats.scan.scan import scan_attention, scan_map
from attention_surgeon.stats.top_keys import TopKeys, top_keys

__all__ = [
    "COMPARISONS",
    "DEFINITIONS",
    "MIXED",
    "PATTERNS",
    "PER_HEAD",
    "AttentionScan",
    "Definition",
    "HeadPatterns",
    "HeadStatistics",
    "Pattern",
    "PatternDifference",
    "PooledMap",
    "RowSums",
    "StatisticsOptions",
    "Strip",
    "TopKeys",
    "add_strip",
    "analyze_attention_patterns",
    "compare_patterns",
    "definition_of",
    "finish",
    "head_statistics",
    "load_map",
    "load_scans",
    "name_patterns",
    "patterns_from",
    "pool_weights",
    "save_scans",
    "scan_attention",
    "scan_map",
    "scan_similarity",
    "scan_top_keys",
    "top_keys",
]
