"""One path through the model at a time: from a head straight to the logits, or straight into another head.

Everything between the two ends stays as it was in the corrupt run: what the sender adds is changed for the receiver
alone, in the residual stream in front of it, not for the layers and MLPs on the way. Source: Wang et al. 2022,
"Interpretability in the Wild", appendix B; Goldowsky-Dill et al. 2023, "Localizing Model Behavior with Path Patching".
Direct logit attribution: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits".
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from attention_surgeon.errors import OptionError, SurgeryError
from attention_surgeon.models import Decoder
from attention_surgeon.surgery.choose import Choice
from attention_surgeon.surgery.inputs import TextLike, call_model
from attention_surgeon.surgery.layers import model_name
from attention_surgeon.surgery.patching.anatomy import Place, linear_matrix
from attention_surgeon.surgery.patching.metric import MetricLike
from attention_surgeon.surgery.patching.result import PatchResult
from attention_surgeon.surgery.patching.runs import Bench, open_bench, repeated
from attention_surgeon.surgery.patching.touching import Touching, reading, touching, writing
from attention_surgeon.surgery.receipt import Tally

Receiver = tuple[int | str, int]
"""A head by layer and number: `(5, 1)`, `("decoder 5", 1)`."""

_SAME = 1e-4


def path_patch(
    model: nn.Module,
    clean: TextLike,
    corrupt: TextLike,
    *,
    metric: MetricLike,
    to: Receiver | str = "logits",
    through: str = "v",
    layers: Choice = None,
    heads: Choice = None,
    tokenizer: Any = None,
) -> PatchResult:
    """Put what each head added on the clean text into one path of a run of the corrupt text, and measure.

    Args:
        model: A model in which heads add to the residual stream without a norm in between (gpt2, llama, mistral, qwen3,
            ...; not bert or gemma2, which are refused).
        clean: As for `patch`.
        corrupt: As for `patch`.
        metric: As for `patch`.
        to: `"logits"`: the stream behind the last layer; or a head, `(layer, head)`, of a later layer.
        through: Where the path enters a head: its `q`, `k` or `v`.
        layers: Of the senders; as for `patch`. Layers from the receiver's on are left out.
        heads: Of the senders.
        tokenizer: As for `patch`.

    Raises:
        OptionError: no such receiver, or no layer in front of it.
        SurgeryError: as `patch`; a layer whose heads do not add to the stream.

    >>> from attention_surgeon.models import Decoder, DecoderConfig
    >>> model = Decoder(DecoderConfig(vocabulary_size=11)).eval()
    >>> path_patch(model, [3, 1, 4], [3, 5, 4], metric="logit(7)", to=(1, 0), through="k").method
    'path to k of head 1.0'
    """
    bench = open_bench(model, clean, corrupt, metric, layers=layers, heads=heads, tokenizer=tokenizer)
    receiver = None if to == "logits" else _receiver(bench, to, through)
    senders = bench.chosen if receiver is None else _before(bench, receiver[0])
    for place in bench.places[bench.places.index(senders[0]) :]:
        place.require_stream()
    before = bench.logits()
    clean_parts, goal = bench.read(bench.clean, [(place, "head_out") for place in senders])
    parts, start = bench.read(bench.corrupt, [(place, "head_out") for place in senders])
    rows, tallies = [], []
    for place in senders:
        key = (place.layer.name, "head_out")
        units, tally = bench.heads_of(place, "z"), Tally(place.layer)
        moved = (clean_parts[key] - parts[key])[0]
        tally.reads = len(units)
        send = _sending(bench, moved, tally, receiver, through)
        rows.append(dict(zip(units, bench.run_each(units, send), strict=True)))
        tallies.append(tally)
    where = "logits" if receiver is None else f"{through} of head {receiver[0].layer.name}.{receiver[1]}"
    return _table(bench, f"path to {where}", senders, rows, start, goal, bench.receipt("path", tallies, before))


def logit_attribution(
    model: nn.Module,
    text: TextLike,
    *,
    metric: MetricLike,
    layers: Choice = None,
    heads: Choice = None,
    tokenizer: Any = None,
) -> PatchResult:
    """Split a difference of logits into what each head adds to it directly, the last norm's scale held as it is.

    The heads, and `rest` (embeddings, MLPs, biases), add up to the model's own number; that is checked, and refused
    where it is not so.

    Args:
        model: As for `path_patch`; also one whose last stream goes through one norm and one matrix to the logits.
        text: As for `capture`.
        metric: A sum of logits as text, such as `"logit( mat) - logit( dog)"`.
        layers: As for `patch`.
        heads: As for `patch`.
        tokenizer: As for `patch`.

    Raises:
        OptionError: a metric that is no sum of logits.
        SurgeryError: as `path_patch`; the way from the stream to the logits is not a norm and a matrix.

    >>> from attention_surgeon.models import Decoder, DecoderConfig
    >>> model = Decoder(DecoderConfig(vocabulary_size=11)).eval()
    >>> found = logit_attribution(model, [3, 1, 4], metric="logit(7) - logit(2)")
    >>> bool(abs(float(found.values.sum()) + found.rest - found.goal) < 1e-5)
    True
    """
    bench = open_bench(model, text, text, metric, layers=layers, heads=heads, tokenizer=tokenizer)
    if not bench.metric.directions:
        raise OptionError(
            f"logit_attribution: metric is {bench.metric.name!r}, expected a sum of logits: 'logit( a) - logit( b)'."
        )
    for place in bench.places:
        place.require_stream()
    before, last = bench.logits(), bench.places[-1]
    parts, _ = bench.read(bench.clean, [(place, "head_out") for place in bench.chosen])
    direction, constant, stream = _read_off(bench, last)
    at = bench.metric.place
    whole = float(stream[0, at].double() @ direction) + constant
    rows, tallies, total = [], [], 0.0
    for place in bench.chosen:
        added = parts[place.layer.name, "head_out"][0, :, at].double() @ direction
        units = bench.heads_of(place, "z")
        rows.append({head: float(added[head]) for head in units})
        total += sum(rows[-1].values())
        tallies.append(Tally(place.layer, runs=1, calls=1, reads=len(units)))
    receipt = bench.receipt("logit attribution", tallies, before)
    return _table(bench, "direct logit attribution", bench.chosen, rows, 0.0, whole, receipt, rest=whole - total)


def _receiver(bench: Bench, to: object, through: str) -> tuple[Place, int]:
    if through not in ("q", "k", "v"):
        raise OptionError(f"path_patch: through is {through!r}, expected 'q', 'k' or 'v'.")
    if not isinstance(to, tuple) or len(to) != 2:
        raise OptionError(f"path_patch: to is {to!r}, expected 'logits' or (layer, head), such as (5, 1).")
    layer, head = to
    found = next((place for place in bench.places if place.layer.name == str(layer)), None)
    if found is None or not isinstance(head, int) or not 0 <= head < found.num_heads:
        known = f"{bench.places[0].layer.name} to {bench.places[-1].layer.name}"
        raise OptionError(f"path_patch: there is no head {layer}.{head}; the layers are {known}.")
    return found, head


def _before(bench: Bench, receiver: Place) -> tuple[Place, ...]:
    end = bench.places.index(receiver)
    senders = tuple(place for place in bench.chosen if bench.places.index(place) < end)
    if not senders:
        raise OptionError(f"path_patch: no chosen layer stands before layer {receiver.layer.name}.")
    return senders


def _sending(
    bench: Bench, moved: Tensor, tally: Tally, receiver: tuple[Place, int] | None, through: str
) -> Callable[[Sequence[int]], list[Touching]]:
    """Return what lets each row of a batch of senders move the receiver alone."""

    def add(batch: Sequence[int]) -> Callable[[Tensor, Tensor], None]:
        def write(new: Tensor, places: Tensor) -> None:
            for row, head in enumerate(batch):
                new[row] += moved[head].to(new.dtype)
            places[: len(batch)] = True
            tally.writes += len(batch)

        return write

    def send(batch: Sequence[int]) -> list[Touching]:
        if receiver is None:
            return [writing(bench.places[-1], "residual_after", tally, add(batch))]
        place, head = receiver
        moved_in: dict[tuple[str, str], Tensor] = {}
        with touching([writing(place, "residual", tally, add(batch)), reading(place, through, moved_in)]):
            call_model(bench.model, repeated(bench.corrupt.arguments, len(batch)))
        at = head if through == "q" else head * place.num_kv_heads // place.num_heads

        def receive(new: Tensor, places: Tensor) -> None:
            new[:, at] = moved_in[place.layer.name, through][:, at]
            places[:, at] = True

        return [writing(place, through, tally, receive)]

    return send


def _read_off(bench: Bench, last: Place) -> tuple[Tensor, float, Tensor]:
    """Return by which vector the last stream is read, what is added to it, and the stream.

    Raises:
        SurgeryError: a norm and a matrix do not give the model's own logits.
    """
    stream: dict[tuple[str, str], Tensor] = {}
    norms: list[tuple[nn.Module, Tensor]] = []

    def see(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        behind = stream.get((last.layer.name, "residual_after"))
        first = inputs[0] if inputs else None
        if behind is not None and isinstance(first, Tensor) and isinstance(output, Tensor):
            is_same = first.shape == behind.shape == output.shape and torch.equal(first, behind)
            if is_same and not isinstance(module, nn.Dropout | nn.Identity):
                norms.append((module, output))

    hooks = [module.register_forward_hook(see) for module in bench.model.modules()]
    try:
        with torch.no_grad(), touching([reading(last, "residual_after", stream)]):
            logits, _ = call_model(bench.model, bench.clean.arguments)
    finally:
        for hook in hooks:
            hook.remove()
    assert logits is not None
    at, behind = bench.metric.place, stream[last.layer.name, "residual_after"]
    head = unembedding(bench.model)
    if not norms or head is None:
        raise SurgeryError(_no_way(bench.model))
    ids = [token for token, _ in bench.metric.directions]
    signs = torch.tensor([sign for _, sign in bench.metric.directions], dtype=torch.float64)
    matrix, bias = head
    wanted, offset = signs @ matrix[ids].double(), float(signs @ bias[ids].double())
    module, normed = norms[0]
    gain, is_centred, constant = _frozen_norm(behind[0, at].double(), normed[0, at].double(), module)
    direction = wanted * gain
    direction = direction - direction.mean() if is_centred else direction
    shift = offset + float(wanted @ constant)
    own = float(signs @ logits[0, at, ids].double())
    found = float(behind[0, at].double() @ direction) + shift
    if not abs(found - own) <= _SAME * max(abs(own), float(logits[0, at].abs().max())):
        raise SurgeryError(_no_way(bench.model))
    return direction, shift, behind


def unembedding(model: nn.Module) -> tuple[Tensor, Tensor] | None:
    """Return the matrix from the stream to the logits, `(vocabulary, width)`, and its bias."""
    if isinstance(model, Decoder):
        weight = (model.token_embedding if model.head is None else model.head).weight.detach()
        return weight, torch.zeros(weight.shape[0])
    get: Any = getattr(model, "get_output_embeddings", None)
    head = get() if callable(get) else None
    if not isinstance(head, nn.Module) or not isinstance(getattr(head, "weight", None), Tensor):
        return None
    weight: Any = head.weight
    bias: Any = getattr(head, "bias", None)
    matrix = linear_matrix(head, weight.shape[1]).T
    return matrix, torch.zeros(matrix.shape[0]) if bias is None else bias.detach()


def _frozen_norm(x: Tensor, normed: Tensor, module: nn.Module) -> tuple[Tensor, bool, Tensor]:
    """Return a norm at one position as the gain of each number of the stream, whether its mean is taken away first, and
    what is added. Which kind it is, is found by what it gave; NaN where it is none.
    """
    weight: Any = getattr(module, "weight", None)
    own = torch.ones_like(x) if weight is None else weight.detach().double()
    bias: Any = getattr(module, "bias", None)
    shift = torch.zeros_like(x) if bias is None else bias.detach().double()
    for is_centred in (False, True):
        base = x - x.mean() if is_centred else x
        for gain in (own, 1.0 + own):  # gemma keeps its weights around 0
            shape = base * gain
            scale = float((normed - shift) @ shape) / max(float(shape @ shape), 1e-300)
            if torch.allclose(shape * scale + shift, normed, rtol=_SAME, atol=_SAME * float(normed.abs().max())):
                return gain * scale, is_centred, shift
    return torch.full_like(x, float("nan")), False, shift


def _no_way(model: nn.Module) -> str:
    return (
        f"{model_name(model)}: the way from the last layer to the logits is not one norm and one matrix (a cap, a "
        f"scale or a head of several layers), so a head has no direct share in them; path_patch(to='logits') measures "
        f"it."
    )


def _table(
    bench: Bench,
    method: str,
    places: Sequence[Place],
    rows: Sequence[dict[int, float]],
    start: float,
    goal: float | None,
    receipt: Any,
    rest: float | None = None,
) -> PatchResult:
    columns = sorted({column for row in rows for column in row})
    values = [[row.get(column, float("nan")) for column in columns] for row in rows]
    return PatchResult(
        method=method,
        source=model_name(bench.model),
        metric=bench.metric.name,
        values=torch.tensor(values, dtype=torch.float64),
        start=start,
        goal=goal,
        layers=tuple(place.layer.name for place in places),
        columns=tuple(str(column) for column in columns),
        column_kind="head",
        receipt=receipt,
        rest=rest,
    )
