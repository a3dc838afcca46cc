"""Two texts side by side, and the runs between them: what is read once, what is written head by head in batches."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from attention_surgeon.errors import OptionError, SurgeryError
from attention_surgeon.surgery.choose import Choice, check_heads, choose_layers, read_heads, read_numbers
from attention_surgeon.surgery.inputs import ModelInput, TextLike, prepare
from attention_surgeon.surgery.layers import attention_layers, model_name
from attention_surgeon.surgery.patching.anatomy import Place, require_places, survey
from attention_surgeon.surgery.patching.metric import Metric, MetricLike, metrics_of, read_metric
from attention_surgeon.surgery.patching.touching import Touching, reading, touching
from attention_surgeon.surgery.receipt import Receipt, Tally

_MOST_TOKENS = 4096  # in one batch: above it a batch saves nothing on a CPU
_MOST_ROWS = 64


@final
@dataclass(frozen=True, eq=False)
class Bench:
    """A model with the two texts between which something is patched.

    Attributes:
        model: In evaluation mode.
        clean: What is read from.
        corrupt: What is written into.
        metric: What is measured.
        places: All attention layers.
        chosen: Those that are patched.
        heads: The heads that are patched; None: all.
    """

    model: nn.Module
    clean: ModelInput
    corrupt: ModelInput
    metric: Metric
    places: tuple[Place, ...]
    chosen: tuple[Place, ...]
    heads: tuple[int, ...] | None

    @torch.no_grad()
    def read(
        self, given: ModelInput, wanted: Iterable[tuple[Place, str]]
    ) -> tuple[dict[tuple[str, str], Tensor], float]:
        """Run a text and return what stands at the wanted places, by layer and name, and the metric.

        Raises:
            SurgeryError: one of them was not reached.
        """
        found: dict[tuple[str, str], Tensor] = {}
        wanted = tuple(wanted)
        with touching([reading(place, what, found) for place, what in wanted]):
            values, _ = metrics_of(self.model, given.arguments, self.metric)
        missing = [(place, what) for place, what in wanted if (place.layer.name, what) not in found]
        if missing:
            place, what = missing[0]
            raise SurgeryError(f"layer {place.layer.name}: {what} was not reached in the run, so it cannot be read.")
        return found, float(values[0])

    @torch.no_grad()
    def run_each(self, units: Sequence[Any], touches: Callable[[Sequence[Any]], Sequence[Touching]]) -> list[float]:
        """Run the corrupt text once for each unit, many in one batch, and return the metric of each.

        Args:
            units: What differs from row to row.
            touches: From the units of one batch to what is read and written in it.
        """
        found: list[float] = []
        size = max(min(_MOST_TOKENS // max(self.length, 1), _MOST_ROWS), 1)
        for begin in range(0, len(units), size):
            batch = units[begin : begin + size]
            with touching(touches(batch)):
                values, _ = metrics_of(self.model, repeated(self.corrupt.arguments, len(batch)), self.metric)
            found.extend(values.tolist())
        return found

    @property
    def length(self) -> int:
        """Positions of the longest sequence that is handed in."""
        sizes = [value.shape[1] for value in self.corrupt.arguments.values() if is_batch(value) and value.ndim > 1]
        return max(sizes, default=1)

    @torch.no_grad()
    def logits(self) -> Tensor:
        """Return the logits of the corrupt text, to see that nothing stayed behind."""
        return metrics_of(self.model, self.corrupt.arguments, self.metric)[1].nan_to_num()

    def heads_of(self, place: Place, what: str) -> tuple[int, ...]:
        """Return the heads of a layer that are patched; key and value heads for k and v."""
        count = place.num_kv_heads if what in ("k", "v") else place.num_heads
        return check_heads(self.heads, count, place.layer.name)

    def receipt(self, method: str, tallies: Sequence[Tally], before: Tensor) -> Receipt:
        """Return the receipt, after the corrupt text was run once more.

        Raises:
            SurgeryError: the model is not as it was.
        """
        if not torch.equal(before, self.logits()):
            raise SurgeryError(
                "the model is not as it was before the patch; this is a mistake of ours, please report it."
            )
        receipt = Receipt(method, tuple(tallies), len(self.places) - len(tallies))
        receipt.undone = True
        return receipt


def open_bench(
    model: nn.Module,
    clean: TextLike,
    corrupt: TextLike,
    metric: MetricLike,
    *,
    layers: Choice = None,
    heads: Choice = None,
    tokenizer: Any = None,
    target: TextLike | None = None,
) -> Bench:
    """Read two texts and survey the model.

    Raises:
        OptionError, ArgumentTypeError, ShapeError: no such layer or head; texts that cannot be read, or of two lengths.
        SurgeryError: no attention to patch; training mode.
    """
    numbers = read_heads(heads)
    chosen = choose_layers(attention_layers(model), layers)
    if model.training:
        raise OptionError("the model is in training mode, in which no two runs are the same; call model.eval() first.")
    sides = [prepare(model, text, tokenizer, target) for text in (clean, corrupt)]
    _require_alike(*sides)
    measured = read_metric(metric, tokenizer, sides[1].target_tokens)
    places = require_places(survey(model, sides[0]), model)
    modules = {layer.module for layer in chosen}
    mine = tuple(place for place in places if place.layer.module in modules)
    if not mine:
        raise SurgeryError(f"{model_name(model)} ran, and none of the chosen layers called attention.")
    return Bench(model, sides[0], sides[1], measured, places, mine, numbers)


def read_positions(positions: Choice, count: int) -> tuple[int, ...]:
    """Return the positions that are meant, all for None; `-1` is the last.

    Raises:
        ArgumentTypeError, OptionError: no choice; a position that the text does not have.
    """
    if positions is None:
        return tuple(range(count))
    if isinstance(positions, int) and not isinstance(positions, bool) and -count <= positions < 0:
        positions += count
    chosen = read_numbers(positions, "positions")
    if chosen[-1] >= count:
        raise OptionError(f"positions: there is no position {chosen[-1]}; the text has {count}, 0 to {count - 1}.")
    return chosen


def is_batch(value: object) -> bool:
    """Whether an argument of the model is a tensor of one sequence."""
    return isinstance(value, Tensor) and value.ndim > 0 and value.shape[0] == 1


def repeated(arguments: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Return the arguments of one text for a batch of `count` copies."""
    return {
        name: value.expand(count, *value.shape[1:]) if is_batch(value) else value for name, value in arguments.items()
    }


def _require_alike(clean: ModelInput, corrupt: ModelInput) -> None:
    for one, other in ((clean.tokens, corrupt.tokens), (clean.target_tokens, corrupt.target_tokens)):
        if len(one) != len(other):
            raise OptionError(
                f"patch: clean has {len(one)} tokens and corrupt {len(other)}; a patch puts position on position, so "
                f"they must be the same. clean: {' | '.join(one[:12])}; corrupt: {' | '.join(other[:12])}."
            )
