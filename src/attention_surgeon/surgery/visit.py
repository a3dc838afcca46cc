"""A model watched while it runs: every call of attention is seen, and nothing is kept."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from attention_surgeon.errors import SurgeryError
from attention_surgeon.surgery.call import AttentionCall
from attention_surgeon.surgery.choose import Choice, choose_layers
from attention_surgeon.surgery.connect import connecting
from attention_surgeon.surgery.inputs import ModelInput, ModelOutput, TextLike, prepare, run_model
from attention_surgeon.surgery.layers import Layer, attention_layers, model_name
from attention_surgeon.surgery.table import Observer, Patient, Sight, lay_down, take_up


def visit_layers(
    model: nn.Module,
    text: TextLike,
    visit: Callable[[AttentionCall], None],
    *,
    layers: Choice = None,
    tokenizer: Any = None,
    target: TextLike | None = None,
) -> ModelOutput:
    """Run a model on one text and hand over query and key of each layer as it goes, for statistics of long texts.

    Nothing n x n is made here, and no layer is kept. In "sdpa" transformers makes no n x n matrix either, unless there
    is padding or a window; in "eager" it does.

    Args:
        model: As for `operate`.
        text: As for `capture`.
        visit: Called with each layer's call: query and key as the attention function gets them, the mask as an object
            that is not written out where it is causal alone, the scaling.
        layers: As for `operate`.
        tokenizer: As for `capture`.
        target: As for `capture`.

    Returns:
        What the model gave.

    Raises:
        As `capture`.

    >>> from attention_surgeon.models import Decoder, DecoderConfig
    >>> model = Decoder(DecoderConfig(vocabulary_size=11)).eval()
    >>> _ = visit_layers(model, [3, 1, 4], lambda call: print(call.layer.name, tuple(call.query.shape)))
    0 (1, 4, 3, 16)
    1 (1, 4, 3, 16)
    """
    return run_observed(model, prepare(model, text, tokenizer, target), lambda sight: visit(sight.call), layers)


@contextmanager
def observe(model: nn.Module, observer: Observer, *, layers: Choice = None) -> Iterator[tuple[Layer, ...]]:
    """Let `observer` see every call of attention within the block; the model gives what it would give without.

    Yields:
        The layers that are watched.
    """
    chosen = choose_layers(attention_layers(model), layers)
    modules = [layer.module for layer in chosen]

    def add(patient: Patient, module: nn.Module) -> None:
        patient.observers += (observer,)

    def remove(patient: Patient, module: nn.Module) -> None:
        patient.observers = tuple(one for one in patient.observers if one is not observer)

    try:
        lay_down(modules, add, connecting(chosen))
        yield chosen
    finally:
        take_up(modules, remove)


def run_observed(model: nn.Module, given: ModelInput, observer: Observer, layers: Choice) -> ModelOutput:
    """Run a model under an observer.

    Raises:
        SurgeryError: no attention went through the registry.
    """
    seen: set[str] = set()

    def note(sight: Sight) -> None:
        seen.add(sight.call.layer.name)
        observer(sight)

    with observe(model, note, layers=layers) as watched:
        output = run_model(model, given)
    missed = [layer.name for layer in watched if layer.name not in seen]
    if len(missed) == len(watched):
        classes = ", ".join(sorted({type(layer.module).__name__ for layer in watched}))
        raise SurgeryError(
            f"{model_name(model)} ran, and no attention was seen in its layers ({classes}): nothing was captured. They "
            f"did not run on this input, or attend in a way that cannot be followed."
        )
    return output
