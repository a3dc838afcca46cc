"""`operate`: put a fault into the attention of a model for the length of a `with` block, and give a receipt."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from torch import nn

from attention_surgeon.errors import SurgeryError
from attention_surgeon.surgery.choose import Choice, check_heads, choose_layers, read_heads
from attention_surgeon.surgery.connect import connecting
from attention_surgeon.surgery.layers import Layer, attention_layers, model_name
from attention_surgeon.surgery.operations import Operation, find_operation
from attention_surgeon.surgery.receipt import Receipt, Tally
from attention_surgeon.surgery.table import Active, Patient, lay_down, take_up


@contextmanager
def operate(model: nn.Module, fault: object, *, layers: Choice = None, heads: Choice = None) -> Iterator[Receipt]:
    """Operate on the attention of a model, and undo it exactly at the end of the block, on an exception too.

    In an operated layer the chosen heads are computed by the operated circuit, written by hand, in working precision
    (`ops.working_dtype`); the other heads keep what the model's own function gives, bit for bit. Everything else of the
    model stays as it is. The operation holds for every thread that runs the model; a thread without a block of its
    own must not be inside the model when one begins or ends. Blocks may be nested: operations on the same head add up
    in the order in which they came.

    Args:
        model: A model of transformers, in "eager" or "sdpa"; a module of PyTorch or of your own; or any module that
            holds layers of `attention_surgeon.nn`. Attention by code of its own is followed while it runs, and proved.
        fault: What to do: a name (`operations()` lists them), a fault of the catalogue, or an `Operation`.
        layers: Numbers from 0, `"0-3,7"`, or a stack such as `"decoder 0"`; None: all.
        heads: Query heads from 0, `"2,5"`; None: all.

    Yields:
        The receipt; complete after the block.

    Raises:
        SurgeryError: the operation cannot take effect (attention that cannot be followed, a fault that lies outside
            attention, shapes that do not fit), or nothing called attention within the block.
        OptionError, ArgumentTypeError: no such operation, layer or head.

    >>> import torch
    >>> from attention_surgeon.masks import causal_mask
    >>> from attention_surgeon.models import Decoder, DecoderConfig
    >>> model, tokens = Decoder(DecoderConfig(vocabulary_size=11)).eval(), torch.tensor([[1, 2, 3]])
    >>> before = model(tokens, causal_mask(3))
    >>> with operate(model, "knock_out", layers=0, heads=[2]) as receipt:
    ...     after = model(tokens, causal_mask(3))
    >>> receipt.changed, receipt.layers[0].others_identical, torch.equal(before, after)
    (True, True, False)
    >>> torch.equal(before, model(tokens, causal_mask(3)))
    True
    """
    operation, found, chosen, numbers = plan_operation(model, fault, layers, heads)
    active = {layer.module: Active(operation, numbers, Tally(layer)) for layer in chosen}
    tallies = tuple(one.tally for one in active.values())
    receipt = Receipt(operation.name, tallies, len(found) - len(chosen))

    def add(patient: Patient, module: nn.Module) -> None:
        patient.active += (active[module],)

    def remove(patient: Patient, module: nn.Module) -> None:
        patient.active = tuple(one for one in patient.active if one is not active[module])

    hooks = [layer.module.register_forward_pre_hook(_counting(active[layer.module].tally)) for layer in chosen]
    whole = Tally(chosen[0])  # counts runs of the model as a whole
    hooks.append(model.register_forward_pre_hook(_counting(whole)))
    try:
        lay_down(active, add, connecting(chosen))
        yield receipt
    finally:
        take_up(active, remove)
        for hook in hooks:
            hook.remove()
        receipt.undone = True
    _refuse_nothing(model, tallies, whole.runs, is_asked_for=layers is not None)


class Plan(NamedTuple):
    """What is to be done where: the operation, all layers, those that are chosen, and the heads (None: all)."""

    operation: Operation
    found: tuple[Layer, ...]
    chosen: tuple[Layer, ...]
    heads: tuple[int, ...] | None


def plan_operation(model: nn.Module, fault: object, layers: Choice, heads: Choice) -> Plan:
    """Return what is to be done where, before anything is run.

    Raises:
        As `operate`.
    """
    operation, numbers = find_operation(fault), read_heads(heads)
    found = attention_layers(model)
    chosen = choose_layers(found, layers)
    for layer in chosen:
        if layer.num_heads is not None:
            check_heads(numbers, layer.num_heads, layer.name)
    return Plan(operation, found, chosen, numbers)


def _counting(tally: Tally) -> Callable[..., None]:
    def count(*_: object) -> None:
        tally.runs += 1

    return count


def _refuse_nothing(model: nn.Module, tallies: tuple[Tally, ...], runs: int, *, is_asked_for: bool) -> None:
    out_of_reach = [tally for tally in tallies if tally.is_out_of_reach]
    if out_of_reach and (is_asked_for or not any(tally.calls for tally in tallies)):
        layer = out_of_reach[0].layer
        raise SurgeryError(
            f"layer {layer.name} of {model_name(model)} ({type(layer.module).__name__}) ran {out_of_reach[0].runs} "
            f"times and attends in a way that cannot be followed: no softmax over the keys of a product of query and "
            f"key, with only a scale, a cap, masks and biases in between, met its values. Nothing was operated on."
        )
    silent = [tally for tally in tallies if tally.runs and not tally.calls and not tally.is_out_of_reach]
    if silent:
        raise SurgeryError(
            f"layer {silent[0].layer.name} of {model_name(model)} ran {silent[0].runs} times and never called "
            f"the attention registry: nothing was operated on."
        )
    if runs and not any(tally.calls for tally in tallies):
        names = ", ".join(tally.layer.name for tally in tallies[:3])
        raise SurgeryError(
            f"{model_name(model)} ran, and the layers that were to be operated on ({names}"
            f"{', ...' if len(tallies) > 3 else ''}) did not run on this input: nothing was operated on."
        )
    if not any(tally.calls for tally in tallies):
        raise SurgeryError(f"{model_name(model)} was not run within the block: nothing was operated on.")
