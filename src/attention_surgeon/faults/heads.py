"""Heads: how one wide vector is cut into heads, and how they are put together again."""

from torch import Tensor

from attention_surgeon.errors import ShapeError
from attention_surgeon.faults._draft import draft
from attention_surgeon.faults.families import LAYERS
from attention_surgeon.faults.fault import Fault
from attention_surgeon.ops import Circuit, Operands


def _split_by_view(circuit: Circuit) -> Circuit:
    def view_heads(x: Tensor, num_heads: int) -> Tensor:
        return x.reshape(*x.shape[:-2], num_heads, x.shape[-2], x.shape[-1] // num_heads)

    return circuit.replace(split=view_heads)


def _merge_without_transpose(circuit: Circuit) -> Circuit:
    def reshape_heads(x: Tensor) -> Tensor:
        heads, n, size = x.shape[-3:]
        return x.reshape(*x.shape[:-3], n, heads * size)

    return circuit.replace(merge=reshape_heads)


def _split_strided(circuit: Circuit) -> Circuit:
    def deal_features(x: Tensor, num_heads: int) -> Tensor:
        dealt = x.unflatten(-1, (x.shape[-1] // num_heads, num_heads))  # (..., n, width) -> (..., n, size, heads)
        return dealt.movedim(-1, -3)  # (..., n, size, heads) -> (..., heads, n, size)

    def collect_features(x: Tensor) -> Tensor:
        return x.movedim(-3, -1).flatten(-2)  # (..., heads, n, size) -> (..., n, size * heads)

    return circuit.replace(split=deal_features, merge=collect_features)


def _leave_unsplit(circuit: Circuit) -> Circuit:
    def one_wide_head(x: Tensor, num_heads: int) -> Tensor:
        return x.unsqueeze(-3)  # (..., n, width) -> (..., 1, n, width)

    def as_is(x: Tensor, num_heads: int) -> Tensor:
        return x

    def drop_head_axis(x: Tensor) -> Tensor:
        return x.squeeze(-3)

    return circuit.replace(split=one_wide_head, share=as_is, merge=drop_head_axis)


def _average_weights(circuit: Circuit) -> Circuit:
    usual = circuit.mechanism.normalise

    def normalise_and_average(masked: Tensor, operands: Operands) -> Tensor:
        if masked.ndim < 4:
            raise ShapeError(f"heads_averaged: the scores have shape {tuple(masked.shape)}, without an axis of heads.")
        weights = usual(masked, operands)
        return weights.mean(-3, keepdim=True).expand_as(weights)

    return circuit.replace(normalise=normalise_and_average)


def _average_outputs(circuit: Circuit) -> Circuit:
    usual = circuit.merge
    return circuit.replace(merge=lambda x: usual(x.mean(-3, keepdim=True).expand_as(x)))


def _take_first_head(circuit: Circuit) -> Circuit:
    usual = circuit.merge
    return circuit.replace(merge=lambda x: usual(x[..., :1, :, :].expand_as(x)))


def _tile_shared(circuit: Circuit) -> Circuit:
    def tile_heads(x: Tensor, num_heads: int) -> Tensor:
        return x.tile(num_heads // x.shape[-3], 1, 1)  # heads 0 1 -> 0 1 0 1 0 1

    return circuit.replace(share=tile_heads)


def _reverse(circuit: Circuit) -> Circuit:
    usual = circuit.merge
    return circuit.replace(merge=lambda x: usual(x.flip(-3)))


def _attend_over_batch(circuit: Circuit) -> Circuit:
    split, merge = circuit.split, circuit.merge

    def split_other_way_round(x: Tensor, num_heads: int) -> Tensor:
        return split(x.transpose(0, -2), num_heads)  # (batch, n, width) is taken for (n, batch, width)

    def merge_other_way_round(x: Tensor) -> Tensor:
        return merge(x).transpose(0, -2)

    return circuit.replace(split=split_other_way_round, merge=merge_other_way_round)


def _attend_over_heads(circuit: Circuit) -> Circuit:
    def heads_in_place(x: Tensor, num_heads: int) -> Tensor:
        return x.unflatten(-1, (num_heads, x.shape[-1] // num_heads))  # (..., n, width) -> (..., n, heads, size)

    def share_in_place(x: Tensor, num_heads: int) -> Tensor:
        return x.repeat_interleave(num_heads // x.shape[-2], dim=-2)

    def flatten_in_place(x: Tensor) -> Tensor:
        return x.flatten(-2)  # (..., n, heads, size) -> (..., n, width)

    return circuit.replace(split=heads_in_place, share=share_in_place, merge=flatten_in_place)


FAULTS: tuple[Fault, ...] = (
    draft(
        "heads_split_by_view",
        "heads",
        LAYERS,
        "The width is cut by a reshape that mixes positions and heads.",
        _split_by_view,
    ),
    draft(
        "heads_merged_without_transpose",
        "heads",
        LAYERS,
        "The last reshape mixes positions and heads.",
        _merge_without_transpose,
    ),
    draft("heads_strided", "heads", LAYERS, "Feature f goes to head f % h.", _split_strided),
    draft("heads_not_split", "heads", LAYERS, "num_heads is not used: there is one wide head.", _leave_unsplit),
    draft("heads_averaged", "heads", LAYERS, "All heads use the mean of their weights.", _average_weights, wraps=True),
    draft(
        "head_outputs_averaged",
        "heads",
        LAYERS,
        "The outputs of the heads are averaged, not joined.",
        _average_outputs,
        wraps=True,
    ),
    draft("first_head_only", "heads", LAYERS, "Only the first head comes out.", _take_first_head, wraps=True),
    draft("heads_tiled", "heads", {"grouped"}, "Shared heads are tiled, not repeated beside themselves.", _tile_shared),
    draft("heads_reversed", "heads", LAYERS, "The heads are joined in reverse order.", _reverse, wraps=True),
    draft(
        "attends_over_batch",
        "heads",
        LAYERS,
        "The axes of sequences and positions are mixed up.",
        _attend_over_batch,
        wraps=True,
    ),
    draft("attends_over_heads", "heads", LAYERS, "The heads of one position attend to each other.", _attend_over_heads),
)
