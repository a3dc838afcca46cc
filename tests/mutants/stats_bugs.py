"""Bugs for `stats`."""

from tests.mutants.mutant import Mutant

STATS_BUGS = [
    Mutant(
        "entropy over the queries",
        "stats/row_sums.py",
        "torch.special.entr(strip.weights).sum(-1)",
        "torch.special.entr(strip.weights).sum(-2)",
    ),
    Mutant(
        "entropy in bits",
        "stats/row_sums.py",
        "torch.special.entr(strip.weights).sum(-1)",
        "torch.special.entr(strip.weights).sum(-1) / 0.6931471805599453",
    ),
    Mutant(
        "an empty row counts as one effective key",
        "stats/row_sums.py",
        "entropy.exp().masked_fill(~has_weight, 0.0)",
        "entropy.exp()",
    ),
    Mutant(
        "effective keys of the mean entropy",
        "stats/head_statistics.py",
        "**{**ratios,",
        '**{**ratios, "effective_keys": ratios["entropy"].exp(),',
    ),
    Mutant(
        "share of log n, not of log m",
        "stats/row_sums.py",
        "most = num_visible.to(entropy.dtype).log()",
        "most = num_visible.new_full(num_visible.shape, strip.weights.shape[-1]).to(entropy.dtype).log()",
    ),
    Mutant(
        "rows without a choice in the share",
        "stats/row_sums.py",
        '"entropy_share": ("entropy_share", "num_choices")',
        '"entropy_share": ("entropy_share", "num_rows")',
    ),
    Mutant(
        "empty rows in the means",
        "stats/head_statistics.py",
        "/ getattr(sums, below) for",
        "/ (getattr(sums, below) + sums.num_empty) for",
    ),
    Mutant(
        "mean of the maxima as the maximum",
        "stats/row_sums.py",
        "torch.maximum(sums.largest, largest.amax(-1))",
        "torch.maximum(sums.largest, largest.mean(-1))",
    ),
    Mutant(
        "largest of the last strip alone",
        "stats/row_sums.py",
        "torch.maximum(sums.largest, largest.amax(-1))",
        "largest.amax(-1)",
    ),
    Mutant("previous is next", "stats/row_sums.py", "offset == -1, offset == 1", "offset == 1, offset == -1"),
    Mutant(
        "rows without a previous position count",
        "stats/row_sums.py",
        '("previous", "num_with_previous")',
        '("previous", "num_rows")',
    ),
    Mutant(
        "a query before the first key has a next one",
        "stats/row_sums.py",
        "(has_weight & (strip.positions >= -1) & (strip.positions < last))",
        "(has_weight & (strip.positions < last))",
    ),
    Mutant(
        "aligned at the start",
        "stats/row_sums.py",
        "torch.arange(num_keys - num_queries, num_keys, device",
        "torch.arange(num_queries, device",
    ),
    Mutant(
        "the window's edge is far", "stats/row_sums.py", "is_near = distance <= window", "is_near = distance < window"
    ),
    Mutant(
        "first key of every strip is a sink", "stats/row_sums.py", "    if strip.first_key == 0:\n", "    if True:\n"
    ),
    Mutant(
        "distance with a sign",
        "stats/row_sums.py",
        "distance[None].to(weights.dtype)",
        "offset[None].to(weights.dtype)",
    ),
    Mutant(
        "hidden cells are sparse",
        "stats/row_sums.py",
        "        is_small = is_small & strip.allowed\n",
        "        pass\n",
    ),
    Mutant(
        "the threshold itself is below", "stats/row_sums.py", "strip.weights < threshold", "strip.weights <= threshold"
    ),
    Mutant(
        "even over all keys, not the visible ones",
        "stats/row_sums.py",
        "even = 1.0 / num_visible.clamp(min=1)",
        "even = 1.0 / num_visible.amax().clamp(min=1)",
    ),
    Mutant(
        "received by queries",
        "stats/head_statistics.py",
        "received=received / num_rows[..., None]",
        "received=received / received.shape[-1]",
    ),
    Mutant(
        "received forgets where the strip begins",
        "stats/row_sums.py",
        "sums.received[..., strip.first_key : last_key]",
        "sums.received[..., : last_key - strip.first_key]",
    ),
    Mutant(
        "induction to the token itself",
        "stats/row_sums.py",
        "before = self.tokens[..., (keys - 1).clamp(min=0)]",
        "before = self.tokens[..., keys]",
    ),
    Mutant(
        "induction onto the own position",
        "stats/row_sums.py",
        "is_earlier = keys < positions[:, None]",
        "is_earlier = keys <= positions[:, None]",
    ),
    Mutant("repeat offset off by one", "stats/row_sums.py", "- self.offset + 1)", "- self.offset)"),
    Mutant(
        "induction over all rows",
        "stats/row_sums.py",
        '("induction", "num_repeated")',
        '("induction", "num_rows")',
    ),
    Mutant("rows of a sample cut down", "stats/head_statistics.py", "count.round().long()", "count.long()"),
    Mutant(
        "similarity without lengths",
        "stats/head_statistics.py",
        "gram / (lengths[..., :, None] * lengths[..., None, :])",
        "gram / lengths[..., None, :]",
    ),
    Mutant(
        "a masked row counts",
        "stats/row_sums.py",
        "some = some.masked_fill(~allowed.any(-1, keepdim=True), 0.0)",
        "pass",
    ),
    Mutant(
        "sums in short floats",
        "stats/row_sums.py",
        ".detach().to(working_dtype(weights.dtype, weights.device))",
        ".detach().to(weights.dtype)",
    ),
    Mutant("hidden weights are accepted", "stats/checks.py", "if bool(leaks.any()):", "if False:"),
    Mutant("negative weights are accepted", "stats/checks.py", "if bool((weights < 0).any()):", "if False:"),
    Mutant("any row sum is accepted", "stats/checks.py", "    if not bool(wrong.any()):\n", "    if True:\n"),
    Mutant(
        "empty rows in the four numbers", "stats/analyze.py", "measured[name] *= has_weight.numel() / num_rows", "pass"
    ),
    Mutant("variation not halved", "stats/compare.py", "apart.sum((-2, -1)) / 2", "apart.sum((-2, -1))"),
    Mutant(
        "a one-sided divergence",
        "stats/compare.py",
        "torch.special.xlogy(one, one / middle) + torch.special.xlogy(other, other / middle)",
        "2 * torch.special.xlogy(one, one / middle)",
    ),
    Mutant(
        "rows empty in one of two compared",
        "stats/compare.py",
        "(one.sum(-1) > 0) & (other.sum(-1) > 0)",
        "(one.sum(-1) > 0) | (other.sum(-1) > 0)",
    ),
    Mutant(
        "largest difference of the first strip",
        "stats/compare.py",
        'sums.pop("largest").amax(0)',
        'sums.pop("largest")[0]',
    ),
    Mutant("a key without weight is named", "stats/top_keys.py", "keys.masked_fill(strongest == 0, -1)", "keys"),
    Mutant(
        "everything is one block",
        "stats/blocks.py",
        "(lengths < SHORTEST_RUN) | (lengths == runs.shape[-1])",
        "(lengths < SHORTEST_RUN)",
    ),
    Mutant("runs of two are blocks", "stats/blocks.py", "lengths < SHORTEST_RUN", "lengths < 2"),
    Mutant(
        "a run ends with its strip",
        "stats/blocks.py",
        "        last = strip.weights[..., -1:, :]\n",
        "        last = torch.zeros_like(strip.weights[..., -1:, :])\n",
    ),
    Mutant(
        "vertical is one key", "stats/patterns.py", "received.topk(num_columns, dim=-1)", "received.topk(1, dim=-1)"
    ),
    Mutant(
        "vertical before sink",
        "stats/patterns.py",
        'scores["vertical"].masked_fill(scores["sink"] >= THRESHOLD, -math.inf)',
        'scores["vertical"]',
    ),
    Mutant("every head has a name", "stats/patterns.py", "which.masked_fill(best < THRESHOLD, -1)", "which"),
]
