"""What a course is: units in order, each a folder; exercises in a unit, each an object in a file of the learner.

    Course  ->  Unit (a folder, a page)  ->  Exercise (a file, an object in it, a contract, hints)

`content` is where the author keeps a unit, with sources and solutions; the `path` of an exercise is the same path
inside a learner's workspace, where sources and solutions never come.
"""

import difflib
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, final

from attention_surgeon.errors import OptionError

CHECKS = "checks:"
"""What a contract begins with that is a function of the unit's own checks file."""


@final
@dataclass(frozen=True)
class Prediction:
    """What is asked before something is run: choices, which one is right, and why."""

    question: str
    choices: tuple[str, ...]
    answer: int
    why: str


@final
@dataclass(frozen=True)
class Exercise:
    """One idea to be written in one place.

    Attributes:
        name: `unit.exercise`; it never changes.
        title: For people.
        unit: The name of its unit.
        file: The learner's file, relative to the unit's folder, as are `tests`, `solution` and `source`.
        object: What is judged in it.
        contract: A contract by name, or `checks:NAME`, a function of the unit's checks file.
        options: Of the contract.
        tests: Plain pytest, with the same verdicts.
        solution: A right version; never in a workspace.
        source: The marked file that stub and solution are made from; never in a workspace.
        minutes: It takes.
        difficulty: From 1 to 5.
        points: What `surgeon grade` gives for it; its difficulty where course.toml does not say.
        shapes: What goes in and what comes out.
        hints: Question, pointer, fix.
        passed: What is true once it is passed, and why that matters.
        predict: What may be asked before the run.
        experiment: The name of the experiment that belongs to it.
        evidence: What the checklist ticks itself from: patterns of files, and `passed:`, `experiment:`, `answered:`.
        reflect: Questions to answer in the journal.
        covered_by: Names of exercises that ask for the same and more: who has passed one of them may skip this one.
        folder: The unit's folder, relative to a workspace.
        content: The unit's folder where the author keeps it.
        checks: The unit's hidden checks file there.
    """

    name: str
    title: str
    unit: str
    file: str
    object: str
    contract: str
    options: Mapping[str, Any]
    tests: str
    solution: str
    source: str
    minutes: int
    difficulty: int
    points: int
    shapes: str
    hints: tuple[str, str, str]
    passed: str
    folder: PurePosixPath
    content: Path = field(repr=False)
    checks: Path = field(repr=False)
    predict: Prediction | None = None
    experiment: str | None = None
    evidence: tuple[str, ...] = ()
    reflect: tuple[str, ...] = ()
    covered_by: tuple[str, ...] = ()

    def shown_in(self, passed: Container[str]) -> str:
        """Return the name of a passed exercise that covers this one, empty where there is none, or it is passed."""
        return "" if self.name in passed else next((name for name in self.covered_by if name in passed), "")

    @property
    def path(self) -> PurePosixPath:
        """The learner's file, relative to the workspace."""
        return self.folder / self.file

    @property
    def check(self) -> str | None:
        """The name of the function in the checks file, or None where a contract judges."""
        return self.contract.removeprefix(CHECKS) if self.contract.startswith(CHECKS) else None


@final
@dataclass(frozen=True)
class Unit:
    """A folder of exercises with its page.

    Attributes:
        name: It never changes.
        title: For people.
        folder: In a workspace.
        content: Where the author keeps it.
        minutes: The whole unit takes.
        difficulty: From 1 to 5.
        builds_on: Names of units.
        page: Relative to the folder.
        checks: The hidden checks file.
        exercises: In order; the last one tests out of the unit.
        evidence: As in an exercise.
        reflect: Questions to answer in the journal when the unit is done.
    """

    name: str
    title: str
    folder: PurePosixPath
    content: Path = field(repr=False)
    minutes: int
    difficulty: int
    builds_on: tuple[str, ...]
    page: str
    checks: Path = field(repr=False)
    exercises: tuple[Exercise, ...]
    evidence: tuple[str, ...] = ()
    reflect: tuple[str, ...] = ()


@final
@dataclass(frozen=True)
class Course:
    """Units in their order, from one or more folders of content.

    Attributes:
        title: Of the first folder.
        version: Of the first folder.
        units: In order.
        folders: Each with a `course.toml`.
        allow_patch: Whether a learner who has asked for every hint may see a patch of the file.
    """

    title: str
    version: int
    units: tuple[Unit, ...]
    folders: tuple[Path, ...] = field(default=(), repr=False)
    allow_patch: bool = False

    @property
    def exercises(self) -> tuple[Exercise, ...]:
        """All exercises in their order."""
        return tuple(exercise for unit in self.units for exercise in unit.exercises)

    def unit(self, name: str) -> Unit:
        """Return the unit of that name.

        Raises:
            OptionError: there is none.
        """
        for unit in self.units:
            if unit.name == name:
                return unit
        raise OptionError(f"there is no unit {name!r}; the units are {', '.join(unit.name for unit in self.units)}.")

    def exercise(self, name: str) -> Exercise:
        """Return the exercise of that name.

        Raises:
            OptionError: there is none; the text names the nearest.
        """
        names = [exercise.name for exercise in self.exercises]
        if name in names:
            return self.exercises[names.index(name)]
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise OptionError(f"there is no exercise {name!r};{hint} `surgeon list` shows all {len(names)}.")
