"""Judging candidates by their own operations: a rotary layer with a cache too; no contract is needed.

A plain call is read first, which takes a twentieth of a second. What shows only with a mask, a cache or a switch is
asked for when the plain call still answers as before, bit for bit: a patch for those changes nothing in it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from attention_surgeon.calls import Plan, Refusal, find_plan
from attention_surgeon.diagnose.judge import diagnose_answers, right_as
from attention_surgeon.diagnose.observed import as_diagnosis, words_of
from attention_surgeon.errors import SurgeonError, UnjudgedError
from attention_surgeon.repair.judge import Judge, Probe
from attention_surgeon.repair.judge_answers import asked_of, takes_as_much
from attention_surgeon.testing import contracts_for
from attention_surgeon.testing.contract import Contract
from attention_surgeon.testing.layer.behaviour import LayerContract
from attention_surgeon.testing.steadiness import surroundings_kept
from attention_surgeon.verdict import Verdict
from attention_surgeon.witness import Finding, Flow, Observation, observe, read
from attention_surgeon.witness.cache_objects import cache_kinds
from attention_surgeon.witness.options import with_batch
from attention_surgeon.witness.promises import expectations
from attention_surgeon.witness.record import Array, to_numbers
from attention_surgeon.witness.scores import Pattern

_FAMILIES: Mapping[str, str] = {
    "rotary": "rotary",
    "alibi": "ALiBi",
    "window": "window",
    "cap_": "capped",
    "relative_bias": "bias for each",
    "sink": "sink",
    "causal": "causal",
    "tiled": "sharing",
    "qk_norm": "normed",
    "norm_axis": "normed",
    "residual": "input is added",
}
"""What an object is: a part of a fault's name, and a word of its kind. A patch that takes it out mends nothing."""

_BEHIND: Mapping[str, tuple[str, ...]] = {
    "context_ignored": ("query_as_value", "key_as_value"),
    "projection_shared": ("query_as_key", "key_as_value", "query_as_value"),
    "attends_over_heads": ("heads_merged_without_transpose",),
    "heads_split_by_view": ("heads_merged_without_transpose", "heads_merged_by_feature"),
}
"""Faults that are seen only when another one is gone: mending the one brings the other to light, which is progress."""

_WITHOUT_ARGUMENTS = "projection_unused"
"""A fault of the plain call that its reading does not show: a patch for it changes what that call gives."""

_HELD_BACK: Sequence[Mapping[str, int]] = ({"batch": 2, "n_q": 11, "n_k": 11}, {"batch": 1, "n_q": 17, "n_k": 17})


@dataclass(frozen=True)
class _Plain:
    """What was read of the plain call of an object.

    Attributes:
        faults: By name.
        is_cut_short: Whether its heads or axes are so wrong that scale and mask could not be read: they come after it.
    """

    faults: frozenset[str]
    is_cut_short: bool


class OperationsJudge(Judge):
    """Judges candidates by reading their operations as those of the first object were read."""

    longest = 6.0

    def __init__(self, target: Any, contract: str | None = None, options: Mapping[str, Any] | None = None) -> None:
        """Judge the object that is to be mended.

        Args:
            target: The object.
            contract: What it should be besides; a patch must be right by it too. None: nothing besides.
            options: Of the contract.
        """
        options = self._options = dict(options or {})
        self._says, self._name = words_of(target), getattr(target, "__name__", type(target).__name__)
        self._contracts: Sequence[Contract] = () if contract is None else contracts_for(target, contract, **options)
        self._is_unscaled = options.get("scaled") is False or any(
            isinstance(one, LayerContract) and not one.is_scaled for one in self._contracts
        )
        self._seen: dict[bytes, _Plain | None] = {}
        self._plain: _Plain | None = None
        with surroundings_kept():
            self.first = self._judge(target)
            self._asked = asked_of(self._contracts, target)

    @property
    def is_named(self) -> bool:
        """Every finding has a name here, or a step and a sentence."""
        return True

    def probe(self, target: Any, *, closely: bool) -> Probe | None:
        """Read the plain call; where that says nothing more, everything."""
        del closely  # what has no name here cannot be measured
        with surroundings_kept():
            plan = _with_target(self._first_plan, target)  # what cannot be called as before is no candidate
            if self._plain is not None and self._plain.faults:
                left = self._read_once(plan)
                if left is None or not self._is_less(left, self._plain):
                    return None
                if left.faults:
                    others = len(self._all.faults - self._plain.faults)
                    return Probe(len(left.faults) + others, left=tuple(sorted(left.faults)))
            elif self._plain is not None and _WITHOUT_ARGUMENTS not in self.first.names:
                if not _is_same(_output(plan), self._first_output):
                    return None
            return self._observed(plan, is_quick=True)

    def is_right(self, target: Any) -> bool:
        """Whether the whole observation finds nothing wrong; with a contract also every answer that it asks for."""
        with surroundings_kept():
            plan = self._plan(target, says=words_of(target))
            probe = None if plan is None else self._observed(plan)
            is_right = probe is not None and probe.is_right
            return is_right and (not self._contracts or self._is_as_asked(target))

    def _is_as_asked(self, target: Any) -> bool:
        takes = takes_as_much(self._asked, asked_of(self._contracts, target), self.first.names)
        return takes and any(right_as(one, target) for one in self._contracts)

    def names_left(self, target: Any) -> tuple[str, ...]:
        """Return what the operations show, or else what the contract finds."""
        with surroundings_kept():
            plan = self._plan(target, says=words_of(target))
            if plan is None:
                return ()
            found = observe(plan, name=self._name, says=self._says, is_unscaled=self._is_unscaled)
            left = tuple(sorted(_names(found.findings)))
            if left or not self._contracts:
                return left
            return diagnose_answers(target, self._contracts[0].registered_name, **self._options).names

    def holds(self, target: Any, draw: int = 0) -> bool:
        """Whether it is read without a fault at other sizes and numbers, with other heads too where it can be."""
        with surroundings_kept():
            plan = self._plan(target)
            if plan is None:
                return False
            heads = plan.sizes.heads or 1
            wider = plan.resized(heads=heads + 1 + draw) if heads > 1 else None
            return self._holds(plan, draw) and (wider is None or self._holds(wider, draw))

    def _holds(self, plan: Plan, draw: int) -> bool:
        is_read = False
        for sizes in _HELD_BACK:
            seed = 20 + 4 * draw
            try:
                drawn = (plan.draw(**sizes, seed=seed + place) for place in (0, 1))
                reading = read(Flow(plan, plan.make(seed=seed + 2), *drawn), expects=self._expects(plan))
            except Exception:  # noqa: BLE001  a size that the object refuses, as it did before
                continue
            if reading.findings:
                return False
            is_read |= not reading.unknown
        return is_read

    def _judge(self, target: Any) -> Verdict:
        plan = self._plan(target)
        if plan is None:
            return Verdict("unjudged", reason="I cannot tell how it is called.")
        try:
            found = observe(plan, name=self._name, says=self._says, is_unscaled=self._is_unscaled)
        except SurgeonError as error:
            return Verdict("unjudged", reason=f"{error}.")
        self._untried, self._all = frozenset(found.untried), _plain_of(found)
        self._tried, self._is_causal, self._idle = (
            frozenset(found.tried),
            _is_causal(found, *_NEARLY_CAUSAL),
            _idle(found),
        )
        self.places = tuple(finding.place for finding in found.findings if finding.place is not None)
        self.words = tuple(finding.argument for finding in found.findings if finding.argument)
        if any("cache" in (finding.fault or "") for finding in found.findings):
            self.handed = tuple(cache_kinds(target))
        self._families = {word for word in _FAMILIES.values() if any(word in said for said in _said_of(found))}
        plainly = {finding.fault for finding in found.findings if not finding.argument}
        self._families |= {word for part, word in _FAMILIES.items() if any(part in name for name in plainly)}
        self._pattern = Pattern("nothing") if found.reading is None else found.reading.pattern
        expects = self._expects(plan)
        self._is_too_far_back = expects.reach is None and any(
            finding.fault == "window_off_by_one" and self._pattern.size > (expects.window or 0)
            for finding in found.findings
        )
        self._beyond = _beyond(found)
        self._parameters = _parameters(plan)
        self._num_running, self._num_returned = _num_running(plan), _num_returned(plan)
        self._takes_a_batch = _takes_a_batch(plan, self._says)
        self._first_plan, self._plain, self._first_output = plan, self._read_once(plan), _output(plan)
        return as_diagnosis(found, plan)

    def _plan(self, target: Any, says: str = "") -> Plan | None:
        try:
            plan = find_plan(target, source=says or self._says)
        except Exception:  # noqa: BLE001  a candidate may raise anything
            return None
        return None if isinstance(plan, Refusal) else plan

    def _expects(self, plan: Plan) -> Any:
        return expectations(plan, self._name, self._says, is_unscaled=self._is_unscaled)

    def _read_once(self, plan: Plan) -> _Plain | None:
        """Return what the plain call shows; what answers as another did is not read again."""
        key = _output(plan).round(9).tobytes()
        if key not in self._seen:
            try:
                flow = Flow(plan, plan.make(seed=0), plan.draw(seed=0), plan.draw(seed=1))
                reading = read(flow, expects=self._expects(plan))
            except UnjudgedError:
                return None
            found = _Plain(_names(reading.findings), reading.scaling is None)
            self._seen[key] = None if reading.unknown else found
        return self._seen[key]

    def _observed(self, plan: Plan, *, is_quick: bool = False) -> Probe | None:
        try:
            found = observe(plan, name=self._name, says=self._says, is_unscaled=self._is_unscaled, is_quick=is_quick)
        except UnjudgedError:
            return None
        left = _plain_of(found)
        if found.unknown or not self._is_less(left, self._all) or not self._is_the_same_kind(found):
            return None
        if not self._untried.issuperset(found.untried) or self._is_tried_less(found, is_quick=is_quick):
            return None  # an argument that now raises is not mended
        if _num_returned(plan) < self._num_returned or (not is_quick and _num_running(plan) < self._num_running):
            return None  # nor is a switch of the constructor, or what comes back beside the output
        if not self._parameters <= _parameters(plan) or not _idle(found) <= self._idle:
            return None  # a projection that is used by nobody is not mended by taking it out
        if self._takes_a_batch and not _takes_a_batch(plan, self._says):
            return None
        return Probe(len(left.faults), left=tuple(sorted(left.faults)))

    def _is_tried_less(self, found: Observation, *, is_quick: bool = False) -> bool:
        """Whether what was called before raises now, or is understood in another way, or is not called at all."""
        before, now = _ways(self._tried), _ways(found.tried)
        if not is_quick and _num_sizes(found.tried) < _num_sizes(self._tried):
            return True
        if any("ignored" in name for name in self.first.names):  # with what it hides now, some query may see no key
            before = {name: {way for way in ways if not _OF_KEYS.match(way)} for name, ways in before.items()}
        return any(name not in now or ways - now[name] for name, ways in before.items())

    def _is_less(self, left: _Plain, before: _Plain) -> bool:
        """Whether faults have gone and none has come, but those that the ones that went had stood before."""
        gone = before.faults - left.faults
        behind = {name for one in gone for name in _BEHIND.get(one, ())}
        is_longer = before.is_cut_short and not left.is_cut_short
        return bool(gone) and (is_longer or left.faults - before.faults <= behind)

    def _is_the_same_kind(self, found: Observation) -> bool:
        if self._is_causal and not _is_causal(found):
            return False
        if self._is_too_far_back and found.reading is not None and found.reading.pattern.size >= self._pattern.size:
            return False  # as far ahead is another window, too
        if not self._all.is_cut_short and not _beyond(found) <= self._beyond:
            return False
        return all(any(word in words for words in _said_of(found)) for word in self._families)


def _said_of(found: Observation) -> tuple[str, ...]:
    """Return what an object is; that only the keys are normed, or that the input is added, is remarked."""
    return (*found.kind, *found.remarks)


def _beyond(found: Observation) -> frozenset[str]:
    """Return what is done to the output; a gate that a patch brings, if only of one number, hides a mistake."""
    return frozenset(words for words in found.kind if words.endswith(("on its output", "to the output")))


def _idle(found: Observation) -> frozenset[str]:
    """Return what was remarked of parameters that change nothing; a bias may, where a softmax follows."""
    return frozenset(one for one in found.remarks if "parameter" in one and "nothing" in one and "bias`" not in one)


_SIZES = re.compile(r"^one token$|\(\d[\d, ]*\)$")
"""What is said of a call that was made at other sizes: what stands in front of the tokens may change."""

_MASK = re.compile(r"\) (boolean|additive|integer)\b")
_OF_KEYS = re.compile(r"\(b(, 1)*, m\)")
"""A mask of keys alone, alike for every query."""

_MEANING = re.compile(r"(True hides|True may attend|added)$")


def _ways(tried: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return how each argument was given and taken: a mask with which axes, for what, a cache in which pieces.

    Of a mask that was misread or ignored only the name: what reads it takes fewer forms.
    """
    told = (words.partition(": ") for words in tried if not _SIZES.search(words))
    return {name: frozenset(_ways_in(ways)) for name, _, ways in told}


def _num_sizes(tried: Iterable[str]) -> int:
    return sum(_SIZES.search(words) is not None for words in tried)


def _ways_in(words: str) -> Iterator[str]:
    meaning = _MEANING.search(words)
    if meaning is not None:
        yield meaning[0]
    if meaning is not None or not _MASK.search(words):
        yield from re.findall(r"\([^)]*\)(?: \w+)?", words) or words.split(", ")


def _num_returned(plan: Plan) -> int:
    """Return how many arrays the plain call gives."""
    return len(_returned(plan))


def _num_running(plan: Plan) -> int:
    """Return with how many switches of the constructor turned the object can be called."""
    return sum(_runs(switched) for switched in plan.switched())


def _runs(plan: Plan) -> bool:
    try:
        plan.call(plan.make(seed=0), plan.draw(seed=0))
    except Exception:  # noqa: BLE001  a candidate may raise anything
        return False
    return True


def _with_target(plan: Plan, target: Any) -> Plan:
    """Return a plan for another text of the same object, at other sizes too."""

    def resized(**sizes: int) -> Plan | None:
        found = plan.resized(**sizes)
        return None if found is None else replace(found, target=target)

    return replace(plan, target=target, finder=resized)


def _parameters(plan: Plan) -> frozenset[str]:
    """Return the names of what a layer learns."""
    made = plan.make(seed=0)
    return frozenset(name for name, _ in made.named_parameters()) if isinstance(made, nn.Module) else frozenset()


def _takes_a_batch(plan: Plan, says: str) -> bool:
    """Whether several sequences can be given at once, where it is called with two axes too."""
    if any("b" in one.axes for one in plan.arguments):
        return True
    several = with_batch(plan, says)
    try:
        return several is not None and bool(several.arrays(several.call(several.make(seed=0), several.draw(seed=0))))
    except Exception:  # noqa: BLE001  a candidate may raise anything
        return False


_NEARLY_CAUSAL = ("one_ahead", "diagonal_hidden", "reversed", "reversed_without_diagonal")
"""Patterns that are a causal one with a slip: mended it is causal, and no window to both sides."""


def _is_causal(found: Observation, *also: str) -> bool:
    pattern = None if found.reading is None else found.reading.pattern
    return pattern is not None and (pattern.is_causal or pattern.name in also)


def _plain_of(found: Observation) -> _Plain:
    return _Plain(_names(found.findings), found.reading is None or found.reading.scaling is None)


def _names(findings: Sequence[Finding]) -> frozenset[str]:
    return frozenset(finding.fault or f"{finding.step}: {_without_numbers(finding.sentence)}" for finding in findings)


def _without_numbers(sentence: str) -> str:
    return re.sub(r"[-+]?\d[\d.e+-]*", "0", sentence)


def _output(plan: Plan) -> Array:
    """Return the output of the plain call."""
    return to_numbers(_returned(plan)[max(plan.output, 0)])


def _returned(plan: Plan) -> Sequence[Any]:
    """Return what the plain call gives."""
    with torch.no_grad():
        return plan.arrays(plan.call(plan.make(seed=0), plan.draw(seed=0)))


def _is_same(one: Array, two: Array) -> bool:
    return one.shape == two.shape and bool(np.allclose(one, two, rtol=1e-6, atol=1e-7, equal_nan=True))
