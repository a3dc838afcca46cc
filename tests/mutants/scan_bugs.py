"""Bugs for the streamed statistics and the maps."""

from tests.mutants.mutant import Mutant

_GROUP, _WORK, _HEAD = "stats/scan/group.py", "stats/scan/work.py", "stats/scan/plan.py"

SCAN_BUGS = [
    Mutant(
        "keys of a head taken as they come, not shared out",
        "stats/scan/operands.py",
        "i * own // all_of_them",
        "i % own",
    ),
    Mutant("scores not scaled", _HEAD, "(self.query.double() * self.scale).float()", "self.query.float()"),
    Mutant("large scores trusted to float32", _HEAD, "<= SAFE_SCORE", "<= 1e9"),
    Mutant(
        "what a mask adds is not counted among large scores",
        _HEAD,
        "self._longest_key + self.largest_bias",
        "self._longest_key",
    ),
    Mutant("each key loses its own mean", _HEAD, "return key - key.mean(0)", "return key - key.mean(1, keepdim=True)"),
    Mutant("each exact key loses its own mean", _HEAD, "key - key.mean(0),", "key - key.mean(1, keepdim=True),"),
    Mutant("rows are taken as they come", _HEAD, "if len(rows) == self.num_queries", "if len(rows)"),
    Mutant(
        "sums of rows stand for means",
        _GROUP,
        "if usual == 1 and bool((self._rows_in_cell == 1).all()):",
        "if usual == 1:",
    ),
    Mutant(
        "hidden cells keep their exponential",
        _GROUP,
        "            weights.masked_fill_(part.hidden, 0.0)\n",
        "            pass\n",
    ),
    Mutant(
        "hidden cells counted as small",
        _GROUP,
        "smalls[place] -= part.hidden.sum(-1)",
        "smalls[place] -= 0 * part.hidden.sum(-1)",
    ),
    Mutant(
        "bias of the mask forgotten", _GROUP, "return out if part.bias is None else out.add_(part.bias)", "return out"
    ),
    Mutant(
        "entropy without the reference", _GROUP, "self.references.double() * self.tile_mass.mT", "0 * self.tile_mass.mT"
    ),
    Mutant("the ramp falls on both sides", _GROUP, "is_falling=tile.stop - 1 < first", "is_falling=True"),
    Mutant(
        "distance counts from the far end of a tile",
        _GROUP,
        "self.positions[:, None] - ends",
        "self.positions[:, None] - starts",
    ),
    Mutant("near reaches one key less", _GROUP, "(distance <= window)", "(distance < window)"),
    Mutant(
        "previous and next confused",
        _GROUP,
        'self.table["previous"] += part.at(self.positions - 1)',
        'self.table["previous"] += part.at(self.positions + 1)',
    ),
    Mutant("one visible key counts as a choice", _GROUP, "counts & (visible > 1)", "counts & (visible > 0)"),
    Mutant("empty rows count", _GROUP, 'table["num_rows"] = counts', 'table["num_rows"] = counts | True'),
    Mutant(
        "received weights not divided by their row",
        _GROUP,
        "torch.mv(part.weights.mT, share, out=",
        "torch.mv(part.weights.mT, share * 0 + 1, out=",
    ),
    Mutant(
        "the map of exponentials, not of weights",
        _GROUP,
        'self.plan.on_map(self.largest, "amax") * share',
        'self.plan.on_map(self.largest, "amax")',
    ),
    Mutant("long cells: only their last tile", "stats/scan/plan.py", "shown[..., 0], how)", 'shown[..., 0], "amax")'),
    Mutant("positions aligned at the start", _HEAD, "rows + (self.num_keys - self.num_queries)", "rows"),
    Mutant(
        "a key repeats its own token",
        "stats/scan/repeats.py",
        "keys = torch.arange(1, num_keys, device=device)",
        "keys = torch.arange(0, num_keys - 1, device=device)",
    ),
    Mutant(
        "the offset counts to the token, not after it",
        "stats/scan/repeats.py",
        "positions - self.offset + 1",
        "positions - self.offset",
    ),
    Mutant(
        "rows of a cell overwrite each other",
        "stats/scan/group.py",
        "self._mass[cells] +=",
        "self._mass[cells] =",
    ),
    Mutant(
        "the largest of a cell forgets earlier rows",
        "stats/scan/group.py",
        "torch.maximum(self._largest[cells], pooled)",
        "pooled",
    ),
    Mutant(
        "mean over all rows of a cell, looked at or not",
        "stats/scan/group.py",
        "(self._rows_in_cell * usual).float()[:, None]",
        "(torch.tensor(self._plan.row_edges).diff() * usual).float()[:, None]",
    ),
    Mutant(
        "error of a sample without the rows that are left",
        "stats/scan/sample.py",
        "(strata.sizes - drawn) * variance",
        "variance * 0.1",
    ),
    Mutant(
        "every row of a sample speaks for itself alone",
        "stats/scan/sample.py",
        "return (self.sizes / drawn.double())[of]",
        "return (drawn / drawn.double())[of]",
    ),
    Mutant(
        "the first rows are drawn like others",
        "stats/scan/sample.py",
        "turn[stratum <= stratum[num_rows // _SHARE_LOOKED_AT]] = 0",
        "pass",
    ),
    Mutant("a scan past its time goes on", _WORK, "first == 0 and each * most <= at_most - spent", "first == 0"),
    Mutant(
        "the error of a head is that of the first",
        "stats/scan/record.py",
        "numbers.errors for numbers in each",
        "each[0].errors for numbers in each",
    ),
    Mutant(
        "halves average cells of different size alike",
        "stats/maps.py",
        "_sum_pairs((self.mean * self.areas), -1)",
        "_sum_pairs((self.mean * self.areas.mean()), -1)",
    ),
    Mutant(
        "a window's first cell begins at 0",
        "stats/maps.py",
        "range(positions.start, positions.stop, size)",
        "range(0, positions.stop, size)",
    ),
    Mutant("a newer file is read all the same", "stats/tensor_file.py", "if version > self.version:", "if False:"),
    Mutant("compiled: scores in natural units", "stats/scan/compiled.py", "head.scale * LOG2_E", "head.scale"),
    Mutant("compiled: large scores as well", "stats/scan/compiled.py", "head.are_safe(rows)", "rows >= 0"),
    Mutant("compiled: all rows of each portion", "stats/scan/compiled.py", "else rows[~is_fit]", "else rows"),
    Mutant(
        "compiled: queries stand where they are counted",
        "stats/scan/compiled.py",
        "self.head.positions(rows), query[run]",
        "rows.clone(), query[run]",
    ),
    Mutant(
        "the last column of a map is as wide as the others", _GROUP, "means[:, -1] *= usual / last", "means[:, -1] *= 1"
    ),
    Mutant(
        "compiled: rows between the first and the last belong to all",
        "stats/scan/compiled.py",
        "if last + 1 - first == len(rows) else rows",
        "if last >= first else rows",
    ),
    Mutant(
        "compiled: queries as they lie in memory",
        "stats/scan/compiled.py",
        "head.query.float().contiguous()",
        "head.query.float()",
    ),
]
