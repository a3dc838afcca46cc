"""Which kinds of function have a step to get wrong; sets of families that several faults share."""

from attention_surgeon.faults.fault import Family

LAYERS: frozenset[Family] = frozenset({"layer", "cross", "grouped"})
"""Everything with projections and heads."""

FIVE_STEPS: frozenset[Family] = LAYERS | frozenset[Family]({"attention", "causal"})
"""Everything in which queries meet keys."""

MASKED: frozenset[Family] = LAYERS | frozenset[Family]({"attention"})
"""Everything that is handed a mask."""

MASKS: frozenset[Family] = frozenset({"mask", "padding"})
"""Everything that makes a mask."""

NORMALISED: frozenset[Family] = FIVE_STEPS | frozenset[Family]({"softmax"})
"""Everything in which scores become weights."""

CALLED: frozenset[Family] = NORMALISED | MASKS | frozenset[Family]({"statistics"})
"""Everything that can be called."""
