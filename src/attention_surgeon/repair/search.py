"""The search for the smallest change: every edit of the catalogue, the likely ones first; then on from what is better.

Likely is an edit at the line that the judge saw, and one of a kind that mends the fault's stage. A mistake is found by
its exact answer: an edit that mends one of two faults makes the object answer as the other fault alone does. Where
nothing is known by name, fewer wrong calls and a smaller distance lead on.
"""

import math
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Literal, TypeAlias

from attention_surgeon.faults import catalogue
from attention_surgeon.repair import (
    edits_heads,
    edits_hiding,
    edits_layers,
    edits_masks,
    edits_positions,
    edits_scale,
    edits_small,
    edits_statements,
    edits_weights,
)
from attention_surgeon.repair.edit import Edit, Kind, edits_of
from attention_surgeon.repair.judge import Judge, Probe
from attention_surgeon.repair.patch import lost_words, num_crossed, num_hidings, size_of
from attention_surgeon.repair.source import Source, Splice
from attention_surgeon.repair.workbench import Workbench, bounded, load

CATALOGUE = (
    edits_small,
    edits_scale,
    edits_masks,
    edits_heads,
    edits_weights,
    edits_hiding,
    edits_layers,
    edits_positions,
    edits_statements,
)
"""The modules whose rules are in force; importing them enters the rules."""

Among: TypeAlias = Literal["likely", "all"]
"""Which edits are tried: those that the faults point at, or all."""

_BETTER = 0.7
"""An unnamed mistake that this factor brings nearer is worth going on from."""

_VERIFYING = 30.0
"""CPU seconds in which a whole text must be found right."""

_ODD = 100.0
"""So many characters weigh as much as a cost of 1."""

_LINE = 60.0
"""A line more weighs as much as so many characters: two short lines are read sooner than one that says all thrice."""

_NUM_STARTS = 6
_MOST_EDITS = 3

_MOST_ALIKE = 2
"""From so many texts that have the same faults left the search goes on; another way to get there seldom helps."""

_LONGER = 0.1
"""So much further in cost a smaller patch is looked for once there is one of one line; of more lines, much further."""

_MANNERS = ("manners",)
"""What is left where every value is right and a gradient, a dtype or an argument that was changed is not."""


@dataclass(frozen=True)
class Fix:
    """A verified text.

    Attributes:
        text: Of the whole file.
        edits: What was done, by the names of the rules.
        num_lines: How many lines it changes.
        num_characters: How many characters of these lines go or come.
        cost: Of its edits, together; less at a line that was seen to be wrong.
    """

    text: str
    edits: tuple[str, ...]
    num_lines: int
    num_characters: int
    cost: float = 0.0

    @property
    def size(self) -> float:
        """What makes one patch smaller than another: lines and characters, of which odd edits count for more."""
        return _LINE * self.num_lines + self.num_characters + _ODD * self.cost


@dataclass(frozen=True)
class _Start:
    """A text from which the search goes on, and the faults that are left in it."""

    fix: Fix
    left: tuple[str, ...]
    probe: Probe | None = None


@dataclass
class Search:
    """One search, its budget, and what it has counted.

    Attributes:
        judge: Says how right a candidate is.
        module: The file as it was loaded.
        name: Of the object.
        most_lines: Of a patch.
        seconds: Of CPU that the search may take; the child it runs in is stopped where a file sleeps.
        num_tried: Candidates so far.
    """

    judge: Judge
    module: ModuleType
    name: str
    most_lines: int = 6
    seconds: int | float = 60
    num_tried: int = 0
    _began: float = field(default_factory=time.process_time)
    _original: str = ""

    def run(self, text: str) -> Fix | None:
        """Return the smallest verified change of a text, or None where none was found in the budget."""
        self._original = text
        start = _Start(Fix(text, (), 0, 0), self.judge.first.names)
        passes: list[tuple[Among, bool]] = [("likely", False), ("all", False), ("all", True)]
        for among, closely in passes if self.judge.is_named else passes[-1:]:
            found = self._step(start, among=among, closely=closely)
            if found is not None:
                return found
        return None

    def _step(self, before: _Start, *, among: Among, closely: bool) -> Fix | None:
        """Try every edit of one text; of what is right, return the smallest; go on from what is better."""
        source = Source(before.fix.text)
        bench = Workbench(source.closure(self.name, *self.judge.handed), self.name, self.module)
        start = before.probe or self._probe(bench, (), closely=closely)
        best: Fix | None = None
        last = math.inf
        known: Counter[tuple[str, ...]] = Counter()
        near: list[_Start] = []
        for cost, edit in self._ranked(bench, before.left, among):
            if self._is_over or cost > last:
                break
            probe = self._probe(bench, edit.splices, closely=closely)
            if probe is None or not (probe.is_right or start is None or _is_better(probe, start)):
                continue
            found = self._fix(before.fix, source, edit, cost)
            if found.num_lines > self.most_lines or (best is not None and found.size >= best.size):
                continue
            if probe.is_right and self.verified(found.text):
                best, last = found, min(last, cost + _LONGER * found.num_lines**2)
                continue
            left = _MANNERS if probe.is_right else probe.left
            if best is not None or len(found.edits) == _MOST_EDITS or (left == _MANNERS and start and start.is_right):
                continue
            if not left or left == _MANNERS:
                near.append(_Start(found, left or before.left, probe))
            elif known[left] < _MOST_ALIKE:
                known[left] += 1
                further = self._step(_Start(found, left, probe), among=among, closely=False)
                if further is not None:
                    best, last = further, min(last, cost + _LONGER * further.num_lines**2)
        return best or self._from_near(near, among)

    def _from_near(self, near: list[_Start], among: Among) -> Fix | None:
        """Go on from the best of what is only nearer, or right in its values alone, which may only hide a mistake."""
        near.sort(key=lambda one: (one.probe.size if one.probe else (), one.fix.size))
        for one in near[:_NUM_STARTS]:
            is_right = one.left == _MANNERS
            found = self._step(one, among=among if is_right else "all", closely=not is_right)
            if found is not None:
                return found
        return None

    def _fix(self, before: Fix, source: Source, edit: Edit, cost: float) -> Fix:
        text = source.spliced(edit.splices)
        return Fix(text, (*before.edits, edit.rule), *size_of(self._original, text), before.cost + cost)

    def _ranked(self, bench: Workbench, left: Sequence[str], among: Among) -> Iterator[tuple[float, Edit]]:
        names = self._names_left(bench) if left == _MANNERS else left
        return ranked(edits_of(bench.closure), names, self._starts(bench.closure.source), among)

    def _names_left(self, bench: Workbench) -> Sequence[str]:
        """Return what the whole judge still finds in a text whose first probe is right."""
        try:
            with bounded(_VERIFYING):
                return self.judge.names_left(bench.make(())) or self.judge.first.names
        except Exception:  # noqa: BLE001  a candidate may raise anything
            return self.judge.first.names

    def _starts(self, source: Source) -> list[int]:
        """Return where the lines start that the judge saw, and those that speak of what it gave."""
        lines = [place.line for place in self.judge.places if place.file == getattr(self.module, "__file__", None)]
        words = re.compile(rf"\b({'|'.join(map(re.escape, self.judge.words))})\b") if self.judge.words else None
        if words is not None:
            lines += [number for number, line in enumerate(source.text.splitlines(), 1) if words.search(line)]
        if any("returned" in name for name in self.judge.first.names):
            lines += [number for number, line in enumerate(source.text.splitlines(), 1) if "return " in line]
        return source.starts_of(lines)

    def verified(self, text: str) -> bool:
        """Whether a whole text is right, on what nobody has used before too, and still reads what it is given."""
        try:
            with bounded(_VERIFYING):
                is_crossed = num_crossed(text) > num_crossed(self._original)
                if is_crossed or lost_words(self._original, text) or self._hides_less(text):
                    return False
                target = load(text, self.module, self.name)
                return self.judge.is_right(target) and self.judge.holds(target)
        except Exception:  # noqa: BLE001  a candidate may raise anything
            return False

    def _hides_less(self, text: str) -> bool:
        """Whether a mask is taken out, though nothing is wrong with the mask."""
        stages = {fault.stage for fault in catalogue() if fault.name in self.judge.first.names}
        return bool(stages) and "mask" not in stages and num_hidings(text) < num_hidings(self._original)

    def _probe(self, bench: Workbench, splices: Sequence[Splice], *, closely: bool) -> Probe | None:
        self.num_tried += 1
        try:
            with bounded(self.judge.longest):
                return self.judge.probe(bench.make(splices), closely=closely)
        except Exception:  # noqa: BLE001  a candidate may raise anything
            return None

    @property
    def _is_over(self) -> bool:
        return time.process_time() - self._began > self.seconds


def _is_better(probe: Probe, start: Probe) -> bool:
    if probe.num_left != start.num_left:
        return probe.num_left < start.num_left
    return probe.num_wrong < start.num_wrong or probe.distance < _BETTER * start.distance


def ranked(
    edits: Sequence[Edit], names: Sequence[str], starts: Sequence[int], among: Among = "all"
) -> Iterator[tuple[float, Edit]]:
    """Yield edits with their cost, the small ones first, and before them those that faults and lines point at.

    Args:
        edits: Of the text.
        names: Of the faults that are to be mended.
        starts: Where in the text the lines start that were seen to be wrong.
        among: `likely` leaves out what neither a fault nor a line points at.
    """
    stages = {fault.stage for fault in catalogue() if fault.name in names}
    likely = {kind for stage in stages for kind in _LIKELY.get(stage, ())}
    likely |= {kind for name in names for part, kinds in _BY_NAME.items() if part in name for kind in kinds}
    costed = []
    for edit in edits:
        away = min((abs(edit.splices[0].start - start) for start in starts), default=math.inf)
        if among == "all" or edit.kind in likely or away < _NEAR:
            bonus = _LIKELY_IS_CHEAPER if edit.kind in likely else 0.0
            costed.append((edit.cost - bonus - _NEAR_IS_CHEAPER * 0.5 ** (away / _NEAR), edit))
    yield from sorted(costed, key=lambda one: one[0])


_NEAR_IS_CHEAPER = 0.6
_NEAR = 80
"""Characters from the start of the line that was seen; twice as far counts half."""

_LIKELY_IS_CHEAPER = 0.6

_LIKELY: Mapping[str, tuple[Kind, ...]] = {
    "projection": ("projection",),
    "heads": ("shape",),
    "operands": ("operand", "projection"),
    "score": ("operand", "operator", "shape"),
    "scale": ("scale",),
    "mask": ("mask", "operator", "number", "statement"),
    "normalise": ("axis", "number"),
    "combine": ("operand", "operator", "shape"),
    "merge": ("shape",),
    "output": ("projection", "operand"),
    "state": ("state", "statement"),
    "statistics": ("axis", "number", "call"),
}
"""From the stage of a fault to the edits that mend it."""

_BY_NAME: Mapping[str, tuple[Kind, ...]] = {
    "over_": ("axis", "number"),
    "transposed": ("shape",),
    "causal": ("call", "operator", "number"),
    "swapped": ("operand", "projection", "call"),
    "dropout": ("state", "call"),
    "ignored": ("statement", "call"),
    "order": ("projection",),
    "returned": ("call", "operand"),
    "residual": ("operand",),
}
