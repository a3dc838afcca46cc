"""Combine: what the weights do with the values, and what is handed back."""

from torch import Tensor

from attention_surgeon.errors import ShapeError
from attention_surgeon.faults._draft import draft
from attention_surgeon.faults.families import FIVE_STEPS
from attention_surgeon.faults.fault import Fault
from attention_surgeon.faults.normalise import take_scores
from attention_surgeon.ops import Circuit, Operands, Steps, softmax


def _transpose_weights(circuit: Circuit) -> Circuit:
    usual = circuit.mechanism.combine

    def combine_transposed(weights: Tensor, operands: Operands) -> Tensor:
        return usual(weights.transpose(-2, -1), operands)

    return circuit.replace(combine=combine_transposed)


def _average_values(circuit: Circuit) -> Circuit:
    def mean_of_values(weights: Tensor, operands: Operands) -> Tensor:
        value = operands.value
        return value.mean(-2, keepdim=True).expand(*value.shape[:-2], weights.shape[-2], value.shape[-1])

    return circuit.replace(combine=mean_of_values)


def _return_value(circuit: Circuit) -> Circuit:
    def value_itself(weights: Tensor, operands: Operands) -> Tensor:
        if weights.shape[-2] != operands.value.shape[-2]:
            raise ShapeError(f"{operands.value.shape[-2]} values cannot stand for {weights.shape[-2]} outputs.")
        return operands.value

    return circuit.replace(combine=value_itself)


def _return_zeros(circuit: Circuit) -> Circuit:
    usual = circuit.mechanism.combine

    def zeros(weights: Tensor, operands: Operands) -> Tensor:
        return usual(weights, operands).new_zeros(()).expand_as(usual(weights, operands))

    return circuit.replace(combine=zeros)


def _add_query(circuit: Circuit) -> Circuit:
    usual = circuit.mechanism.combine

    def combine_and_add_query(weights: Tensor, operands: Operands) -> Tensor:
        return usual(weights, operands) + operands.query

    return circuit.replace(combine=combine_and_add_query)


def _combine_scores(circuit: Circuit) -> Circuit:
    # The combine step does not see the scores, so they are passed on as weights, and the weights made for the report.
    normalise, report = circuit.mechanism.normalise, circuit.report

    def report_weights(steps: Steps) -> tuple[Tensor, Tensor]:
        unmasked = Operands(steps.output, steps.output, steps.output, None, None, steps.output.dtype)
        return report(steps._replace(weights=normalise(steps.masked, unmasked)))

    return circuit.replace(normalise=take_scores, report=report_weights)


def _report_scores(circuit: Circuit) -> Circuit:
    usual = circuit.report
    return circuit.replace(report=lambda steps: usual(steps._replace(weights=steps.scaled)))


def _report_unmasked_weights(circuit: Circuit) -> Circuit:
    usual = circuit.report
    return circuit.replace(report=lambda steps: usual(steps._replace(weights=softmax(steps.scaled))))


def _swap_returns(circuit: Circuit) -> Circuit:
    usual = circuit.report
    return circuit.replace(report=lambda steps: usual(steps)[::-1])


FAULTS: tuple[Fault, ...] = (
    draft(
        "weights_transposed",
        "combine",
        FIVE_STEPS,
        "The weights are transposed before they meet the values.",
        _transpose_weights,
        wraps=True,
    ),
    draft("weights_ignored", "combine", FIVE_STEPS, "The output is the mean of the values.", _average_values),
    draft("value_returned", "combine", FIVE_STEPS, "The output is V.", _return_value),
    draft("output_zero", "combine", FIVE_STEPS, "The output is 0.", _return_zeros),
    draft("residual_added", "combine", FIVE_STEPS, "The query is added to the output.", _add_query, wraps=True),
    draft(
        "scores_combined", "combine", FIVE_STEPS, "The scores, not the weights, are multiplied with V.", _combine_scores
    ),
    draft("scores_returned", "combine", FIVE_STEPS, "The scores are returned as weights.", _report_scores, wraps=True),
    draft("returns_swapped", "combine", FIVE_STEPS, "(weights, output) is returned.", _swap_returns, wraps=True),
    draft(
        "weights_before_mask_returned",
        "combine",
        FIVE_STEPS,
        "The weights that are returned do not know the mask.",
        _report_unmasked_weights,
        wraps=True,
    ),
)
