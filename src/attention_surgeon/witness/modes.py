"""Further runs of the plain call: twice the same, in training, for a gradient, with each parameter changed."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from attention_surgeon.calls.names import words_of
from attention_surgeon.testing.steadiness import random_state_kept
from attention_surgeon.witness.core import find_cores
from attention_surgeon.witness.findings import Finding
from attention_surgeon.witness.flow import Flow, apart
from attention_surgeon.witness.observation import Account
from attention_surgeon.witness.record import Op, record, to_numbers

_STEPS = (1e-3, 1e-5)  # of a difference; the small one where scores are steep


@final
class Modes:
    """Calls of one target with the numbers of its plain call.

    Attributes:
        plan: How it is called.
        says: The text around it.
        account: What has been said of it, which is added to.
    """

    def __init__(self, plan: Any, says: str, account: Account) -> None:
        """Begin with nothing called."""
        self.plan, self.says, self.account = plan, says, account

    def try_each(self, flow: Flow) -> None:
        """Dropout after the softmax in training; gradients that are derivatives; nothing of the caller changed."""
        if self._changes_inputs(flow):
            self.account.findings.append(
                Finding("mutates_inputs", "output", "after the call the caller's tensor holds other numbers")
            )
        self._unused(flow)
        if isinstance(flow.made, nn.Module):
            self._training(flow)
        if self.plan.library == "torch":
            self._gradient(flow)
        drops = re.search(r"[Dd]rop", self.says) and isinstance(flow.made, nn.Module)
        if drops and not any(finding.fault == "cuts_gradient" for finding in self.account.findings):
            self._training_gradient(flow)

    def _unused(self, flow: Flow) -> None:
        """Find parameters that change nothing: a bias that is never added, a projection that is never applied."""
        before = to_numbers(self.plan.arrays(flow.base.returned)[max(self.plan.output, 0)])
        own = vars(self.plan.bare()) if not isinstance(flow.made, nn.Module) and hasattr(flow.made, "__dict__") else {}
        for name, bumped in _bumped_parameters(flow.made, own):
            with bumped:
                after = to_numbers(self.plan.arrays(flow.run().returned)[max(self.plan.output, 0)])
            is_bias = bool({"b", "bias"} & set(words_of(name)))
            if (
                _PROJECTION.search(name)
                and not is_bias
                and before.shape == after.shape
                and not apart(before, after).any()
            ):
                words = f"its projection `{name}` changes nothing in the output"
                self.account.findings.append(Finding("projection_unused", "projections", words))
                continue
            if apart(before, after).any() or (is_bias and self._is_key_bias(name)):
                continue
            self.account.remarks.append(f"its parameter `{name}` changes nothing in the output")

    def _is_key_bias(self, name: str) -> bool:
        """A bias of the keys adds the same to every score of a row, and the softmax takes it off again."""
        return bool({"k", "key", "keys", "wk"} & set(words_of(name)))

    def is_steady(self, flow: Flow) -> bool:
        """Whether two calls with the same numbers give the same."""
        runs = [flow.run(with_places=True) for _ in range(2)]
        one, two = (to_numbers(self.plan.arrays(trace.returned)[max(self.plan.output, 0)]) for trace in runs)
        if not apart(one, two).any():
            return True
        first = next((a for a, b in zip(*(trace.ops for trace in runs), strict=False) if _differ(a, b)), None)
        dropouts = [first] if first and ("dropout" in first.name or first.options.get("dropout_p")) else []
        is_random = not dropouts and self._is_random(flow)
        is_own_dropout = is_random and isinstance(flow.made, nn.Module) and "drop" in self.says.lower()
        if is_random and not is_own_dropout:
            self.account.unknown.append("each call draws other random numbers, as dropout does that nothing turns off")
            return False
        fault = "dropout_in_eval" if dropouts or is_own_dropout else "shares_state"
        words = "the same call gives another answer the second time"
        if dropouts or is_own_dropout:
            words = "weights are dropped in evaluation too"
        self.account.findings.append(Finding(fault, "weights", words, dropouts[0].place if dropouts else None))
        return False

    def _is_random(self, flow: Flow) -> bool:
        """Whether two calls that begin with the same seed give the same."""
        answers = []
        with random_state_kept():
            for _ in range(2):
                torch.manual_seed(0)
                np.random.seed(0)  # noqa: NPY002  the target may draw from the old global source
                answers.append(to_numbers(self.plan.arrays(flow.run().returned)[max(self.plan.output, 0)]))
        return not apart(*answers).any()

    def _changes_inputs(self, flow: Flow) -> bool:
        given = {name: value.clone() if isinstance(value, Tensor) else value for name, value in flow.inputs.items()}
        if self.plan.library != "torch":
            return False
        with torch.no_grad():
            self.plan.call(flow.made, given)
        return any(
            isinstance(value, Tensor)
            and not value.is_complex()
            and value.shape == flow.inputs[name].shape
            and not torch.equal(torch.nan_to_num(value.double()), torch.nan_to_num(flow.inputs[name].double()))
            for name, value in given.items()
            if isinstance(flow.inputs[name], Tensor)
        )

    def _training(self, flow: Flow) -> None:
        made: nn.Module = flow.made
        made.train()
        try:
            given = {name: value.clone() if isinstance(value, Tensor) else value for name, value in flow.inputs.items()}
            state = torch.random.get_rng_state()
            trace = record(lambda: self.plan.call(made, given), with_places=True)
            torch.random.set_rng_state(state)
        except Exception:  # noqa: BLE001  somebody else's code may raise anything
            return
        finally:
            made.eval()
        softs = [k for k, op in enumerate(trace.ops) if op.name in ("softmax", "exp", "sdpa")]
        drops = [k for k, op in enumerate(trace.ops) if "dropout" in op.name]
        core = find_cores(flow)[0]
        if core.is_fused or not softs:
            return
        shape = flow.ops[core.softmax].value
        assert shape is not None
        scores = next(
            (k for k in range(softs[0], 0, -1) if trace.ops[k].name in ("matmul", "bmm", "einsum", "baddbmm")), 0
        )
        for k in drops:
            value = trace.ops[k].value
            if scores < k < softs[0] and value is not None and value.shape == shape.shape:
                self.account.findings.append(
                    Finding(
                        "dropout_before_softmax",
                        "weights",
                        "in training, scores are set to 0 before the softmax; a score of 0 hides nothing",
                        trace.ops[k].place,
                    )
                )
                return
        self.account.tried.append("in training")

    def _training_gradient(self, flow: Flow) -> None:
        """The same with dropout: with one seed it drops the same weights in every call."""
        made: nn.Module = flow.made
        made.train()
        try:
            self._gradient(flow, "in training ")
        finally:
            made.eval()

    def _gradient(self, flow: Flow, when: str = "") -> None:
        """Compare the derivative along one direction with a difference of two calls."""
        name = next(iter(flow.arguments), None)
        value = flow.inputs.get(name) if name else None
        if not isinstance(value, Tensor) or value.dtype != torch.float64:
            return
        direction = torch.as_tensor(np.random.default_rng(8).normal(size=tuple(value.shape)))
        weigh: list[Tensor] = []

        def total(x: Tensor) -> Tensor:
            given = {k: v.clone() if isinstance(v, Tensor) else v for k, v in flow.inputs.items()} | {name: x}
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                output = self.plan.arrays(self.plan.call(flow.made, given))[max(self.plan.output, 0)]
            if not weigh:
                weigh.append(torch.cos(torch.arange(output.numel(), dtype=output.dtype)).reshape(output.shape))
            return (output * weigh[0]).sum()

        def slope_by(step: float) -> float:
            return float((total(value + step * direction) - total(value - step * direction)) / (2 * step))

        try:
            with torch.enable_grad():
                x = value.clone().requires_grad_()
                answer = total(x * 1)
                slope = float((torch.autograd.grad(answer, x)[0] * direction).sum()) if answer.requires_grad else None
            with torch.no_grad():
                wanted = min((slope_by(step) for step in _STEPS), key=lambda found: abs(found - (slope or 0.0)))
        except Exception:  # noqa: BLE001  a gradient that is refused is a fact about that call
            self.account.untried.append(f"gradients {when}".strip())
            return
        if any(a.role in ("cache", "use_cache") or "pos" in a.name for a in self.plan.arguments) and (
            slope is None or abs(slope - wanted) > 1e-2 * max(1.0, abs(wanted))
        ):
            self.account.remarks.append("no gradient reaches the keys and values that it keeps")
        elif slope is None:
            self.account.findings.append(Finding("cuts_gradient", "output", "no gradient reaches the input"))
        elif np.isfinite(wanted) and abs(slope - wanted) > 1e-2 * max(1.0, abs(wanted)):
            self.account.findings.append(
                Finding(
                    "cuts_gradient",
                    "output",
                    f"{when}the gradient is not the derivative: {slope:.4g} in a direction, by difference {wanted:.4g}",
                )
            )
        elif not when:
            self.account.tried.append("gradients")


def _differ(one: Op, two: Op) -> bool:
    """Whether one operation gave two results."""
    return one.value is not None and two.value is not None and bool(apart(one.value, two.value).any())


_PROJECTION = re.compile(
    r"(?:^|[._])(?:w_?[qkvo]|[qkvo](?:_?proj)?|query|key|value|out(?:put)?(?:_?proj)?|proj(?:_[a-z])?|[qk]_?norm)(?:\.weight)?$",
    re.IGNORECASE,
)


def _bumped_parameters(
    made: Any, own: Mapping[str, Any]
) -> Iterator[tuple[str, contextlib.AbstractContextManager[None]]]:
    """Yield every parameter by name with a context in which it holds other numbers.

    Args:
        made: The object.
        own: What a fresh one holds, if it is no module: what a call leaves in it is no parameter.
    """
    held = dict(made.named_parameters()) if isinstance(made, nn.Module) else {name: vars(made)[name] for name in own}
    for name, value in held.items():
        if isinstance(value, Tensor | np.ndarray) and to_numbers(value).dtype.kind == "f":
            yield name, _bumped(value)


@contextlib.contextmanager
def _bumped(value: Any) -> Iterator[None]:
    change = np.random.default_rng(2).normal(size=tuple(value.shape))
    with torch.no_grad():
        kept = value.clone() if isinstance(value, Tensor) else value.copy()
        value += torch.as_tensor(change).to(value.dtype) if isinstance(value, Tensor) else change.astype(value.dtype)
    try:
        yield
    finally:
        with torch.no_grad():
            value[...] = kept
