"""Wrong calls to the scan and the maps, and the whole message each gives; the list of the room takes them up."""

from tests.bad_call import BadCall

SCAN_BAD_CALLS = [
    BadCall(
        "stats.scan_attention([[1.0]], torch.ones(5, 3))",
        "ArgumentTypeError",
        "scan_attention: Q is a list, expected a torch.Tensor; arrays and lists become one with torch.as_tensor(...).",
    ),
    BadCall(
        "stats.scan_attention(torch.ones(5, 3), torch.ones(7, 4))",
        "ShapeError",
        "scan_attention: Q has shape (5, 3) and K (7, 4): the last axis, d_k, must be the same, not 3 and 4.",
    ),
    BadCall(
        "stats.scan_attention(torch.ones(5, 3), torch.ones(7, 3).double())",
        "DTypeError",
        "scan_attention: Q is torch.float32 and K is torch.float64; they must agree, use K.to(Q.dtype).",
    ),
    BadCall(
        "stats.scan_attention(torch.ones(6, 5, 3), torch.ones(4, 7, 3))",
        "ShapeError",
        "scan_attention: Q has shape (6, 5, 3), K (4, 7, 3) and V (4, 7, 3): the axes before the last two (batch, heads) must be the same or broadcast; the heads of key and value may be fewer, if they divide those of query.",
    ),
    BadCall(
        "stats.scan_attention(torch.ones(2, 6, 5, 3), torch.ones(3, 6, 7, 3))",
        "ShapeError",
        "scan_attention: Q has shape (2, 6, 5, 3), K (3, 1, 7, 3) and V (3, 1, 7, 3): the axes before the last two (batch, heads) must be the same or broadcast; the heads of key and value may be fewer, if they divide those of query.",
    ),
    BadCall(
        "stats.scan_attention(torch.ones(2, 5, 3), torch.ones(7, 3))",
        "ShapeError",
        "scan_attention: query has shape (2, 5, 3) and key (7, 3); the axes before the last two must be the same, or 1, or for heads a divisor of the query's.",
    ),
    BadCall(
        "stats.scan_attention(torch.ones(0, 3), torch.ones(7, 3))",
        "ShapeError",
        "scan_attention: query has shape (0, 3) and key (7, 3); none of the sizes may be 0.",
    ),
    BadCall(
        "stats.scan_attention(torch.ones(5, 3), torch.ones(7, 3), torch.ones(8, 2))",
        "ShapeError",
        "scan_attention: K has shape (7, 3) and V (8, 2): each key needs one value, so the next-to-last axis, n_k, must be the same, not 7 and 8.",
    ),
    BadCall(
        "stats.scan_attention(torch.ones(5, 3), torch.ones(7, 3), mask=[1])",
        "ArgumentTypeError",
        "scan_attention: mask is a list, expected a torch.Tensor, a mask of attention_surgeon.masks or None; wrap arrays in torch.as_tensor(...).",
    ),
    BadCall(
        "stats.scan_attention(torch.ones(5, 3), torch.ones(7, 3), mask=torch.ones(4, 7).bool())",
        "ShapeError",
        "scan_attention: mask has shape (4, 7) but the scores have shape (5, 7) (*batch, n_q, n_k); the mask must broadcast to them.",
    ),
    BadCall(
        "stats.scan_attention(torch.ones(5, 3), torch.ones(7, 3), mask=torch.eye(5, 7))",
        "MaskError",
        "scan_attention: the floating mask holds only 0s and 1s, so its meaning is in doubt (a floating mask is added to the scores). If 1 means may attend, pass mask.bool(); if 1 means hidden, pass mask == 0.",
    ),
    BadCall(
        "stats.scan_attention(torch.ones(5, 3), torch.ones(7, 3), scale='no')",
        "ArgumentTypeError",
        "scan_attention: scale is a str, expected a number, or None for 1/√d.",
    ),
    BadCall(
        "stats.scan_attention(torch.ones(5, 3), torch.ones(7, 3), scale=float('inf'))",
        "OptionError",
        "scan_attention: scale is inf, expected a finite number, or None for 1/√d.",
    ),
    BadCall(
        "stats.scan_attention(torch.ones(5, 3), torch.ones(7, 3), window=-1)",
        "OptionError",
        "scan_attention: window is -1, expected a whole number of at least 0.",
    ),
    BadCall(
        "stats.scan_attention(torch.ones(5, 3), torch.ones(7, 3), resolution=0)",
        "OptionError",
        "scan_attention: resolution is 0, expected a whole number of at least 1.",
    ),
    BadCall(
        "stats.scan_attention(torch.ones(5, 3), torch.ones(7, 3), tokens=['a'])",
        "ShapeError",
        "scan_attention: 1 tokens for 7 keys; each key needs one.",
    ),
    BadCall(
        "stats.scan_attention(torch.ones(5, 3), torch.ones(7, 3), at_most='30s')",
        "ArgumentTypeError",
        "scan_attention: at_most is a str, expected seconds, or None.",
    ),
    BadCall(
        "stats.scan_attention(torch.ones(5, 3), torch.ones(7, 3), at_most=0)",
        "OptionError",
        "scan_attention: at_most is 0, expected seconds above 0.",
    ),
    BadCall(
        "stats.scan_attention(torch.ones(5, 3), torch.ones(7, 3), at_most=1, num_rows=5)",
        "OptionError",
        "scan_attention: at_most and num_rows are both given; pass one of them.",
    ),
    BadCall(
        "stats.scan_attention(torch.ones(5, 3), torch.ones(7, 3), num_rows=0)",
        "OptionError",
        "scan_attention: num_rows is 0, expected a whole number of at least 1.",
    ),
    BadCall(
        "stats.scan_attention(torch.ones(5, 3), torch.ones(7, 3), num_rows=3, seed=-1)",
        "OptionError",
        "scan_attention: seed is -1, expected a whole number of at least 0.",
    ),
    BadCall(
        "stats.scan_attention(torch.ones(5, 3), torch.ones(7, 3) / 0)",
        "NonFiniteError",
        "scan_attention: key holds NaN or infinity at [0], and the mask lets it be seen; hide that position, or pass finite numbers.",
    ),
    BadCall(
        "stats.scan_map(torch.ones(5, 3), torch.ones(7, 3), rows=slice(5, 9))",
        "ShapeError",
        "scan_map: rows is slice(5, 9, None), which holds none of the 5 positions.",
    ),
    BadCall(
        "stats.scan_map(torch.ones(5, 3), torch.ones(7, 3), columns=slice(3, 3))",
        "ShapeError",
        "scan_map: columns is slice(3, 3, None), which holds none of the 7 positions.",
    ),
    BadCall(
        "stats.scan_map(torch.ones(5, 3), torch.ones(7, 3), rows=slice(0, 4, 2))",
        "OptionError",
        "scan_map: rows is slice(0, 4, 2), expected a slice without a step.",
    ),
    BadCall(
        "stats.scan_map(torch.ones(5, 3), torch.ones(7, 3), resolution=0.5)",
        "ArgumentTypeError",
        "scan_map: resolution is 0.5, expected a whole number of at least 1.",
    ),
    BadCall(
        "stats.scan_top_keys(torch.ones(5, 3), torch.ones(7, 3), rows=3)",
        "ArgumentTypeError",
        "scan_top_keys: rows is a int, expected a list of at least one position.",
    ),
    BadCall(
        "stats.scan_top_keys(torch.ones(5, 3), torch.ones(7, 3), rows=[5])",
        "OptionError",
        "scan_top_keys: rows holds 5, but there are 5 queries.",
    ),
    BadCall(
        "stats.scan_top_keys(torch.ones(5, 3), torch.ones(7, 3), rows=[1.5])",
        "ArgumentTypeError",
        "scan_top_keys: rows holds 1.5, expected whole numbers.",
    ),
    BadCall(
        "stats.scan_top_keys(torch.ones(5, 3), torch.ones(7, 3), rows=[1], count=8)",
        "OptionError",
        "scan_top_keys: count is 8, but there are only 7 keys.",
    ),
    BadCall(
        "stats.scan_similarity(torch.ones(5, 3), torch.ones(7, 3))",
        "OptionError",
        "scan_similarity: query has shape (5, 3), expected an axis of heads before the last two.",
    ),
    BadCall(
        "stats.pool_weights(torch.eye(3), resolution=0)",
        "OptionError",
        "pool_weights: resolution is 0, expected a whole number of at least 1.",
    ),
    BadCall(
        "stats.pool_weights(torch.ones(3))",
        "ShapeError",
        "pool_weights: weights has shape (3,), expected (*leading, n_q, n_k), none of them 0.",
    ),
    BadCall(
        "stats.pool_weights(torch.eye(3), rows=slice(3, 5))",
        "ShapeError",
        "pool_weights: rows is slice(3, 5, None), which holds none of the 3 positions.",
    ),
    BadCall(
        "stats.pool_weights(torch.eye(3)).select(0)",
        "OptionError",
        "select: the place is (0,), but the axes before rows and columns have sizes ().",
    ),
    BadCall(
        "stats.PooledMap(torch.eye(2), torch.eye(2), [0, 1, 2], (0, 1, 2), 2, 2)",
        "ArgumentTypeError",
        "PooledMap: row_edges is a list, expected a tuple of whole numbers.",
    ),
    BadCall(
        "stats.PooledMap(torch.eye(2), torch.eye(2), (0, 2, 1), (0, 1, 2), 2, 2)",
        "OptionError",
        "PooledMap: row_edges has 3 entries, expected at least 2 that increase.",
    ),
    BadCall(
        "stats.PooledMap(torch.eye(2), torch.eye(2), (0, 1, 3), (0, 1, 2), 2, 2)",
        "OptionError",
        "PooledMap: row_edges runs from 0 to 3, but there are 2 queries.",
    ),
    BadCall(
        "stats.PooledMap(torch.eye(2).double(), torch.eye(2), (0, 1, 2), (0, 1, 2), 2, 2)",
        "DTypeError",
        "PooledMap: largest has dtype torch.float64, expected torch.float32; use largest.float().",
    ),
    BadCall(
        "stats.PooledMap(torch.eye(3), torch.eye(2), (0, 1, 2), (0, 1, 2), 2, 2)",
        "ShapeError",
        "PooledMap: largest has shape (3, 3), expected (*leading, 2, 2), one cell between each two edges.",
    ),
    BadCall(
        "stats.PooledMap(torch.ones(4, 2, 2), torch.eye(2), (0, 1, 2), (0, 1, 2), 2, 2)",
        "ShapeError",
        "PooledMap: largest has shape (4, 2, 2) and mean (2, 2); they must be the same.",
    ),
    BadCall(
        "stats.PooledMap([[1.0]], torch.ones(1, 1), (0, 1), (0, 1), 1, 1)",
        "ArgumentTypeError",
        "PooledMap: largest is a list, expected a torch.Tensor.",
    ),
    BadCall(
        "stats.load_map(3)",
        "ArgumentTypeError",
        "reading a pooled map: path is a int, expected a string or a pathlib.Path.",
    ),
    BadCall(
        "stats.save_scans({'a': 1}, 'x.scan')",
        "ArgumentTypeError",
        "save_scans: 'a' is a int, expected scans by name.",
    ),
]
