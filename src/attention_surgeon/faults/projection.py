"""Projection: the linear layers before and after the five steps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from torch import Tensor, nn

from attention_surgeon.faults.families import LAYERS
from attention_surgeon.faults.fault import Fault, Operation
from attention_surgeon.ops import Circuit, Linears
from attention_surgeon.verdict import Mistake, Sighting

_INPUT_ROLES = ("query", "key", "value")


class Affine(Protocol):
    """What is read of a projection, under the names of `nn.Linear`.

    Attributes:
        weight: `(out, in)`, or None for a projection that is not there.
        bias: `(out,)`, or None.
    """

    weight: Tensor | None
    bias: Tensor | None


@dataclass(frozen=True)
class Projection:
    """A projection made of tensors that are there already."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, x: Tensor) -> Tensor:
        """Return `x weightᵀ + bias`."""
        return nn.functional.linear(x, self.weight, self.bias)


def _change_linears(change: Callable[[Linears], Linears]) -> Operation:
    """Return the operation after which the layer projects with other matrices."""

    def operation(circuit: Circuit) -> Circuit:
        usual = circuit.project

        def project(x: Tensor, role: str, linears: Linears) -> Tensor:
            return usual(x, role, change(linears))

        return circuit.replace(project=project)

    return operation


def _without_bias(*roles: str) -> Callable[[Linears], Linears]:
    def change(linears: Linears) -> Linears:
        changed = dict(linears)
        for role in roles:
            linear = cast(Affine, linears[role])
            if getattr(linear, "weight", None) is not None:
                changed[role] = Projection(cast(Tensor, linear.weight), None)
        return changed

    return change


def _without_output(linears: Linears) -> Linears:
    return {**linears, "output": nn.Identity()}


def _transposed(linears: Linears) -> Linears:
    changed = dict(linears)
    for role, linear in linears.items():
        weight = getattr(linear, "weight", None)
        if weight is not None:
            changed[role] = Projection(weight.T, cast(Affine, linear).bias)
    return changed


def _shared(linears: Linears) -> Linears:
    return {**linears, **dict.fromkeys(_INPUT_ROLES, linears["query"])}


def _add_input(circuit: Circuit) -> Circuit:
    usual = circuit.join
    return circuit.replace(join=lambda x, output: usual(x, output) + x)


FAULTS: tuple[Fault, ...] = (
    Fault(
        Mistake(
            name="bias_dropped",
            stage="projection",
            summary="Query, key and value are projected without their biases.",
            symptom="An input of zeros gives Q = K = V = 0, although the layer holds biases that are not 0.",
            question=(
                "What are Q, K and V when the input is all zeros, and what would the linear layers themselves give?"
            ),
            pointer="Look at how query, key and value are projected: the weights are used, the biases are not.",
            fix="query = F.linear(x, w_query, b_query)  # key and value likewise",
            sightings=(Sighting("sbryngelson/ANEForge", 253, "pull"), Sighting("paiml/entrenar", 258)),
        ),
        families=LAYERS,
        in_training="Trains about as well. Weights that were trained with biases give other answers, often gibberish.",
        operate=_change_linears(_without_bias(*_INPUT_ROLES)),
        wraps=True,
    ),
    Fault(
        Mistake(
            name="output_projection_missing",
            stage="output",
            summary="The merged heads are returned as they are; the output projection is not applied.",
            symptom="Feature f of the output depends on one head only. Changing the output matrix changes nothing.",
            question=(
                "After the heads have been put side by side, what lets one head's finding reach another's features?"
            ),
            pointer="Look at what you return: the merged heads have not gone through the output projection.",
            fix="output = self.output(merged)",
            sightings=(
                Sighting("Kyubyong/transformer", 117),
                Sighting("stevezheng23/sequence_labeling_tf", 83, "pull"),
            ),
        ),
        families=LAYERS,
        in_training=(
            "Trains, but heads cannot be mixed before they are added to the stream. Trained weights do not carry over."
        ),
        operate=_change_linears(_without_output),
        wraps=True,
    ),
    Fault(
        Mistake(
            name="output_bias_dropped",
            stage="output",
            summary="The output projection is applied without its bias.",
            symptom="Your output differs from the right one by the same vector at every position: the bias.",
            question="Is the difference between your output and the expected one the same at every position?",
            pointer="Look at the last projection: its bias is not added.",
            fix="output = F.linear(merged, w_output, b_output)",
        ),
        families=LAYERS,
        in_training="Trains about as well. Weights that were trained with the bias give other answers.",
        operate=_change_linears(_without_bias("output")),
        wraps=True,
    ),
    Fault(
        Mistake(
            name="projection_transposed",
            stage="projection",
            summary=(
                "The input is multiplied with the weights as they are stored, (out, in), instead of with their "
                "transpose."
            ),
            symptom=(
                "Runs only where the matrices are square. With the identity as weights all is right; with any other, "
                "not."
            ),
            question="nn.Linear stores its weights as (out, in). Which product with x does that ask for?",
            pointer=(
                "Look at how the projections use their matrices: the stored weights are (out, in) and need a transpose."
            ),
            fix="query = x @ w_query.T",
        ),
        families=LAYERS,
        in_training=(
            "Trains as well: a transposed random matrix is a random matrix. Weights from elsewhere give nonsense."
        ),
        operate=_change_linears(_transposed),
        wraps=True,
    ),
    Fault(
        Mistake(
            name="projection_shared",
            stage="projection",
            summary="One projection serves for query, key and value.",
            symptom="Q, K and V are equal, so without a mask the scores of self-attention are symmetric: S = Sᵀ.",
            question=(
                "What a word looks for, what it offers, what it hands over: how many matrices do you use for the three?"
            ),
            pointer="Look at the three projections of the input: the same linear layer is called for all of them.",
            fix="query, key, value = self.query(x), self.key(x), self.value(x)",
        ),
        families=LAYERS,
        in_training=(
            "Learns, and stops at a higher loss: what a position asks for, offers and hands over is one vector."
        ),
        operate=_change_linears(_shared),
        wraps=True,
    ),
    Fault(
        Mistake(
            name="residual_added_to_layer",
            stage="output",
            summary="The layer adds its input to its output; that is the work of the block around it.",
            symptom="With all weights and biases 0 the layer returns its input instead of zeros.",
            question="What does your layer return when all of its weights are zero?",
            pointer=(
                "Look at what is returned: the input is added to it, which the block around the layer does already."
            ),
            fix="return self.output(merged)  # the block computes x + attention(norm(x))",
        ),
        families=LAYERS,
        in_training="Trains. In a block that adds the input as well, the input is counted twice.",
        operate=_add_input,
        wraps=True,
    ),
)
