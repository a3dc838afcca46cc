"""What the operating table lets a person choose for a model."""

from typing import Any, NamedTuple

from attention_surgeon.cli.serve_operation import MASKS, SCALES
from attention_surgeon.faults import catalogue
from attention_surgeon.surgery import BUILT_IN, LoadedModel, attention_layers, operations
from attention_surgeon.surgery.inputs import writes
from attention_surgeon.surgery.layers import model_name

_ELSEWHERE = ("no_scale", "drop_mask", "reverse_mask", "temperature:2")
"""What has a control of its own."""
_EXAMPLES = {
    "tiny": "the harbour in winter",
    "writer": "Seven horses, a window, Lyme, nine letters. Seven horses, a window, Lyme, nine",  # it looks back
}
_EXAMPLE = "The cat sat on the mat because it was tired."


class Stack(NamedTuple):
    """Layers that are counted together: all of most models; encoder, decoder and cross of some."""

    name: str
    num_layers: int
    num_heads: int


def stacks_of(loaded: LoadedModel) -> tuple[Stack, ...]:
    """Return the stacks of a model; where only a call could tell the number of heads, 0 of them."""
    found: dict[str, list[int]] = {}
    for layer in attention_layers(loaded.model):
        found.setdefault(layer.stack, []).append(layer.num_heads or 0)
    return tuple(Stack(name, len(heads), max(heads)) for name, heads in found.items())


def offer_of(loaded: LoadedModel, most_tokens: int) -> dict[str, Any]:
    """Return what can be chosen, as the page takes it."""
    return {
        "model": loaded.name,
        "summary": f"{_capital(BUILT_IN.get(loaded.name, model_name(loaded.model)))}.",
        "example": _EXAMPLES.get(loaded.name, _EXAMPLE),
        "mostTokens": most_tokens,
        "stacks": [
            {"name": stack.name, "numLayers": stack.num_layers, "numHeads": stack.num_heads}
            for stack in stacks_of(loaded)
        ],
        "masks": [[value.partition(":")[0], words] for value, words in MASKS],
        "scales": [list(choice) for choice in SCALES],
        "lessons": lessons_of(loaded),
        "faults": [
            {"name": operation.name, "group": _group(operation.name), "summary": operation.summary}
            for operation in operations()
            if operation.name not in _ELSEWHERE
        ],
    }


def lessons_of(loaded: LoadedModel) -> list[dict[str, Any]]:
    """Return five operations to show a class, each with the question that it answers."""
    sees_all = not writes(loaded.model)
    mask = {"mask": "causal"} if sees_all else {"mask": "none"}
    about_mask = "What if nobody may look ahead?" if sees_all else "What if everybody may see the future?"
    last = str(stacks_of(loaded)[0].num_layers - 1)
    return [
        {"title": "Silence one head", "question": "Does the model need it?", **_ONE_HEAD},
        {"title": "Even attention", "question": "What if nobody may choose?", "fault": "uniform"},
        {"title": "Change the mask", "question": about_mask, **mask},
        {"title": "No scale", "question": "Why divide by √d_k?", "scale": "none"},
        {"title": "Temperature 0", "question": f"What if layer {last} takes one token only?", "temperature": 0}
        | {"layers": [int(last)]},
    ]


_ONE_HEAD = {"fault": "knock_out", "layers": [0], "heads": [0]}


def _group(name: str) -> str:
    stages = {fault.name: fault.stage for fault in catalogue()}
    return f"faults of the {stages[name]}" if name in stages else "operations"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
