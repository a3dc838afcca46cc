"""The search for the smallest change: every edit of the catalogue, the likely ones first; then on from what is better.

A mistake is found by its exact answer: an edit that mends one of two faults makes the object answer as the other fault
alone does, which a circuit says. Where nothing is known by name, fewer wrong calls and a smaller distance lead on.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Literal, TypeAlias

from attention_surgeon.repair import edits_attention, edits_small, edits_statements
from attention_surgeon.repair.edit import Edit, Kind, edits_of
from attention_surgeon.repair.judge import Judge, Judged, Probe
from attention_surgeon.repair.patch import size_of
from attention_surgeon.repair.source import Source, Splice
from attention_surgeon.repair.workbench import Workbench, bounded, load

CATALOGUE = (edits_small, edits_attention, edits_statements)
"""The modules whose rules are in force; importing them enters the rules."""

Among: TypeAlias = Literal["likely", "all"]
"""Which edits are tried: those that the faults point at, or all."""

_BETTER = 0.7
"""An unnamed mistake that this factor brings nearer is worth going on from."""

_PATIENCE = 3.0
"""So many times its CPU seconds a search may take by the clock, on a busy machine."""

_ODD = 100.0
"""So many characters weigh as much as a cost of 1."""

_NUM_STARTS = 6
_MOST_EDITS = 3

_LONGER = 0.35
"""So much further in cost a smaller patch is looked for once there is one."""


@dataclass(frozen=True)
class Fix:
    """A verified text.

    Attributes:
        text: Of the whole file.
        edits: What was done, by the names of the rules.
        num_lines: How many lines it changes.
        num_characters: How many characters of these lines go or come.
        cost: Of its edits, together.
    """

    text: str
    edits: tuple[str, ...]
    num_lines: int
    num_characters: int
    cost: float = 0.0

    @property
    def size(self) -> tuple[int, float]:
        """What makes one patch smaller than another: lines, then characters, of which odd edits count for more."""
        return self.num_lines, self.num_characters + _ODD * self.cost


@dataclass(frozen=True)
class _Start:
    """A text that is better than the one before, from which the search goes on."""

    probe: Probe
    cost: float
    fix: Fix


@dataclass
class Search:
    """One search, its budget, and what it has counted.

    Attributes:
        judge: Says how right a candidate is.
        module: The file as it was loaded.
        name: Of the object.
        most_lines: Of a patch.
        seconds: Of CPU that the search may take, and three times as many by the clock.
        num_tried: Candidates so far.
    """

    judge: Judge
    module: ModuleType
    name: str
    most_lines: int = 6
    seconds: int | float = 60
    num_tried: int = 0
    _began: tuple[float, float] = field(default_factory=lambda: (time.process_time(), time.monotonic()))
    _original: str = ""

    def run(self, text: str) -> Fix | None:
        """Return the smallest verified change of a text, or None where none was found in the budget."""
        self._original = text
        passes: list[tuple[Among, bool]] = [("likely", False), ("all", False), ("all", True)]
        for among, closely in passes if self.judge.is_named else passes[-1:]:
            found = self._deepen(text, among=among, closely=closely)
            if found is not None:
                return found
        return None

    def _deepen(self, text: str, *, among: Among, closely: bool) -> Fix | None:
        """Try one edit, then two, then three, each time from the best texts so far."""
        waiting = [Fix(text, (), 0, 0)]
        for _ in range(_MOST_EDITS):
            better: list[_Start] = []
            for start in waiting:
                found = self._step(start, better, among=among, closely=closely)
                if found is not None:
                    return found
            better.sort(key=lambda one: (one.probe, one.fix.size))
            waiting = [one.fix for one in better[:_NUM_STARTS]]
        return None

    def _step(self, before: Fix, better: list[_Start], *, among: Among, closely: bool) -> Fix | None:
        """Try every edit of one text; note what is better; of what is right, return the smallest."""
        source = Source(before.text)
        bench = Workbench(source.closure(self.name), self.name, self.module)
        start = self._probe(bench, (), closely=closely)
        best: Fix | None = None
        last = math.inf
        for cost, edit in ranked(edits_of(bench.closure), self.judge.judged, among):
            if self._is_over or cost > last:
                break
            probe = self._probe(bench, edit.splices, closely=closely)
            if probe is None or not (probe.is_right or start is None or _is_better(probe, start)):
                continue
            changed = source.spliced(edit.splices)
            size = size_of(self._original, changed)
            found = Fix(changed, (*before.edits, edit.rule), *size, before.cost + edit.cost)
            if found.num_lines > self.most_lines:
                continue
            if not probe.is_right:
                better.append(_Start(probe, cost, found))
            elif (best is None or found.size < best.size) and self.verified(changed):
                best, last = found, min(last, cost + _LONGER)
            elif best is None and not (start is not None and start.is_right):
                better.append(_Start(probe, cost, found))  # the values are right, its manners are not
        return best

    def verified(self, text: str) -> bool:
        """Whether a whole text is right: for the judge, and on what nobody has used before."""
        try:
            with bounded(20.0):
                target = load(text, self.module, self.name)
                return self.judge.is_right(target) and self.judge.holds(target)
        except Exception:  # noqa: BLE001  a candidate may raise anything
            return False

    def _probe(self, bench: Workbench, splices: Sequence[Splice], *, closely: bool) -> Probe | None:
        self.num_tried += 1
        try:
            with bounded():
                return self.judge.probe(bench.make(splices), closely=closely)
        except Exception:  # noqa: BLE001  a candidate may raise anything
            return None

    @property
    def _is_over(self) -> bool:
        used, passed = time.process_time() - self._began[0], time.monotonic() - self._began[1]
        return used > self.seconds or passed > _PATIENCE * self.seconds


def _is_better(probe: Probe, start: Probe) -> bool:
    if probe.num_left != start.num_left:
        return probe.num_left < start.num_left
    return probe.num_wrong < start.num_wrong or probe.distance < _BETTER * start.distance


def ranked(edits: Sequence[Edit], judged: Judged, among: Among = "all") -> Iterator[tuple[float, Edit]]:
    """Yield edits with their cost, the small ones first, and before them those that the faults point at."""
    likely = {kind for stage in judged.stages for kind in _LIKELY.get(stage, ())}
    likely |= {kind for name in judged.names for part, kinds in _BY_NAME.items() if part in name for kind in kinds}
    chosen = [edit for edit in edits if among == "all" or edit.kind in likely]
    costed = ((edit.cost - (_LIKELY_IS_CHEAPER if edit.kind in likely else 0.0), edit) for edit in chosen)
    yield from sorted(costed, key=lambda one: one[0])


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
}
