"""Mask: the future, hidden by the attention itself or by a mask that is made for it; and padding."""

from typing import Literal

from torch import Tensor

from attention_surgeon.faults.families import CAUSAL, MASK, PADDING
from attention_surgeon.faults.fault import Fault, Operation
from attention_surgeon.faults.mask_content import allow_next_key, change_allowed, invert
from attention_surgeon.masks import causal_mask
from attention_surgeon.ops import Circuit
from attention_surgeon.verdict import Mistake, Sighting


def _hide_nothing(circuit: Circuit) -> Circuit:
    return circuit.replace(pattern=lambda num_queries, num_keys: None)


def _mirror(circuit: Circuit) -> Circuit:
    usual = circuit.pattern

    def mirrored(num_queries: int, num_keys: int) -> Tensor | None:
        pattern = usual(num_keys, num_queries)
        return None if pattern is None else pattern.transpose(-2, -1)

    return circuit.replace(pattern=mirrored)


def _align(align: Literal["start", "end"]) -> Operation:
    """Return the operation that hides the future, counted from the first or from the last key."""

    def causal(num_queries: int, num_keys: int) -> Tensor:
        return causal_mask(num_queries, num_keys, align=align).dense()

    return lambda circuit: circuit.replace(pattern=causal)


FAULTS: tuple[Fault, ...] = (
    Fault(
        Mistake(
            name="causal_missing",
            stage="mask",
            summary="The future is not hidden; every position sees all the others.",
            symptom="There is weight above the diagonal, and changing the last token changes the first output.",
            question="Change the last token of the sequence: may the first output change?",
            pointer="Look for the causal mask: nothing hides what comes after a position.",
            fix='scores = scores.masked_fill(~torch.ones(n, n, dtype=torch.bool).tril(), float("-inf"))',
            sightings=(
                Sighting("keras-team/keras", 23038),
                Sighting("facebookresearch/xformers", 103),
                Sighting("paiml/entrenar", 310),
            ),
        ),
        families=CAUSAL | MASK,
        in_training=(
            "The loss falls to almost nothing, because each position can see the token it has to predict; what "
            "the model writes is nonsense."
        ),
        operate=_hide_nothing,
    ),
    Fault(
        Mistake(
            name="causal_reversed",
            stage="mask",
            summary="The past is hidden instead of the future: triu and tril are exchanged.",
            symptom="The weights are an upper triangle, and the last row is all on the last key.",
            question="Draw the mask for three tokens: whom does the last one see?",
            pointer="Look at the triangle: it is the upper one, where the lower one may be seen.",
            fix="mask = torch.ones(n, n, dtype=torch.bool).tril()  # True = may attend",
            sightings=(Sighting("pytorch/examples", 649),),
        ),
        families=CAUSAL | MASK,
        in_training=(
            "The loss falls to almost nothing, because the answer can be seen; to write, the last position sees "
            "only itself."
        ),
        operate=_mirror,
        wraps=True,
    ),
    Fault(
        Mistake(
            name="causal_aligned_at_start",
            stage="mask",
            summary=(
                "With fewer queries than keys, the first query is taken for the first position; the last should be "
                "the last."
            ),
            symptom="With n_q = n_k all is right. With one query and many keys all the weight lies on key 0.",
            question="One new token, ten earlier ones in the cache: how many keys should it see?",
            pointer="Look at the causal mask for n_q < n_k: the last query belongs to the last key.",
            fix="mask = torch.ones(n_q, n_k, dtype=torch.bool).tril(n_k - n_q)",
            sightings=(
                Sighting("onnx/onnx", 8068, "pull"),
                Sighting("pytorch/executorch", 21749, "pull"),
                Sighting("pytorch/pytorch", 103082),
            ),
        ),
        families=CAUSAL | MASK,
        in_training=(
            "Nothing, with as many queries as keys. When writing with a cache, the newest token sees only the oldest."
        ),
        operate=_align("start"),
    ),
    Fault(
        Mistake(
            name="causal_aligned_at_end",
            stage="mask",
            summary=(
                "With n_q != n_k the last query is taken for the last position; here the first query is the first "
                "position."
            ),
            symptom="With n_q = n_k all is right. With fewer queries than keys the first query sees more than key 0.",
            question="Two queries, five keys: which key is the first query's own, by the rule asked for here?",
            pointer="Look at the causal mask for n_q != n_k: here positions are counted from the first key.",
            fix="mask = torch.ones(n_q, n_k, dtype=torch.bool).tril()",
            sightings=(Sighting("openvinotoolkit/openvino", 36680, "pull"),),
        ),
        families=CAUSAL | MASK,
        in_training="Nothing, with as many queries as keys.",
        operate=_align("end"),
    ),
    Fault(
        Mistake(
            name="padding_inverted",
            stage="mask",
            summary="The mask is True for the padding and False for the tokens.",
            symptom="Each row has as many True as there is padding, and they stand at its end.",
            question="A sequence of three tokens, padded to five: which of the five should be True?",
            pointer="Look at the comparison: it is true for what lies beyond the length, or for the padding token.",
            fix="mask = torch.arange(n) < lengths[:, None]  # or tokens != pad_id",
            sightings=(Sighting("nyu-mll/jiant", 465, "pull"),),
        ),
        families=PADDING,
        in_training="The model reads padding only: it learns the average answer and no more.",
        operate=change_allowed(invert),
        wraps=True,
    ),
    Fault(
        Mistake(
            name="padding_off_by_one",
            stage="mask",
            summary="The first position of the padding counts as a token.",
            symptom="Each row has one True more than the sequence has tokens, unless it is full.",
            question="A sequence of three tokens: how many True has its row?",
            pointer="Look at the comparison: position and length, with < or with <=.",
            fix="mask = torch.arange(n) < lengths[:, None]  # not <=",
        ),
        families=PADDING,
        in_training="Hardly anything, and the same sentence gets another answer in a longer batch.",
        operate=change_allowed(allow_next_key),
        wraps=True,
    ),
)
