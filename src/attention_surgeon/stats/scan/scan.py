"""Statistics and maps of attention from query and key alone: exact, in memory that grows with n and not with n²."""

import math
import time

from jaxtyping import Float
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, OptionError
from attention_surgeon.masks.blocks import WHOLE
from attention_surgeon.masks.lazy import MaskLike
from attention_surgeon.require import kind_of, require_count
from attention_surgeon.stats.checks import TokensLike, check_options
from attention_surgeon.stats.maps import RESOLUTION, PooledMap, window_edges
from attention_surgeon.stats.scan.group import HeadTotals
from attention_surgeon.stats.scan.operands import check_operands
from attention_surgeon.stats.scan.plan import Plan
from attention_surgeon.stats.scan.record import AttentionScan, make_record
from attention_surgeon.stats.scan.run import workers
from attention_surgeon.stats.scan.work import Effort, HeadWork, OnProgress


def scan_attention(
    query: Float[Tensor, "*batch q d"],
    key: Float[Tensor, "*_batch k d"],
    value: Float[Tensor, "*_batch k v"] | None = None,
    mask: MaskLike | None = None,
    *,
    scale: float | int | None = None,
    window: int = 1,
    threshold: float = 0.01,
    tokens: TokensLike | None = None,
    repeat_offset: int | None = None,
    resolution: int | None = RESOLUTION,
    at_most: float | int | None = None,
    num_rows: int | None = None,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> AttentionScan:
    """Return the statistics of each head, and a map of its weights, without making the n x n weights.

    Every number is the one that `head_statistics` gives for the weights written out, exact up to the rounding of
    float32 scores (float64 ones where scores may be large, or the input is float64). Tiles that the mask hides are not
    computed.

    Args:
        query: `(*batch, heads, n_q, d)`, floating.
        key: `(*batch, kv_heads, n_k, d)`, same dtype; kv_heads divides heads, and each serves neighbouring ones.
        value: `(*batch, kv_heads, n_k, d_v)`, only for the length of the output.
        mask: Who may attend to whom, as for `attention`: a mask of `attention_surgeon.masks` is never written out; a
            floating tensor is added to the scores. Broadcasts to `(*batch, heads, n_q, n_k)`.
        scale: What scores are multiplied by; None: 1/√d.
        window: As for `head_statistics`.
        threshold: As for `head_statistics`.
        tokens: As for `head_statistics`.
        repeat_offset: As for `head_statistics`.
        resolution: At most so many cells along each side of the map; None: no map.
        at_most: Seconds, after which a sample of the rows has to do. The smallest sample, two rows of each row of
            cells, is always taken.
        num_rows: Look at about so many rows of each head in place of all.
        seed: Of the sample.
        on_progress: Called with the share of the work that is done.

    Returns:
        Statistics, map, and the standard error of what is an estimate.

    Raises:
        ArgumentTypeError, DTypeError, DeviceError, ShapeError, MaskError, OptionError: as their texts say.
        NonFiniteError: NaN or infinity where a query sees it; where the mask hides it, it does no harm.

    >>> import torch
    >>> from attention_surgeon.masks import causal_mask
    >>> query, key = torch.randn(2, 1, 4, 3000, 16, generator=torch.Generator().manual_seed(0))
    >>> found = scan_attention(query, key, mask=causal_mask(3000), resolution=100)
    >>> found.statistics.entropy_share.shape, found.map
    (torch.Size([1, 4]), PooledMap(1 x 4 x 100 x 100 cells, queries 0:3000 of 3000, keys 0:3000 of 3000))
    """
    begun = time.perf_counter()
    operands = check_operands(query, key, value, mask, scale, "scan_attention")
    shape = operands.scores_shape
    options = check_options(shape, query.device, window, threshold, tokens, repeat_offset, "scan_attention")
    plan = _plan(shape, resolution)
    effort = _checked_effort(at_most, num_rows, seed)
    heads = math.prod(operands.leading)
    found = []
    with workers(query.device) as crew:
        for number, head in enumerate(operands.heads(options.repeats)):
            work = HeadWork(head, plan, options, crew, _part_of(on_progress, number, heads))
            found.append(work.run(effort.share(time.perf_counter() - begun, heads - number)))
    return make_record(found, options, operands.leading, value is not None, time.perf_counter() - begun)


def scan_map(
    query: Float[Tensor, "*batch q d"],
    key: Float[Tensor, "*_batch k d"],
    mask: MaskLike | None = None,
    *,
    scale: float | int | None = None,
    resolution: int = RESOLUTION,
    rows: slice = WHOLE,
    columns: slice = WHOLE,
    on_progress: OnProgress | None = None,
) -> PooledMap:
    """Return the map of any window of the weights, exact; only the rows of the window are computed.

    Args:
        query: As for `scan_attention`.
        key: As for `scan_attention`.
        mask: As for `scan_attention`.
        scale: As for `scan_attention`.
        resolution: At most so many cells along each side.
        rows: The queries to show, as one would slice a tensor (without a step).
        columns: The keys to show.
        on_progress: Called with the share of the work that is done.

    Raises:
        ArgumentTypeError, DTypeError, DeviceError, ShapeError, MaskError, OptionError, NonFiniteError: as
            `scan_attention`.

    >>> import torch
    >>> query, key = torch.randn(2, 500, 16, generator=torch.Generator().manual_seed(0))
    >>> scan_map(query, key, resolution=10, rows=slice(100, 140), columns=slice(0, 20))
    PooledMap(10 x 10 cells, queries 100:140 of 500, keys 0:20 of 500)
    """
    operands = check_operands(query, key, None, mask, scale, "scan_map")
    require_count(resolution, "resolution", "scan_map")
    n_q, n_k = operands.scores_shape[-2:]
    plan = Plan.of(n_k, window_edges(n_q, n_k, resolution, rows, columns, "scan_map"))
    heads = math.prod(operands.leading)
    found = []
    with workers(query.device) as crew:
        for number, head in enumerate(operands.heads(None)):
            work = HeadWork(head, plan, None, crew, _part_of(on_progress, number, heads))
            found.append(work.run(Effort()).totals)
    pooled = HeadTotals.pooled(found, operands.leading)
    assert pooled is not None
    return pooled


def _plan(shape: tuple[int, ...], resolution: int | None) -> Plan:
    if resolution is None:
        return Plan.of(shape[-1], None)
    require_count(resolution, "resolution", "scan_attention")
    return Plan.of(shape[-1], window_edges(shape[-2], shape[-1], resolution, WHOLE, WHOLE, "scan_attention"))


def _checked_effort(at_most: object, num_rows: object, seed: object) -> Effort:
    if at_most is not None and num_rows is not None:
        raise OptionError("scan_attention: at_most and num_rows are both given; pass one of them.")
    if at_most is not None and (isinstance(at_most, bool) or not isinstance(at_most, int | float)):
        raise ArgumentTypeError(f"scan_attention: at_most is {kind_of(at_most)}, expected seconds, or None.")
    if at_most is not None and not at_most > 0:
        raise OptionError(f"scan_attention: at_most is {at_most}, expected seconds above 0.")
    if num_rows is not None:
        require_count(num_rows, "num_rows", "scan_attention")
    require_count(seed, "seed", "scan_attention", least=0)
    return Effort(at_most, num_rows, seed)  # pyright: ignore[reportArgumentType]


def _part_of(on_progress: OnProgress | None, number: int, heads: int) -> OnProgress:
    """Return what tells the progress of one head as part of the progress of all."""
    if on_progress is None:
        return lambda share: None
    return lambda share: on_progress((number + share) / heads)
