"""Scale: where it is applied, and whether the switch that asks for it is obeyed."""

from torch import Tensor

from attention_surgeon.faults.families import ATTENTION, FIVE_STEPS
from attention_surgeon.faults.fault import Fault
from attention_surgeon.ops import Circuit, Operands, divide_by_root_key_size, leave_unscaled
from attention_surgeon.verdict import Mistake, Sighting


def _scale_weights(circuit: Circuit) -> Circuit:
    usual, scale = circuit.mechanism.normalise, circuit.mechanism.scale

    def normalise_then_scale(masked: Tensor, operands: Operands) -> Tensor:
        return scale(usual(masked, operands), operands)

    return circuit.replace(scale=leave_unscaled, normalise=normalise_then_scale)


def _scale(circuit: Circuit) -> Circuit:
    return circuit.replace(scale=divide_by_root_key_size)


def _scale_whatever_is_asked(circuit: Circuit) -> Circuit:
    return circuit.replace(use_scale=lambda asked: True)


def _invert_flag(circuit: Circuit) -> Circuit:
    usual = circuit.use_scale
    return circuit.replace(use_scale=lambda asked: usual(not asked))


FAULTS: tuple[Fault, ...] = (
    Fault(
        Mistake(
            name="scale_after_softmax",
            stage="scale",
            summary="The weights are divided by √d_k, after the softmax; the scores are not.",
            symptom="Every row sums to 1/√d_k.",
            question="What does one row of your weights sum to, and why that number?",
            pointer="Look at the order of the two lines: the scale comes after the softmax, and must come before.",
            fix="weights = torch.softmax(scores / math.sqrt(d_k), dim=-1)",
            sightings=(Sighting("FrancescoSaverioZuppichini/ViT", 2),),
        ),
        families=FIVE_STEPS,
        in_training="Learns, with too small an output and too sharp weights.",
        operate=_scale_weights,
        wraps=True,
    ),
    Fault(
        Mistake(
            name="scale_flag_ignored",
            stage="scale",
            summary="With scale=False the scores are scaled all the same.",
            symptom="scale=True and scale=False give the same numbers.",
            question="Call it with the switch on, then off: what changes?",
            pointer="Look at the argument `scale`: nothing asks for its value.",
            fix="if scale:\n    scores = scores / math.sqrt(d_k)",
        ),
        families=ATTENTION,
        in_training="Nothing, unless somebody compares training with and without the scale: the two runs are the same.",
        operate=_scale_whatever_is_asked,
    ),
    Fault(
        Mistake(
            name="scale_flag_inverted",
            stage="scale",
            summary="scale=True leaves the scores as they are, and scale=False divides them.",
            symptom="scale=False gives what scale=True should, and the other way round.",
            question="Which of your two calls, with the switch on and off, gives the sharper weights?",
            pointer="Look at the condition around the scale: it is the wrong way round.",
            fix="if scale:\n    scores = scores / math.sqrt(d_k)",
        ),
        families=ATTENTION,
        in_training="As without the scale, since the switch is usually left on.",
        operate=_invert_flag,
        wraps=True,
    ),
    Fault(
        Mistake(
            name="scale_not_asked",
            stage="scale",
            summary="The scores are divided by √d_k, though unscaled attention is asked for here.",
            symptom="log(w_i / w_j) is √d_k times too small for plain q · k.",
            question="What exactly is asked for here: softmax(Q Kᵀ), or something more?",
            pointer="Look between the scores and the softmax: you divide, and this attention does not.",
            fix="weights = torch.softmax(query @ key.transpose(-2, -1), dim=-1)",
        ),
        families=FIVE_STEPS,
        in_training=(
            "Learns as well or better; it is only not what the exercise, or the model whose weights you load, does."
        ),
        operate=_scale,
    ),
)
