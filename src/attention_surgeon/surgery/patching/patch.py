"""Patching one thing at a time: from another run, by zeros or means, or estimated for all at once from one gradient.

Sources: activation patching: Vig et al. 2020, "Investigating Gender Bias in Language Models Using Causal Mediation
Analysis"; Meng et al. 2022, "Locating and Editing Factual Associations in GPT". Attribution patching: Nanda 2023; Syed,
Rager and Conmy 2023, "Attribution Patching Outperforms Automated Circuit Discovery". Resampling: Chan et al. 2022,
"Causal Scrubbing".
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from attention_surgeon.errors import OptionError
from attention_surgeon.surgery.choose import Choice
from attention_surgeon.surgery.inputs import TextLike, prepare
from attention_surgeon.surgery.layers import model_name
from attention_surgeon.surgery.patching.anatomy import Place
from attention_surgeon.surgery.patching.metric import MetricLike, metrics_of
from attention_surgeon.surgery.patching.result import PatchResult
from attention_surgeon.surgery.patching.runs import Bench, open_bench, read_positions
from attention_surgeon.surgery.patching.touching import PATCHABLE, Touching, touching, writing
from attention_surgeon.surgery.receipt import Tally

By = Literal["zero", "mean", "resample"]


def patch(
    model: nn.Module,
    clean: TextLike,
    corrupt: TextLike,
    *,
    metric: MetricLike,
    what: str = "z",
    layers: Choice = None,
    heads: Choice = None,
    positions: Choice = None,
    tokenizer: Any = None,
    target: TextLike | None = None,
) -> PatchResult:
    """Put what each head did on the clean text into a run of the corrupt text, one head at a time, and measure.

    Args:
        model: As for `operate`.
        clean: What is read from; as for `capture`.
        corrupt: What is written into; of as many tokens.
        metric: A text such as `"logit( mat) - logit( dog)"`, or a function of the logits `(n, vocabulary)`.
        what: `z` (what the head gathered), `pattern`, `q`, `k`, `v` (k and v by key/value head), `head_out` (what the
            head adds to the residual stream) or `residual` (the stream in front of each layer, position by position).
        layers: As for `operate`.
        heads: As for `operate`.
        positions: Query positions that are written (keys for k and v), from 0, `"0-3"`, `-1`; None: all.
        tokenizer: As for `capture`.
        target: As for `capture`.

    Returns:
        The metric for each layer and head (for each position with `residual`), with the receipt.

    Raises:
        OptionError, ArgumentTypeError, ShapeError: as `capture`; two texts of different length; nothing of that name.
        SurgeryError: as `operate`; a layer that has no such place.

    >>> from attention_surgeon.models import Decoder, DecoderConfig
    >>> model = Decoder(DecoderConfig(vocabulary_size=11)).eval()
    >>> result = patch(model, [3, 1, 4, 1], [3, 1, 5, 1], metric="logit(7) - logit(2)")
    >>> result.values.shape, result.receipt.layers[0].others_identical
    (torch.Size([2, 4]), True)
    """
    _check_what(what)
    bench = open_bench(model, clean, corrupt, metric, layers=layers, heads=heads, tokenizer=tokenizer, target=target)
    places = _by_block(bench.chosen) if what == "residual" else bench.chosen
    source, goal = bench.read(bench.clean, [(place, what) for place in places])
    return _write_each(bench, f"patch {what}", what, places, source, goal, positions)


def ablate(
    model: nn.Module,
    text: TextLike,
    *,
    metric: MetricLike,
    by: By = "zero",
    reference: TextLike | Sequence[TextLike] | None = None,
    what: str = "z",
    layers: Choice = None,
    heads: Choice = None,
    positions: Choice = None,
    tokenizer: Any = None,
    target: TextLike | None = None,
) -> PatchResult:
    """Take away what each head did, one head at a time, and measure.

    Args:
        model: As for `patch`.
        text: What is run.
        metric: As for `patch`.
        by: `zero`; `mean`: the mean over all positions of the reference texts; `resample`: what the head did on one
            reference text, position by position.
        reference: For `mean` any texts, the text itself if not given; for `resample` one text of as many tokens.
        what: As for `patch`, but for `pattern`, of which there is no mean.
        layers: As for `patch`.
        heads: As for `patch`.
        positions: As for `patch`.
        tokenizer: As for `patch`.
        target: As for `patch`.

    Raises:
        As `patch`.

    >>> from attention_surgeon.models import Decoder, DecoderConfig
    >>> model = Decoder(DecoderConfig(vocabulary_size=11)).eval()
    >>> ablate(model, [3, 1, 4, 1], metric="logit(7)", by="mean", reference=[[5, 9, 2], [6, 5]]).method
    'mean ablation of z'
    """
    _check_what(what)
    if by not in ("zero", "mean", "resample"):
        raise OptionError(f"ablate: by is {by!r}, expected 'zero', 'mean' or 'resample'.")
    if what == "pattern" and by != "resample":
        raise OptionError(
            "ablate: a pattern has no zero and no mean that is a pattern; use what='z', or by='resample'."
        )
    if by == "resample" and reference is None:
        raise OptionError("ablate: by='resample' needs reference=, a text of as many tokens.")
    other = reference if by == "resample" else text
    bench = open_bench(model, other, text, metric, layers=layers, heads=heads, tokenizer=tokenizer, target=target)  # pyright: ignore[reportArgumentType]
    places = _by_block(bench.chosen) if what == "residual" else bench.chosen
    source, _ = bench.read(bench.clean, [(place, what) for place in places])
    if by == "zero":
        source = {key: torch.zeros_like(value) for key, value in source.items()}
    elif by == "mean" and reference is not None:
        source = _means(bench, what, places, _texts(reference), tokenizer, target, source)
    elif by == "mean":
        source = {key: value.mean(-2, keepdim=True).expand_as(value) for key, value in source.items()}
    return _write_each(bench, f"{by} ablation of {what}", what, places, source, None, positions)


def attribute(
    model: nn.Module,
    clean: TextLike,
    corrupt: TextLike,
    *,
    metric: MetricLike,
    what: str = "z",
    layers: Choice = None,
    heads: Choice = None,
    positions: Choice = None,
    tokenizer: Any = None,
    target: TextLike | None = None,
) -> PatchResult:
    """Estimate what `patch` would measure, for all heads from two runs and one gradient: (clean - corrupt) · ∂metric.

    It is exact where the metric is linear in what is patched, and wrong where it is not: look at the strongest ones
    again with `patch`.

    Arguments, results and errors as for `patch`.

    >>> from attention_surgeon.models import Decoder, DecoderConfig
    >>> model = Decoder(DecoderConfig(vocabulary_size=11)).eval()
    >>> attribute(model, [3, 1, 4, 1], [3, 1, 5, 1], metric="logit(7)").values.shape
    torch.Size([2, 4])
    """
    _check_what(what)
    bench = open_bench(model, clean, corrupt, metric, layers=layers, heads=heads, tokenizer=tokenizer, target=target)
    places = _by_block(bench.chosen) if what == "residual" else bench.chosen
    method, what = f"attribution of {what}", "z" if what == "head_out" else what  # head_out = z W_O: the same product
    source, goal = bench.read(bench.clean, [(place, what) for place in places])
    before = bench.logits()
    start, slopes = _slopes(bench, what, places)
    tallies = [Tally(place.layer, runs=1, calls=1, reads=source[place.layer.name, what].shape[1]) for place in places]
    rows = []
    for place in places:
        own, slope = slopes[place.layer.name]
        moved = (source[place.layer.name, what] - own) * slope
        axis = 1 if what == "residual" else 2
        chosen = read_positions(positions, moved.shape[axis])
        if what == "residual":
            rows.append({position: float(moved[0, position].double().sum()) + start for position in chosen})
        else:
            heads_ = bench.heads_of(place, what)
            rows.append({head: float(moved[0, head, list(chosen)].double().sum()) + start for head in heads_})
    return _result(bench, method, what, places, rows, start, goal, tallies, before)


def _check_what(what: str) -> None:
    if what not in PATCHABLE:
        raise OptionError(f"patch: what is {what!r}, expected one of {', '.join(PATCHABLE)}.")


def _by_block(places: Sequence[Place]) -> tuple[Place, ...]:
    """Return one place for each block: self- and cross-attention of one block share its stream."""
    return tuple({id(place.require_block()): place for place in reversed(places)}.values())[::-1]


def _write_each(
    bench: Bench,
    method: str,
    what: str,
    places: Sequence[Place],
    source: dict[tuple[str, str], Tensor],
    goal: float | None,
    positions: Choice,
) -> PatchResult:
    before = bench.logits()
    start = float(bench.metric(before[0].float()))
    rows, tallies = [], []
    for place in places:
        tally, values = Tally(place.layer), source[place.layer.name, what]
        chosen = read_positions(positions, values.shape[1 if what == "residual" else 2])
        units = chosen if what == "residual" else bench.heads_of(place, what)
        tally.reads = len(units) if what == "residual" else len(units) * len(chosen)

        def touches(
            batch: Sequence[int],
            place: Place = place,
            values: Tensor = values,
            chosen: Any = chosen,
            tally: Tally = tally,
        ) -> list[Touching]:
            write = _writer(batch, values, None if what == "residual" else chosen, tally)
            return [writing(place, what, tally, write)]

        rows.append(dict(zip(units, bench.run_each(units, touches), strict=True)))
        tallies.append(tally)
    return _result(bench, method, what, places, rows, start, goal, tallies, before)


def _writer(
    batch: Sequence[int], values: Tensor, positions: Sequence[int] | None, tally: Tally
) -> Callable[[Tensor, Tensor], None]:
    """Return what writes unit i of a batch into row i: one position of a stream, or a head at some positions."""

    def write(new: Tensor, places: Tensor) -> None:
        for row, unit in enumerate(batch):
            at = (row, unit) if positions is None else (row, unit, list(positions))
            new[at] = values[(0, *at[1:])].to(new.dtype)
            places[at] = True
        tally.writes += len(batch) * (1 if positions is None else len(positions))

    return write


def _result(
    bench: Bench,
    method: str,
    what: str,
    places: Sequence[Place],
    rows: Sequence[dict[int, float]],
    start: float,
    goal: float | None,
    tallies: Sequence[Tally],
    before: Tensor,
) -> PatchResult:
    columns = sorted({column for row in rows for column in row})
    values = [[row.get(column, float("nan")) for column in columns] for row in rows]
    tokens = bench.corrupt.target_tokens if places[0].layer.stack in ("decoder", "cross") else bench.corrupt.tokens
    by_position = what == "residual"
    names = [
        f"{column} {tokens[column]}" if by_position and column < len(tokens) else str(column) for column in columns
    ]
    return PatchResult(
        method=method,
        source=model_name(bench.model),
        metric=bench.metric.name,
        values=torch.tensor(values, dtype=torch.float64),
        start=start,
        goal=goal,
        layers=tuple(place.layer.name for place in places),
        columns=tuple(names),
        column_kind="position" if by_position else "head",
        receipt=bench.receipt(method, tallies, before),
    )


def _texts(reference: Any) -> list[Any]:
    """Return the reference texts: one text, or a sequence of texts (a sequence of numbers is one text)."""
    several = isinstance(reference, list | tuple) and reference and not isinstance(reference[0], int)
    return list(reference) if several else [reference]


def _means(
    bench: Bench,
    what: str,
    places: Sequence[Place],
    texts: Sequence[Any],
    tokenizer: Any,
    target: Any,
    shapes: dict[tuple[str, str], Tensor],
) -> dict[tuple[str, str], Tensor]:
    """Return the mean over all positions of all texts, in the shape of the text that is run."""
    sums: dict[tuple[str, str], Tensor] = {}
    count = 0
    for text in texts:
        found, _ = bench.read(prepare(bench.model, text, tokenizer, target), [(place, what) for place in places])
        count += next(iter(found.values())).shape[-2]
        for key, value in found.items():
            total = value.double().sum(-2, keepdim=True)
            sums[key] = total if key not in sums else sums[key] + total
    return {key: (total / count).to(shapes[key].dtype).expand_as(shapes[key]) for key, total in sums.items()}


def _slopes(bench: Bench, what: str, places: Sequence[Place]) -> tuple[float, dict[str, tuple[Tensor, Tensor]]]:
    """Return the metric of the corrupt text, and for each layer what stands there with the gradient of the metric."""
    through = "z" if what == "pattern" else what
    own: dict[str, Tensor] = {}
    extra: dict[str, Tensor] = {}
    leaves: dict[str, Tensor] = {}

    def leaf(place: Place) -> Touching:
        def add(given: Tensor) -> Tensor:
            leaves[place.layer.name] = torch.zeros_like(given, requires_grad=True)
            if through == what:
                own[place.layer.name] = given.detach()
            return given + leaves[place.layer.name]

        return Touching(place, through, add)

    def keep(place: Place, name: str, into: dict[str, Tensor]) -> Touching:
        return Touching(place, name, lambda given: into.__setitem__(place.layer.name, given.detach()))

    touches = [leaf(place) for place in places]
    if through != what:
        touches += [keep(place, what, own) for place in places]
    if what == "pattern":
        touches += [keep(place, "v", extra) for place in places]
    with torch.enable_grad(), touching(touches):
        values, _ = metrics_of(bench.model, bench.corrupt.arguments, bench.metric)
        names = list(leaves)
        slopes = torch.autograd.grad(values[0], [leaves[name] for name in names], allow_unused=True)
    found = {
        name: torch.zeros_like(leaves[name]) if slope is None else slope
        for name, slope in zip(names, slopes, strict=True)
    }
    by_name = {place.layer.name: place for place in places}
    return float(values[0].detach()), {
        name: (own[name], _through(what, by_name[name], slope, extra.get(name))) for name, slope in found.items()
    }


def _through(what: str, place: Place, slope: Tensor, value: Tensor | None) -> Tensor:
    """Return the gradient by the pattern from that by z: z = pattern v, so ∂/∂pattern = ∂/∂z vᵀ."""
    if what != "pattern":
        return slope.double()
    assert value is not None
    shared = value.repeat_interleave(place.num_heads // value.shape[1], dim=1)
    return (slope @ shared.transpose(-2, -1)).double()  # (..., q, v) @ (..., v, k) -> (..., q, k)
