"""The statistics of each head: a record, the last step that makes it of sums, and the walk over dense weights."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from jaxtyping import Float
from torch import Tensor

from attention_surgeon.frames import as_data_frame
from attention_surgeon.ops import MaskLike, working_dtype
from attention_surgeon.stats.checks import TokensLike, check_options, require_weights, resolve_allowed
from attention_surgeon.stats.row_sums import RATIOS, RowSums, StatisticsOptions, add_strip, strips_of


@final
@dataclass(frozen=True, eq=False, repr=False)
class HeadStatistics:
    """What the weights of each head say; every number is defined in `DEFINITIONS` under its name.

    Tensors are `(*batch, heads)` in the working precision (float64 for float32) unless said otherwise. A number to
    which no row contributes is NaN.

    Attributes:
        entropy: In nats.
        entropy_share: Share of the most it could be.
        effective_keys: exp of the entropy, row by row.
        max_attention: The largest weight.
        mean_max_attention: The mean over rows of the largest.
        diagonal_mass: On the own position.
        previous_mass: On the position before.
        next_mass: On the position after.
        first_mass: On the first key.
        local_mass: On keys at most `window` away.
        global_mass: On the others.
        local_vs_global: The one divided by the other; infinite where nothing is far.
        mean_distance: In positions.
        sparsity: Share of visible cells below `threshold`.
        evenness: Overlap with even weights.
        induction: On keys after earlier occurrences of the own token; None if the tokens are not known.
        received: `(*batch, heads, n_k)`, what each key gets.
        similarity: `(*batch, heads, heads)`; None if there is no axis of heads, or heads were seen one by one.
        num_rows: How many rows counted, int64.
        num_empty: How many rows were left out because they have no weight, int64.
        options: Window, threshold and repeats, as they were chosen.
    """

    entropy: Tensor
    entropy_share: Tensor
    effective_keys: Tensor
    max_attention: Tensor
    mean_max_attention: Tensor
    diagonal_mass: Tensor
    previous_mass: Tensor
    next_mass: Tensor
    first_mass: Tensor
    local_mass: Tensor
    global_mass: Tensor
    local_vs_global: Tensor
    mean_distance: Tensor
    sparsity: Tensor
    evenness: Tensor
    induction: Tensor | None
    received: Tensor
    similarity: Tensor | None
    num_rows: Tensor
    num_empty: Tensor
    options: StatisticsOptions

    def __repr__(self) -> str:
        """Say in one line how many heads there are, and what is usual among them."""
        mean = float(self.entropy.nanmean()) if self.entropy.numel() else float("nan")
        return f"HeadStatistics({tuple(self.entropy.shape)} heads, mean entropy {mean:.4g} nats)"

    def rows(self) -> list[dict[str, Any]]:
        """Return one record for each head: its place, and every number that is one per head."""
        shape = tuple(self.entropy.shape)
        names = [name for name, part in vars(self).items() if isinstance(part, Tensor) and part.shape == shape]
        axes = (*(f"axis_{axis}" for axis in range(len(shape) - 1)), "head")
        return [
            dict(zip(axes, place, strict=False)) | {name: float(getattr(self, name)[place]) for name in names}
            for place in itertools.product(*(range(size) for size in shape))
        ]

    def to_pandas(self) -> Any:
        """Return the same as a `pandas.DataFrame`.

        Raises:
            LoadError: pandas is not installed.
        """
        return as_data_frame(self.rows())


def head_statistics(
    weights: Float[Tensor, "*batch q k"],
    allowed: MaskLike | None = None,
    *,
    window: int = 1,
    threshold: float = 0.01,
    tokens: TokensLike | None = None,
    repeat_offset: int | None = None,
) -> HeadStatistics:
    """Return the statistics of each head.

    With another number of keys than of queries the last query stands at the last key, as in a causal mask.

    Args:
        weights: `(*batch, heads, n_q, n_k)`, rows that sum to 1, floating; a row of zeros is an empty one and is left
            out. float16, bfloat16 and float32 are measured one precision up.
        allowed: Who may attend: boolean or a mask of `attention_surgeon.masks`, broadcasts to `weights`. Shares of a
            maximum and sparsity need it: without it every cell counts as visible, those above the diagonal too. A row
            that may attend to nobody is left out, whatever it holds.
        window: How far away a key may be and still be near, in positions.
        threshold: Below which weight a visible cell counts as sparse.
        tokens: The tokens of the keys, for the induction score: n_k strings or integers, or an integer tensor
            `(n_k,)`, or `(*batch, n_k)` where sequences differ.
        repeat_offset: Instead of `tokens`: after how many positions everything comes again.

    Returns:
        One record for all heads; no gradient flows through it.

    Raises:
        ArgumentTypeError, DTypeError, DeviceError, ShapeError, MaskError: an argument of the wrong kind or shape.
        NonFiniteError, OptionError: weights that are none, or an option out of its range.

    >>> import torch
    >>> weights = torch.tensor([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 0.0], [1.0, 0.0]]])  # two heads
    >>> found = head_statistics(weights)
    >>> found.effective_keys, found.num_empty
    (tensor([1.5000, 1.0000], dtype=torch.float64), tensor([0, 1]))
    """
    require_weights(weights, "head_statistics")
    visible = resolve_allowed(allowed, weights, "head_statistics")
    options = check_options(weights.shape, weights.device, window, threshold, tokens, repeat_offset, "head_statistics")
    leading, num_keys = weights.shape[:-2], weights.shape[-1]
    dtype = working_dtype(weights.dtype, weights.device)
    sums = RowSums.zeros(leading, num_keys, dtype=dtype, device=weights.device, with_gram=len(leading) > 0)
    for strip in strips_of(weights, visible):
        add_strip(sums, strip, options)
    return finish(sums, options)


def finish(sums: RowSums, options: StatisticsOptions) -> HeadStatistics:
    """Return the statistics that the sums over all rows amount to."""
    dtype = sums.entropy.dtype
    ratios = {name: getattr(sums, above).to(dtype) / getattr(sums, below) for name, (above, below) in RATIOS.items()}
    gram = None if sums.gram is None else _cosines(sums.gram)
    return of_ratios(ratios, sums.largest, sums.received, sums.num_rows, sums.num_empty, options, gram)


def of_ratios(
    ratios: Mapping[str, Tensor],
    largest: Tensor,
    received: Tensor,
    num_rows: Tensor,
    num_empty: Tensor,
    options: StatisticsOptions,
    similarity: Tensor | None = None,
) -> HeadStatistics:
    """Return the statistics whose ratios are known already.

    Args:
        ratios: Those of `RATIOS`, `(*batch, heads)` each.
        largest: `(*batch, heads)`, the largest weight.
        received: `(*batch, heads, n_k)`, the sum over rows of what each key gets.
        num_rows: `(*batch, heads)`, how many rows count; of a sample an estimate.
        num_empty: `(*batch, heads)`, how many do not.
        options: As they were chosen; without repeats the induction is not known.
        similarity: `(*batch, heads, heads)`.
    """
    return HeadStatistics(
        **{**ratios, "induction": None if options.repeats is None else ratios["induction"]},  # pyright: ignore[reportArgumentType]
        max_attention=largest.masked_fill(num_rows == 0, math.nan),
        received=received / num_rows[..., None],
        similarity=similarity,
        num_rows=_whole(num_rows),
        num_empty=_whole(num_empty),
        options=options,
    )


def _whole(count: Tensor) -> Tensor:
    return count.round().long() if count.is_floating_point() else count


def _cosines(gram: Tensor) -> Tensor:
    lengths = gram.diagonal(dim1=-2, dim2=-1).sqrt()
    return gram / (lengths[..., :, None] * lengths[..., None, :])
