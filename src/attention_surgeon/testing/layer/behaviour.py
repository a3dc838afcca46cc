"""How a layer behaves where its values alone do not tell: extremes, gradients, dtypes, dropout, what is missing."""

import copy
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from attention_surgeon.ops import Circuit
from attention_surgeon.testing.answer import Library, arrays_in, raised, to_array, to_library
from attention_surgeon.testing.draw import generator
from attention_surgeon.testing.function_behaviour import differ
from attention_surgeon.testing.layer.build import DROPOUT
from attention_surgeon.testing.layer.cases import LayerCase, LayerSpec
from attention_surgeon.testing.layer.subject import AskableLayer
from attention_surgeon.testing.steadiness import random_state_kept
from attention_surgeon.verdict import Behaviour

_NUM_DRAWS = 60

_HIGHEST_SCORE = 2e4

_OVERFLOWING: Mapping[Library, float] = {"torch": 110.0, "numpy": 900.0}
"""Just above where the exponential overflows in float32 and float64."""

_NUM_STARTS, _NUM_STEPS, _LEVEL = 9, 40, 0.05


def layer_behaviour(subject: AskableLayer, circuit: Circuit | None) -> list[Behaviour]:
    """Return what was seen; with None for a circuit only what needs no knowledge of what is computed."""
    looks = (
        [_missing, _caller]
        if circuit is None
        else [_missing, layer_extremes, _empty_rows, _caller, _gradient, _dtype, _dropout]
    )
    return [seen for look in looks for seen in look(subject, circuit)]


def _missing(subject: AskableLayer, circuit: Circuit | None) -> Iterator[Behaviour]:
    if subject.reading.is_shared:
        yield Behaviour("projection_shared", "queries, keys and values come out of one matrix")
    if subject.reading.has_output or subject.contract.kind in ("simple", "self"):
        return
    yield Behaviour("output_projection_missing", "there is no fourth projection, which mixes the heads")


def _empty_rows(subject: AskableLayer, circuit: Circuit) -> Iterator[Behaviour]:
    masked = next((case for case in subject.cases(0) if case.allowed is not None and case.form != "b n"), None)
    if masked is None or masked.allowed is None or subject.contract.allows_nan_rows:
        return
    allowed = masked.allowed.clone()
    allowed[:, 1] = False
    case = LayerCase("a query without keys", masked.x, masked.context, allowed, masked.form)
    given, expected = subject.ask(case), subject.answer(circuit, case)
    if given.error is None and not given.is_finite and expected.is_finite:
        yield Behaviour("nan_rows", "a query that may attend to no key gets NaN")


def _caller(subject: AskableLayer, circuit: Circuit | None) -> Iterator[Behaviour]:
    for case in subject.cases(0)[:3]:
        x = to_library(case.x, subject.library)
        kept = to_array(x).copy()
        try:
            with torch.no_grad():
                subject.call(subject.layer(), case, x=x)
        except Exception:  # noqa: BLE001  what it raises is told elsewhere
            continue
        if not np.array_equal(to_array(x), kept, equal_nan=True):
            yield Behaviour("mutates_inputs", "after the call the caller's x held other numbers")
            return


def _gradient(subject: AskableLayer, circuit: Circuit) -> Iterator[Behaviour]:
    if not isinstance(subject.layer(), nn.Module):
        return
    answers = ((case, subject.ask(case)) for case in subject.cases(0))
    case = next((case for case, answer in answers if answer.is_finite), None)
    if case is None:
        return
    expected = _gradients_of_circuit(subject, circuit, case)
    try:
        given = _gradients(subject, case)
    except Exception as error:  # noqa: BLE001  somebody else's layer may raise anything
        yield Behaviour(None, f"its gradient cannot be computed: {raised(error).error}", is_fault=False)
        return
    wrong = [name for name, theirs in expected.items() if differ(given[name], theirs)]
    if wrong:
        gone = [name for name in wrong if not given[name].any()]
        names = ", ".join(gone or wrong)
        yield Behaviour(
            "cuts_gradient",
            f"no gradient reaches {names}" if gone else f"the gradient of {names} is not the derivative",
        )


def _gradients(subject: AskableLayer, case: LayerCase) -> dict[str, np.ndarray]:
    layer = subject.layer()
    layer.zero_grad(set_to_none=True)
    with torch.enable_grad():
        x = to_library(case.x, "torch").requires_grad_()
        output = arrays_in(subject.call(layer, case, x=x * 1))[0]
        if output.requires_grad:
            (output * _coefficients(tuple(output.shape)).to(output.dtype)).sum().backward()
    found = {"x": x.grad, **{name: p.grad for name, p in layer.named_parameters()}}
    shapes = {"x": x.shape, **{name: p.shape for name, p in layer.named_parameters()}}
    layer.zero_grad(set_to_none=True)
    return {name: np.zeros(tuple(shapes[name])) if grad is None else to_array(grad) for name, grad in found.items()}


def _gradients_of_circuit(subject: AskableLayer, circuit: Circuit, case: LayerCase) -> dict[str, np.ndarray]:
    with torch.enable_grad():
        x = case.x.clone().requires_grad_()
        tensors = {name: value.clone().requires_grad_() for name, value in subject.tensors().items()}
        output, _ = subject.run(circuit, x, case, subject.linears_from(tensors))
        if output.requires_grad:
            (output * _coefficients(tuple(output.shape))).sum().backward()
    leaves: dict[str, Tensor] = {"x": x, **tensors}
    return {
        name: np.zeros(tuple(leaf.shape)) if leaf.grad is None else to_array(leaf.grad) for name, leaf in leaves.items()
    }


def _coefficients(shape: tuple[int, ...]) -> Tensor:
    return torch.cos(torch.arange(torch.Size(shape).numel(), dtype=torch.float64)).reshape(shape)


def _dtype(subject: AskableLayer, circuit: Circuit) -> Iterator[Behaviour]:
    layer, case = subject.layer(), subject.cases(0)[0]
    if not isinstance(layer, nn.Module):
        return
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        try:
            with torch.no_grad():
                found = arrays_in(subject.call(copy.deepcopy(layer).to(dtype), case, dtype=dtype))
        except Exception:  # noqa: BLE001  a dtype that is not supported is no fault
            continue
        if found and found[0].dtype != dtype:
            names = [str(x).removeprefix("torch.") for x in (dtype, found[0].dtype)]
            yield Behaviour("wrong_dtype", f"{names[0]} goes in and {names[1]} comes out")
            return


def _dropout(subject: AskableLayer, circuit: Circuit) -> Iterator[Behaviour]:
    """In training, dropped weights must be made up for: the mean over many draws is the output without dropout."""
    layer, case = subject.layer(), subject.cases(0)[0]
    if not isinstance(layer, nn.Module) or isinstance(subject.target, nn.Module):
        return
    answer = subject.ask(case)
    if answer.error is not None or answer.values[0] is None:
        return
    usual = answer.values[0]
    first = _mean_in_training(subject, layer, case, 1)
    if first is None or np.allclose(first, usual, atol=1e-4):
        return  # nothing is dropped
    mean = _mean_in_training(subject, layer, case, _NUM_DRAWS)
    if mean is None:
        return
    unmoved = _without_values(subject, circuit, case)
    rescaled = np.abs(mean - usual).mean()
    not_rescaled = np.abs(mean - (usual - DROPOUT * (usual - unmoved))).mean()
    if not_rescaled < rescaled / 2:
        yield Behaviour("dropout_not_rescaled", "in training the mean output is smaller than in evaluation")


def _mean_in_training(subject: AskableLayer, layer: nn.Module, case: LayerCase, num_draws: int) -> np.ndarray | None:
    context = None if case.context is None else case.context.repeat(num_draws, 1, 1)
    many = LayerCase(case.name, case.x.repeat(num_draws, 1, 1), context)
    with random_state_kept():
        torch.manual_seed(0)
        try:
            layer.train()
            answer = subject.ask(many)
        finally:
            layer.eval()
    if answer.error is not None or answer.values[0] is None:
        return None
    return answer.values[0].reshape(num_draws, *case.x.shape[:1], *answer.values[0].shape[1:]).mean(0)


def _without_values(subject: AskableLayer, circuit: Circuit, case: LayerCase) -> np.ndarray:
    """Return the output when nothing is gathered: what the output projection adds on its own."""
    linears = subject.linears_from(subject.tensors())
    bias = linears["output"].bias
    return np.zeros(()) if bias is None else to_array(bias)


@final
class LayerSubject(AskableLayer):
    """A layer bound to what is asked of it."""

    def behaviour(self, circuit: Circuit | None) -> list[Behaviour]:
        """Look at extremes, gradients, dtypes and dropout."""
        return layer_behaviour(self, circuit)


@final
@dataclass(frozen=True)
class LayerContract(LayerSpec):
    """An attention layer; the options are those of `LayerSpec`."""

    def bind(self, target: Any) -> "LayerSubject":
        """Build the layer, find out how it is called and which of its tensors is which projection.

        Raises:
            UnjudgedError: it cannot be built or called, or its projections cannot be told apart.
        """
        return LayerSubject(self, target)


def layer_extremes(subject: AskableLayer, circuit: Circuit) -> Iterator[Behaviour]:
    """Yield what large scores do to the layer where the circuit gives numbers."""
    case = subject.cases(0)[0]
    if not _overflows(subject, circuit, _scaled_to(subject, circuit, case, _HIGHEST_SCORE)):
        return
    level_case = _level_case(subject, circuit, case)
    level = level_case is None or _overflows(subject, circuit, level_case)
    fault = "softmax_no_max_subtraction" if level else "global_max_subtracted"
    yield Behaviour(
        fault, f"scores of ±10⁴ give NaN or infinity{'' if level else '; where all are equally large they do not'}"
    )


def _overflows(subject: AskableLayer, circuit: Circuit, case: LayerCase | None) -> bool:
    """Whether the layer gives NaN or infinity where the circuit gives numbers."""
    if case is None:
        return False
    given = subject.ask(case)
    return given.error is None and not given.is_finite and subject.answer(circuit, case).is_finite


def _scaled_to(subject: AskableLayer, circuit: Circuit, case: LayerCase, highest: float) -> LayerCase | None:
    """Return the call with inputs so large that the largest score is about this."""
    steps = subject.steps(circuit, case)
    if steps is None or not bool(torch.isfinite(steps.scaled).all()):
        return None
    factor = float((highest / steps.scaled.abs().max()).sqrt())
    context = None if case.context is None else case.context * factor
    return dataclasses.replace(case, name="extreme scores", x=case.x * factor, context=context)


def _level_case(subject: AskableLayer, circuit: Circuit, case: LayerCase) -> LayerCase | None:
    """Return a call in which every score of every head is just too large for the exponential.

    Then only an exponential without any subtraction overflows; subtracting the largest score of all is enough. All
    tokens are one, which is looked for: the scores of each head are a quadratic function of it.
    """
    wanted, source = _OVERFLOWING[subject.library], generator(11)
    for _ in range(_NUM_STARTS):
        tokens = [_like_one_token_of(x, source) for x in (case.x, case.context) if x is not None]
        if _approached(tokens, functools.partial(_level_scores, subject, circuit, case, tokens), wanted):
            return _of_one_token(case, [token.detach() for token in tokens])
    return None


def _approached(tokens: list[Tensor], scores: Callable[[], Tensor | None], wanted: float) -> bool:
    """Change the tokens until all scores are about what is wanted (Gauss-Newton), and say whether they are.

    By hand, because `torch.optim` loads torch's compiler, which takes seconds.
    """
    for _ in range(_NUM_STEPS):
        with torch.enable_grad():
            found = scores()
            if found is None or not bool(torch.isfinite(found).all()):
                return False
            missing = found / wanted - 1
            if bool((missing.abs() < _LEVEL).all()):
                return True
            rows = [torch.autograd.grad(one, tokens, retain_graph=True) for one in missing]
        slopes = torch.stack([torch.cat([slope.flatten() for slope in row]) for row in rows])
        steps = (torch.linalg.pinv(slopes) @ missing.detach()).split([token.numel() for token in tokens])
        for token, step in zip(tokens, steps, strict=True):
            token.detach().sub_(step.view_as(token))
    return False


def _level_scores(subject: AskableLayer, circuit: Circuit, case: LayerCase, tokens: Sequence[Tensor]) -> Tensor | None:
    """Return the score of each head; where all tokens are one, it is the same everywhere."""
    steps = subject.steps(circuit, _of_one_token(case, tokens))
    return None if steps is None else steps.scaled[0, ..., 0, 0].reshape(-1)


def _like_one_token_of(x: Tensor, source: torch.Generator) -> Tensor:
    return (torch.randn(1, 1, x.shape[-1], generator=source) * 3).double().requires_grad_()


def _of_one_token(case: LayerCase, tokens: Sequence[Tensor]) -> LayerCase:
    """Return the call in which all tokens of the input are one, and all of the context another."""
    x = tokens[0].expand(1, case.x.shape[1], -1)
    context = None if case.context is None else tokens[1].expand(1, case.context.shape[1], -1)
    return dataclasses.replace(case, name="extreme scores", x=x, context=context)
