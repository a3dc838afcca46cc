"""How a layer behaves where scores are large: which maximum is subtracted before the exponential, if any."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from attention_surgeon.ops import Circuit
from attention_surgeon.testing.arrays import Library
from attention_surgeon.testing.contract import Conduct
from attention_surgeon.testing.draw import generator
from attention_surgeon.testing.layer_cases import LayerCase
from attention_surgeon.testing.layer_subject import AskableLayer

_HIGHEST_SCORE = 2e4
_OVERFLOWING: Mapping[Library, float] = {"torch": 110.0, "numpy": 900.0}
"""Just above where the exponential overflows in float32 and float64."""

_NUM_STARTS, _NUM_STEPS, _LEVEL = 9, 40, 0.05


def layer_extremes(subject: AskableLayer, circuit: Circuit) -> Iterator[Conduct]:
    """Yield what large scores do to the layer where the circuit gives numbers."""
    case = subject.cases(0)[0]
    if not _overflows(subject, circuit, _scaled_to(subject, circuit, case, _HIGHEST_SCORE)):
        return
    level_case = _level_case(subject, circuit, case)
    level = level_case is None or _overflows(subject, circuit, level_case)
    fault = "softmax_no_max_subtraction" if level else "global_max_subtracted"
    yield Conduct(
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
