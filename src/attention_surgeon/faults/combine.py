"""Combine: what the weights do with the values, and what is handed back."""

from torch import Tensor

from attention_surgeon.errors import ShapeError
from attention_surgeon.faults.families import FIVE_STEPS
from attention_surgeon.faults.fault import Fault
from attention_surgeon.faults.normalise import take_scores
from attention_surgeon.ops import Circuit, Operands, Steps
from attention_surgeon.ops.steps import Step
from attention_surgeon.verdict import Mistake


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
        return report(steps._replace(weights=_normalised(normalise, steps.masked)))

    return circuit.replace(normalise=take_scores, report=report_weights)


def _normalised(normalise: Step, scores: Tensor) -> Tensor:
    """Return the weights of scores where there are no operands any more: in what is reported."""
    return normalise(scores, Operands(scores, scores, scores, None, None, scores.dtype))


def _report_scores(circuit: Circuit) -> Circuit:
    usual = circuit.report
    return circuit.replace(report=lambda steps: usual(steps._replace(weights=steps.scaled)))


def _report_unmasked_weights(circuit: Circuit) -> Circuit:
    normalise, report = circuit.mechanism.normalise, circuit.report
    return circuit.replace(report=lambda steps: report(steps._replace(weights=_normalised(normalise, steps.scaled))))


def _swap_returns(circuit: Circuit) -> Circuit:
    usual = circuit.report
    return circuit.replace(report=lambda steps: usual(steps)[::-1])


FAULTS: tuple[Fault, ...] = (
    Fault(
        Mistake(
            name="weights_transposed",
            stage="combine",
            summary="The values are gathered with the transpose of the weights.",
            symptom="The weights are right, the output is not. With n_q != n_k it raises.",
            question="Your weights are right. Is output i made with row i of them, or with column i?",
            pointer="Look at the last product: the weights stand in it the wrong way round.",
            fix="output = weights @ value",
        ),
        families=FIVE_STEPS,
        in_training="A causal model gathers from the future only: the loss falls far below what is possible.",
        operate=_transpose_weights,
        wraps=True,
    ),
    Fault(
        Mistake(
            name="weights_ignored",
            stage="combine",
            summary="The output is the plain mean of the values; the weights are computed and not used.",
            symptom="All rows of the output are the same, whatever Q, K and the mask are.",
            question="Change Q and K: what changes in your output?",
            pointer="Look at the last step: the values are averaged evenly, the weights do not take part.",
            fix="output = weights @ value",
        ),
        families=FIVE_STEPS,
        in_training="Queries and keys get no gradient, and the mean tells a causal model of the future.",
        operate=_average_values,
    ),
    Fault(
        Mistake(
            name="value_returned",
            stage="combine",
            summary="The output is V itself; nothing is gathered.",
            symptom="Output i is value i, whatever Q, K and the mask are.",
            question="Change the value at position 3: in how many rows does your output change?",
            pointer="Look at what is returned: it is the value as it came in.",
            fix="output = weights @ value",
        ),
        families=FIVE_STEPS,
        in_training="No position ever learns of another one: the model gets no further than counting pairs.",
        operate=_return_value,
    ),
    Fault(
        Mistake(
            name="output_zero",
            stage="combine",
            summary="The output is 0 everywhere: a buffer that was made and never filled, for instance.",
            symptom="The output is 0; the weights are right.",
            question="Set all values to 1: what must an average of ones be?",
            pointer="Look at the last step: its result does not reach what you return.",
            fix="output = weights @ value",
        ),
        families=FIVE_STEPS,
        in_training="No position ever learns of another one, and queries, keys and values get no gradient.",
        operate=_return_zeros,
    ),
    Fault(
        Mistake(
            name="residual_added",
            stage="combine",
            summary="The query is added to the output; that is the work of the block around attention, if of anybody.",
            symptom="With V = 0 the output is Q instead of 0. With d_v != d_k it raises.",
            question="Set all values to 0: what should an average of them be?",
            pointer="Look at what is added to the weighted sum: it is the query.",
            fix="output = weights @ value",
        ),
        families=FIVE_STEPS,
        in_training="Learns. The output is no average of values any more, and trained weights do not carry over.",
        operate=_add_query,
        wraps=True,
    ),
    Fault(
        Mistake(
            name="scores_combined",
            stage="combine",
            summary="The scores are multiplied with the values; the weights are computed and only returned.",
            symptom="The weights are right; the output may lie outside the values, and is inf or NaN under a mask.",
            question="Your weights are right. Does your output change when you add 1 to every score?",
            pointer="Look at the last product: its left side is the scores, not the weights.",
            fix="output = weights @ value",
        ),
        families=FIVE_STEPS,
        in_training=(
            "With a mask of -inf it is NaN at once. Without, it learns, and the output grows with the length of "
            "the sequence."
        ),
        operate=_combine_scores,
    ),
    Fault(
        Mistake(
            name="scores_returned",
            stage="combine",
            summary="The scores are returned in the place of the weights.",
            symptom="The output is right; the returned weights are negative, above 1, and sum to anything.",
            question="Your output is right. Do the weights that you return sum to 1?",
            pointer="Look at the second value that is returned: it is from before the softmax.",
            fix="return output, weights",
        ),
        families=FIVE_STEPS,
        in_training="Nothing: only what is plotted and measured is wrong.",
        operate=_report_scores,
        wraps=True,
    ),
    Fault(
        Mistake(
            name="returns_swapped",
            stage="combine",
            summary="(weights, output) is returned where (output, weights) is expected.",
            symptom="The first value has the shape (n_q, n_k) and rows that sum to 1; the second one is the output.",
            question="What shape has the first of the two values you return?",
            pointer="Look at the return: both values are right, in the other order than expected.",
            fix="return output, weights",
        ),
        families=FIVE_STEPS,
        in_training="Mostly it raises in the next layer, as the last axis is n_k wide and not d_v.",
        operate=_swap_returns,
        wraps=True,
    ),
    Fault(
        Mistake(
            name="weights_before_mask_returned",
            stage="combine",
            summary="The weights that are returned were made from the scores before the mask.",
            symptom="The output is right; the returned weights sum to 1, and hidden keys have some of it.",
            question="Your output is right. Are the weights that you return the ones that made it?",
            pointer="Look at where the returned weights come from: not from the masked scores.",
            fix="weights = torch.softmax(masked, dim=-1)\nreturn weights @ value, weights",
        ),
        families=FIVE_STEPS,
        in_training="Nothing: only what is plotted and measured is wrong.",
        operate=_report_unmasked_weights,
        wraps=True,
    ),
)
