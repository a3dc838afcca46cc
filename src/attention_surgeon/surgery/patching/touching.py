"""Reading and writing inside a run: every place by name, each write measured.

q, k, v             (batch, heads, n, d)         as the attention function gets them, after any rotation by position;
                                                 k and v by key/value head
scores              (batch, heads, n_q, n_k)     in front of the softmax, hidden cells -inf; read only
pattern             (batch, heads, n_q, n_k)     the weights
z                   (batch, heads, n_q, d_v)     what a head gathered
head_out            (batch, heads, n_q, width)   what a head adds: z through its part of W_O, the bias left out
residual, residual_after   (batch, n, width)     the stream in front of and behind a block
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, final

import torch
from torch import Tensor, nn

from attention_surgeon.surgery.connect import connecting
from attention_surgeon.surgery.patching.anatomy import Place, block_input, block_output
from attention_surgeon.surgery.receipt import Tally
from attention_surgeon.surgery.table import Patient, Touch, lay_down, take_up

What: TypeAlias = Literal["q", "k", "v", "scores", "pattern", "z", "head_out", "residual", "residual_after"]
PATCHABLE: tuple[str, ...] = ("z", "pattern", "q", "k", "v", "head_out", "residual")
"""What `patch` writes."""

IN_CALL = frozenset({"q", "k", "v", "scores", "pattern", "z"})


@final
@dataclass(frozen=True, eq=False)
class Touching:
    """One thing to read or write: where, what, and the function that gets it and may give another in its place."""

    place: Place
    what: str
    touch: Touch


@contextmanager
def touching(touches: Sequence[Touching]) -> Iterator[None]:
    """Let each touch see its tensor in every run within the block, and write where it returns one."""
    inside = [one for one in touches if one.what in IN_CALL]
    mine: dict[nn.Module, tuple[tuple[str, Touch], ...]] = {}
    for one in inside:
        module = one.place.layer.module
        mine[module] = (*mine.get(module, ()), (one.what, one.touch))

    def add(patient: Patient, module: nn.Module) -> None:
        patient.touches += mine[module]

    def remove(patient: Patient, module: nn.Module) -> None:
        patient.touches = tuple(one for one in patient.touches if not any(one is own for own in mine[module]))

    hooks: list[Any] = []
    layers = tuple({one.place.layer.module: one.place.layer for one in inside}.values())
    try:
        for one in touches:
            if one.what not in IN_CALL:
                hooks.append(_HOOKS[one.what](one))
        lay_down(mine, add, connecting(layers))
        yield
    finally:
        take_up(mine, remove)
        for hook in hooks:
            hook.remove()


def reading(place: Place, what: str, into: dict[tuple[str, str], Tensor]) -> Touching:
    """Return a touch that keeps what stands there under `(layer, what)` and changes nothing."""

    def keep(own: Tensor) -> None:
        into[(place.layer.name, what)] = own.detach()

    return Touching(place, what, keep)


def writing(place: Place, what: str, tally: Tally, write: Callable[[Tensor, Tensor], None]) -> Touching:
    """Return a touch that writes, and measures what it wrote.

    Args:
        place: The layer.
        what: What is written.
        tally: Where it is counted.
        write: Gets a copy to write into and a boolean tensor of the same shape, in which it marks what it wrote.
    """

    def act(own: Tensor) -> Tensor:
        new, places = own.clone(), torch.zeros(own.shape, dtype=torch.bool, device=own.device)
        write(new, places)
        heads = None
        if what not in ("residual", "residual_after"):
            heads = tuple(head for head in range(own.shape[1]) if places[:, head].any())
        tally.written(own, new, places, heads)
        return new

    return Touching(place, what, act)


def _hook_head_out(one: Touching) -> Any:
    place, matrix = one.place, one.place.output_matrix()
    assert place.projection is not None

    def see(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
        gathered = inputs[0].unflatten(-1, (place.num_heads, place.value_size)).transpose(-3, -2)
        own = gathered @ matrix  # (..., heads, n, v) @ (heads, v, width) -> (..., heads, n, width)
        written = one.touch(own)
        return None if written is None else output + (written - own).sum(-3)

    return place.projection.register_forward_hook(see)


def _hook_residual(one: Touching) -> Any:
    def see(block: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
        own = block_input(inputs, named)
        written = None if own is None else one.touch(own)
        if written is None:
            return None
        if inputs:
            return (written, *inputs[1:]), named
        return inputs, {**named, "hidden_states": written}

    return one.place.require_block().register_forward_pre_hook(see, with_kwargs=True)


def _hook_residual_after(one: Touching) -> Any:
    def see(block: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
        own = block_output(output)
        written = None if own is None else one.touch(own)
        if written is None or isinstance(output, Tensor):
            return written
        return type(output)((written, *output[1:]))

    return one.place.require_block().register_forward_hook(see)


_HOOKS = {"head_out": _hook_head_out, "residual": _hook_residual, "residual_after": _hook_residual_after}
