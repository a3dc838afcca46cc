"""Which kinds of function have a step to get wrong; sets of families that several faults share."""

from attention_surgeon.faults.fault import Family

SOFTMAX: frozenset[Family] = frozenset({"softmax"})
ATTENTION: frozenset[Family] = frozenset({"attention"})
CAUSAL: frozenset[Family] = frozenset({"causal"})
MASK: frozenset[Family] = frozenset({"mask"})
PADDING: frozenset[Family] = frozenset({"padding"})
CROSS: frozenset[Family] = frozenset({"cross"})
GROUPED: frozenset[Family] = frozenset({"grouped"})
MODERN: frozenset[Family] = frozenset({"modern"})
STATISTICS: frozenset[Family] = frozenset({"statistics"})

LAYERS: frozenset[Family] = CROSS | GROUPED | frozenset[Family]({"layer"})
"""Everything with projections and heads."""

FIVE_STEPS: frozenset[Family] = LAYERS | ATTENTION | CAUSAL
"""Everything in which queries meet keys."""

MASKED: frozenset[Family] = LAYERS | ATTENTION
"""Everything that is handed a mask."""

MASKS: frozenset[Family] = MASK | PADDING
"""Everything that makes a mask."""

NORMALISED: frozenset[Family] = FIVE_STEPS | SOFTMAX
"""Everything in which scores become weights."""

MEASURED: frozenset[Family] = NORMALISED | STATISTICS
"""Everything that is handed numbers and gives numbers."""
