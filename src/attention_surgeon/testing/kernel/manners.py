"""What a kernel does besides its numbers: to the caller's tensors, to the dtype, and its gradient where it has one."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.testing.answer import quietly, raised
from attention_surgeon.testing.function_behaviour import differ
from attention_surgeon.testing.kernel.call import KernelCall
from attention_surgeon.testing.kernel.limits import Asker, Limits
from attention_surgeon.testing.kernel.right import attend, operands_of
from attention_surgeon.verdict import Behaviour


def manners_of(asker: Asker, limits: Limits) -> Iterator[Behaviour]:
    """Yield what was seen; a gradient that a kernel does not have is no fault."""
    call = dataclasses.replace(limits.base, seed=3)
    given = call.given(asker.way.layout)
    kept = {name: x.clone() for name, x in given.items()}
    with quietly():
        asker.signature.call(call, asker.way.layout, asker.way.library, given)
    changed = [name for name, x in given.items() if not torch.equal(x, kept[name])]
    if changed:
        yield Behaviour("mutates_inputs", f"after the call the caller's {' and '.join(changed)} held other numbers")
    if asker.way.library == "numpy":
        return
    for dtype in limits.dtypes:
        own = dataclasses.replace(call, dtype=dtype)
        with quietly():
            output = asker.output_in(asker.signature.call(own, asker.way.layout), own)
        if output is not None and str(output.dtype) != f"torch.{dtype}":
            out = str(output.dtype).removeprefix("torch.")
            yield Behaviour(None, f"{dtype} goes in and {out} comes out", is_fault=False)
            break
    if call.dtype == "float32":
        yield from _gradient(asker, call)


def _gradient(asker: Asker, call: KernelCall) -> Iterator[Behaviour]:
    leaves = {name: x.requires_grad_() for name, x in call.given(asker.way.layout).items()}
    try:
        with torch.enable_grad():
            output = asker.output_in(asker.signature.call(call, asker.way.layout, given=leaves), call)
            if not output.requires_grad:
                yield Behaviour(None, "it is forward only: no gradient comes out", is_fault=False)
                return
            (output * _weights(output)).sum().backward()
    except Exception as error:  # noqa: BLE001  somebody else's kernel may raise anything
        yield Behaviour(None, f"it is forward only: its gradient raises {raised(error).error}", is_fault=False)
        return
    wanted = _right_gradients(asker, call)
    found = {name: np.zeros(x.shape) if x.grad is None else x.grad.double().numpy() for name, x in leaves.items()}
    wrong = [name for name, gradient in found.items() if differ(gradient, wanted[name])]
    if wrong:
        what = "reaches no" if not any(found[name].any() for name in wrong) else "is not the derivative for"
        yield Behaviour("cuts_gradient", f"the gradient {what} {', '.join(wrong)}")


def _right_gradients(asker: Asker, call: KernelCall) -> dict[str, np.ndarray]:
    """Return the derivatives in the layout of the kernel."""
    leaves = {name: x.double().requires_grad_() for name, x in call.given(asker.way.layout).items()}
    meant = dataclasses.replace(call, is_causal=True) if asker.way.is_always_causal else call
    with torch.enable_grad():
        q, k, v = (asker.way.as_bhnd(leaves[name]) for name in ("q", "k", "v"))
        given = dataclasses.replace(operands_of(meant, asker.way.align), query=q, key=k, value=v)
        output = asker.way.as_given(attend(given))
        (output * _weights(output)).sum().backward()
    return {name: x.grad.numpy() for name, x in leaves.items() if x.grad is not None}


def _weights(output: Tensor) -> Tensor:
    """Return what the output is multiplied with before it is summed, so that no two numbers count alike."""
    return torch.cos(torch.arange(output.numel(), dtype=output.dtype)).reshape(output.shape)
