"""Heads: how one wide vector is cut into heads, and how they are put together again."""

from torch import Tensor

from attention_surgeon.errors import ShapeError
from attention_surgeon.faults.families import GROUPED, LAYERS
from attention_surgeon.faults.fault import Fault
from attention_surgeon.ops import Circuit, Operands
from attention_surgeon.verdict import Mistake, Sighting


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
    Fault(
        Mistake(
            name="heads_split_by_view",
            stage="heads",
            summary=(
                "The width is cut into heads by one view to (batch, heads, n, size); positions and heads are mixed up."
            ),
            symptom="With one head all is right. Otherwise row 0 of head 1 holds numbers of a later position.",
            question="Which numbers of which position stand in row 0 of head 1?",
            pointer=(
                "Look at the reshape into heads: view keeps the order in memory. First split the last axis, then "
                "transpose."
            ),
            fix="x.view(batch, n, heads, size).transpose(1, 2)  # not view(batch, heads, n, size)",
            sightings=(Sighting("reczoo/FuxiCTR", 30), Sighting("zhouhaoyi/Informer2020", 59)),
        ),
        families=LAYERS,
        in_training=(
            "A causal model sees the future, as rows of a head hold later positions: the loss falls far below "
            "what is possible, and it writes badly."
        ),
        operate=_split_by_view,
    ),
    Fault(
        Mistake(
            name="heads_merged_without_transpose",
            stage="merge",
            summary="The heads are put together by a reshape alone; an output row holds several positions of one head.",
            symptom="With one head, or one position, all is right. The numbers are all there, in the wrong rows.",
            question="Output row 0: is it made of all heads at position 0, or of one head at several positions?",
            pointer="Look at the last reshape: heads and positions must change places before it.",
            fix="output = heads.transpose(1, 2).reshape(batch, n, heads * size)",
            sightings=(
                Sighting("jsbaan/transformer-from-scratch", 6, "pull"),
                Sighting("ajhalthor/Transformer-Neural-Network", 4, "pull"),
                Sighting("hackiey/QAnet-pytorch", 2),
                Sighting("meta-pytorch/opacus", 825, "pull"),
            ),
        ),
        families=LAYERS,
        in_training=(
            "A causal model sees the future in its merged rows: the loss falls below what is possible, and it "
            "writes badly."
        ),
        operate=_merge_without_transpose,
    ),
    Fault(
        Mistake(
            name="heads_strided",
            stage="heads",
            summary="Feature f goes to head f % h, dealt like cards; the first features should be head 0.",
            symptom="With one head, or heads of size 1, all is right. Head 0 holds the features 0, h, 2h, ...",
            question="The first few numbers of a position: do they belong to one head, or to one head each?",
            pointer="Look at how the last axis is cut: (heads, size), not (size, heads).",
            fix='einops.rearrange(x, "b n (h d) -> b h n d", h=heads)  # not (d h)',
        ),
        families=LAYERS,
        in_training="Trained from scratch nothing shows: features have no order. Trained weights give nonsense.",
        operate=_split_strided,
    ),
    Fault(
        Mistake(
            name="heads_not_split",
            stage="heads",
            summary="num_heads is not used; there is one head of the full width.",
            symptom="The number of heads makes no difference, and there is one matrix of weights.",
            question="Build it with two heads and with four, with the same weights: what changes?",
            pointer="Look for the place where the width is cut into heads: it is missing.",
            fix="query = query.view(batch, n, heads, size).transpose(1, 2)  # key and value likewise",
        ),
        families=LAYERS,
        in_training="Learns, with one pattern of weights where several were wanted.",
        operate=_leave_unsplit,
    ),
    Fault(
        Mistake(
            name="heads_averaged",
            stage="heads",
            summary="The weights are averaged over the heads, and all heads gather with the mean.",
            symptom="All heads have the same weights; rows sum to 1.",
            question="Why have several heads, if they all look at the same places?",
            pointer="Look between the softmax and the values: the weights lose their axis of heads.",
            fix="output = weights @ value  # (batch, heads, n_q, n_k) @ (batch, heads, n_k, size)",
        ),
        families=LAYERS,
        in_training="Learns a little worse: the heads cannot look at different places.",
        operate=_average_weights,
        wraps=True,
    ),
    Fault(
        Mistake(
            name="head_outputs_averaged",
            stage="merge",
            summary="The outputs of the heads are averaged, not put side by side.",
            symptom="Before the output projection, every block of the output is the same.",
            question="Three heads found three things: how wide must a row be that keeps all of them?",
            pointer="Look at how the heads are put together: by a mean, where they should stand side by side.",
            fix="output = heads.transpose(1, 2).flatten(-2)",
        ),
        families=LAYERS,
        in_training="Learns a little worse: what the heads found is blurred into one.",
        operate=_average_outputs,
        wraps=True,
    ),
    Fault(
        Mistake(
            name="first_head_only",
            stage="merge",
            summary="Only the first head comes out; it stands in the place of all of them.",
            symptom="Changing the projections of any head but the first changes nothing.",
            question="Change the projections of the last head: what changes in your output?",
            pointer="Look at how the heads are put together: an index of 0 takes one of them, and drops the rest.",
            fix="output = heads.transpose(1, 2).flatten(-2)",
        ),
        families=LAYERS,
        in_training="Learns a little worse, and the other heads get no gradient.",
        operate=_take_first_head,
        wraps=True,
    ),
    Fault(
        Mistake(
            name="heads_tiled",
            stage="heads",
            summary="Shared key/value heads are tiled, 0 1 0 1, instead of repeated beside themselves, 0 0 1 1.",
            symptom=(
                "With one shared head, or as many as query heads, all is right. Otherwise query head 1 reads the "
                "wrong one."
            ),
            question="Four query heads, two shared heads: whom does query head 1 share with, head 0 or head 3?",
            pointer="Look at how the shared heads are multiplied: repeat and tile copy the whole row of heads.",
            fix="key = key.repeat_interleave(num_heads // num_kv_heads, dim=1)",
            sightings=(
                Sighting("apple/axlearn", 842, "pull"),
                Sighting("ekzhang/jax-js", 180, "pull"),
                Sighting("onnx/onnx", 7274, "pull"),
            ),
        ),
        families=GROUPED,
        in_training=(
            "Trained from scratch nothing shows: it is another way to form groups. Trained weights give nonsense."
        ),
        operate=_tile_shared,
    ),
    Fault(
        Mistake(
            name="heads_reversed",
            stage="merge",
            summary="The heads are put together in reverse order.",
            symptom="With one head all is right. The blocks of the merged output are there, last one first.",
            question="Which head should the first numbers of the merged row come from?",
            pointer="Look at how the heads are put together: the first one must come first.",
            fix="output = torch.cat(heads, dim=-1)  # in the order in which they were cut",
        ),
        families=LAYERS,
        in_training="Trained from scratch nothing shows: heads have no order. Trained weights give nonsense.",
        operate=_reverse,
        wraps=True,
    ),
    Fault(
        Mistake(
            name="attends_over_batch",
            stage="heads",
            summary=(
                "Sequences and positions are taken for each other: a position attends to the same position of other "
                "sequences."
            ),
            symptom="The weights are (batch, batch). In a batch of one all of them are 1.",
            question="Take one sequence out of the batch: may the answer of another one change?",
            pointer=(
                "Look at which axis is the batch: nn.MultiheadAttention expects (n, batch, width) unless "
                "batch_first=True."
            ),
            fix="nn.MultiheadAttention(embed_dim, num_heads, batch_first=True)",
            sightings=(
                Sighting("IBM/TabFormer", 14, "pull"),
                Sighting("om-ai-lab/OmDet", 19),
                Sighting("Exorust/TorchLeet", 5),
                Sighting("aipixel/AEMatter", 3),
            ),
        ),
        families=LAYERS,
        in_training="No position learns of its neighbours, and a sequence gets another answer in other company.",
        operate=_attend_over_batch,
        wraps=True,
    ),
    Fault(
        Mistake(
            name="attends_over_heads",
            stage="heads",
            summary=(
                "The heads of one position attend to each other; heads and positions were not transposed before the "
                "product."
            ),
            symptom="The weights are (n, heads, heads), and changing one position changes no other row.",
            question="What are the last two sizes of your scores: numbers of positions, or of heads?",
            pointer="Look at the axes before the product: positions must stand next to last, heads before them.",
            fix="query = query.view(batch, n, heads, size).transpose(1, 2)  # key and value likewise",
        ),
        families=LAYERS,
        in_training="No position learns of another one: the model gets no further than counting pairs.",
        operate=_attend_over_heads,
    ),
)
