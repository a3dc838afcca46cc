"""What stands beside the five steps: norms, added positions, sinks, residuals, the order of heads."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from attention_surgeon.faults.families import MODERN
from attention_surgeon.faults.fault import Fault, Operation
from attention_surgeon.faults.parts import NORM, RELATIVE, SINK
from attention_surgeon.ops import Circuit, Linears, Operands
from attention_surgeon.ops.circuit import Three
from attention_surgeon.verdict import Mistake

_AXES = ("dim", "axis")
_OTHERS_WEIGHTS = "Trained from scratch it learns; with the weights of another implementation it writes nonsense."


def _norm_by(change: Callable[[Tensor], Tensor]) -> Operation:
    def operate(circuit: Circuit) -> Circuit:
        NORM.of(circuit)
        return circuit.replace(norm=lambda query, key: (change(query), change(key)))

    return operate


def _root_mean_square(x: Tensor, axis: int) -> Tensor:
    return x.square().mean(axis, keepdim=True).sqrt()


def _add_positions(change: Callable[[Three, Three], Three]) -> Operation:
    """Return the operation that adds positions, as vectors, to some of query, key and value."""

    def operate(circuit: Circuit) -> Circuit:
        usual = circuit.position

        def position(query: Tensor, key: Tensor, value: Tensor) -> Three:
            given = usual(query, key, value)
            query, key, value = (x + _waves(x) for x in given)
            return change(given, (query, key, value))

        return circuit.replace(position=position)

    return operate


def _waves(x: Tensor) -> Tensor:
    place = torch.arange(x.shape[-2], dtype=x.dtype, device=x.device)[:, None]
    return torch.sin(place * 0.5 ** torch.arange(x.shape[-1], dtype=x.dtype, device=x.device))


def _bias_behind(circuit: Circuit) -> Circuit:
    bias, usual = RELATIVE.of(circuit), circuit.mechanism.normalise

    def normalise(masked: Tensor, operands: Operands) -> Tensor:
        added = bias(operands)
        return usual(masked, operands) if added is None else usual(masked, operands) + added

    return circuit.replace(bias=Circuit().bias, normalise=normalise)


def _sink_has_value(circuit: Circuit) -> Circuit:
    SINK.of(circuit)
    usual = circuit.mechanism.combine

    def combine(weights: Tensor, operands: Operands) -> Tensor:
        return usual(weights, operands) + (1.0 - weights.sum(-1, keepdim=True))

    return circuit.replace(combine=combine)


def _cut_first_column(circuit: Circuit) -> Circuit:
    sink = SINK.of(circuit)

    def cut(weights: Tensor, masked: Tensor, operands: Operands) -> Tensor:
        beside = sink(weights, masked, operands)
        return torch.cat([beside[..., 1:], 1.0 - beside.sum(-1, keepdim=True)], dim=-1)

    return circuit.replace(sink=cut)


def _divide_by_mean(circuit: Circuit) -> Circuit:
    usual = circuit.mechanism.normalise
    return circuit.replace(normalise=lambda masked, operands: usual(masked, operands) * masked.shape[-1])


def _always_last_axis(function: Callable[..., Any]) -> Callable[..., Any]:
    def compute_along_last(x: Any, *args: Any, **kwargs: Any) -> Any:
        return function(
            x, *(-1 for _ in args[:1]), *args[1:], **{n: -1 if n in _AXES else v for n, v in kwargs.items()}
        )

    return compute_along_last


def _next_head_first(circuit: Circuit) -> Circuit:
    usual = circuit.merge
    return circuit.replace(merge=lambda x: usual(x.roll(1, -3)))


def _take_apart_wrongly(circuit: Circuit) -> Circuit:
    usual = circuit.merge

    def merge(x: Tensor) -> Tensor:
        if x.ndim < 4:
            return usual(x)
        return usual(x.transpose(0, -3).reshape(x.shape))  # heads come first, and are read as sequences

    return circuit.replace(merge=merge)


def _times_input(circuit: Circuit) -> Circuit:
    return circuit.replace(join=lambda x, output: x * output)


def _take_input_off(function: Callable[..., Any]) -> Callable[..., Any]:
    def compute_without_input(x: Any, *args: Any, **kwargs: Any) -> Any:
        return function(x, *args, **kwargs) - x

    return compute_without_input


def _add_queries(circuit: Circuit) -> Circuit:
    project, join = circuit.project, circuit.join
    kept: dict[str, Tensor] = {}

    def project_and_keep(x: Tensor, role: str, linears: Linears) -> Tensor:
        kept[role] = project(x, role, linears)
        return kept[role]

    return circuit.replace(project=project_and_keep, join=lambda x, output: join(x, output) + kept["query"])


FAULTS: tuple[Fault, ...] = (
    Fault(
        Mistake(
            "norm_axis_wrong",
            "score",
            "The norm of queries or keys is taken along another axis than the features of one head.",
            "What one token is depends on how many others there are, or on the other heads.",
            "Take one token away: which queries change?",
            "Look at the axis of the norm: it must be the last one, the features of a head.",
            "k = k * torch.rsqrt(k.square().mean(-1, keepdim=True) + eps)",
        ),
        MODERN,
        "It trains, and what it gives depends on the length of the text.",
        operate=_norm_by(lambda x: x / _root_mean_square(x, -2)),
        needs=NORM,
    ),
    Fault(
        Mistake(
            "norm_inverted",
            "score",
            "Queries or keys are multiplied with their length, where the norm divides by it.",
            "A query twice as long gives scores four times as large, where they should not change.",
            "Make a query twice as long: by how much may its scores grow?",
            "Look at the root in the norm: `rsqrt` divides, `sqrt` multiplies.",
            "x = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)",
        ),
        MODERN,
        "The scores grow until the softmax looks at one key only; the loss is not a number, or stays high.",
        operate=_norm_by(lambda x: x * _root_mean_square(x, -1)),
        needs=NORM,
    ),
    Fault(
        Mistake(
            "positions_on_one_side",
            "score",
            "Positions are added to the queries or to the keys only; both need them.",
            "The same token has the same score at every place.",
            "Move a key to another place: does its score change?",
            "Look at what the positions are added to: queries and keys.",
            "q = k = x + positions",
        ),
        MODERN,
        "It trains slowly, and does not know where things are.",
        operate=_add_positions(lambda plain, placed: (placed[0], *plain[1:])),
        wraps=True,
    ),
    Fault(
        Mistake(
            "positions_on_values",
            "combine",
            "Positions are added to the values too; they belong to queries and keys.",
            "With even weights the output still depends on the places of the tokens.",
            "Which of query, key and value have to know where they stand?",
            "Look at what the values are made of: the input without its positions.",
            "q, k, v = x + positions, x + positions, x",
        ),
        MODERN,
        _OTHERS_WEIGHTS,
        operate=_add_positions(lambda plain, placed: (*plain[:2], placed[2])),
        wraps=True,
    ),
    Fault(
        Mistake(
            "bias_after_softmax",
            "normalise",
            "The bias is added to the weights, behind the softmax; it belongs to the scores.",
            "Rows of the weights do not sum to 1, and some are negative.",
            "What do the rows sum to once the bias is added?",
            "Look at the order: scale, bias, mask, softmax.",
            "weights = (scores + bias).softmax(-1)",
        ),
        MODERN,
        "It trains, and looks at fixed places whatever stands there.",
        operate=_bias_behind,
        wraps=True,
        needs=RELATIVE,
    ),
    Fault(
        Mistake(
            "sink_as_value",
            "combine",
            "The sink has a value as well: what goes to it comes back into the output.",
            "With all weight on the sink the output is not 0.",
            "Put all weight on the sink: what comes out?",
            "Look at what meets the values: the column of the sink must be gone before.",
            "output = weights[..., :-1] @ value",
        ),
        MODERN,
        _OTHERS_WEIGHTS,
        operate=_sink_has_value,
        wraps=True,
        needs=SINK,
    ),
    Fault(
        Mistake(
            "sink_column_wrong",
            "normalise",
            "Not the column of the sink is cut off but another one, so each key gets the weight of its neighbour.",
            "The first key never has weight, and the last one has that of the sink.",
            "At which end was the sink put, and which end is cut off?",
            "Look at the slice behind the softmax: the sink leaves at the end where it came in.",
            "weights = torch.cat([scores, sinks], dim=-1).softmax(-1)[..., :-1]",
        ),
        MODERN,
        "The loss stays high.",
        operate=_cut_first_column,
        wraps=True,
        needs=SINK,
    ),
    Fault(
        Mistake(
            "exp_divided_by_mean",
            "normalise",
            "Exponentials are divided by their mean, not by their sum.",
            "Rows of the weights sum to the number of keys.",
            "What must a row of the weights sum to?",
            "Look at what the exponentials are divided by.",
            "weights = exponentials / exponentials.sum(-1, keepdim=True)",
        ),
        MODERN,
        "Outputs grow with the length of the text.",
        operate=_divide_by_mean,
        wraps=True,
    ),
    Fault(
        Mistake(
            "softmax_axis_ignored",
            "normalise",
            "The softmax is asked for one axis and sums along another.",
            "Along the axis that was asked for, the weights do not sum to 1.",
            "Ask for the first axis: which sums are 1?",
            "Look at every place where the axis is needed: the maximum and the sum.",
            "total = exponentials.sum(axis=axis, keepdims=True)",
        ),
        MODERN,
        "Nothing is seen as long as everybody asks for the last axis.",
        wrap=_always_last_axis,
        wraps=True,
    ),
    Fault(
        Mistake(
            "heads_out_of_order",
            "merge",
            "The outputs of the heads are put side by side in another order than the heads have.",
            "The first features of the output come from another head than the first.",
            "Which head do the first features of a merged row come from?",
            "Look at the order of the axes before the merge: groups first, then the heads of a group.",
            'torch.einsum("bgrnm,bmgd->bngrd", weights, value).reshape(b, n, heads, size)',
        ),
        MODERN,
        _OTHERS_WEIGHTS,
        operate=_next_head_first,
    ),
    Fault(
        Mistake(
            "heads_unfolded_wrongly",
            "merge",
            "Heads that were folded into the batch are taken apart in the other order: sequences exchange their heads.",
            "The output of a sequence depends on the others in its batch.",
            "Row 1 of the folded batch: which sequence is it, and which head?",
            "Look at how heads and sequences are folded, and at how they are taken apart again.",
            "out = torch.cat(out.split(batch, dim=0), dim=-1)  # folded as (heads * batch)",
        ),
        MODERN,
        "It learns with a batch of one only.",
        operate=_take_apart_wrongly,
    ),
    Fault(
        Mistake(
            "residual_multiplied",
            "output",
            "The input is multiplied with the output; a residual is added.",
            "Where the input is 0, the output is 0.",
            "What comes out where the attention gives 0?",
            "Look at the sign between the input and what the attention gives.",
            "return x + self.output(attended)",
        ),
        MODERN,
        "Nothing much is learned; gradients vanish with depth.",
        operate=_times_input,
        wraps=True,
    ),
    Fault(
        Mistake(
            "residual_missing",
            "output",
            "The input is not added to the output, though the text of the layer says that it is.",
            "With an attention that gives 0 the output is not the input.",
            "What comes out where the attention gives 0?",
            "Look at the last lines of `forward`: the input must be added.",
            "return self.norm(x + self.output(attended))",
        ),
        MODERN,
        "A stack of such layers hardly learns.",
        wrap=_take_input_off,
        wraps=True,
    ),
    Fault(
        Mistake(
            "residual_of_projection",
            "output",
            "Not the input is added to the output but what was made of it: a projection or a norm.",
            "With an attention that gives 0 the output is not the input but its queries, or its norm.",
            "What is added to the output: what came in, or what became of it?",
            "Look at where the residual is remembered: before anything is done to the input.",
            "before = x",
        ),
        MODERN,
        "It learns a little worse, and a stack of such layers much worse.",
        operate=_add_queries,
        wraps=True,
    ),
)
