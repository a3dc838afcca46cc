"""One chapter of the page for each experiment."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, final

from attention_surgeon.experiments.page.pictures import Picture, saved_picture
from attention_surgeon.experiments.page.tables import PageTable, record_table, samples_of
from attention_surgeon.experiments.report_runs import Section
from attention_surgeon.experiments.runs import SavedRun

_AT_ONCE = 2
"""Pictures that are seen at once; the others are folded away."""


@final
@dataclass(frozen=True)
class Chapter:
    """What the page tells about one experiment.

    Attributes:
        name: Of the experiment; also where links to it lead.
        question: What was asked.
        verdict: What was found; empty if it failed.
        problem: Why it failed; empty if it did not.
        remark: What is to be known about its settings.
        is_quick: Whether they were the quick ones.
        pictures: Those that are seen at once.
        more: The other ones.
        table: The measurements; None if it failed.
        samples: What models wrote, by their names.
        command: What makes it again.
        facts: Seconds, seed, day, folder, versions and settings, by name.
    """

    name: str
    question: str
    verdict: str
    problem: str
    remark: str
    is_quick: bool
    pictures: tuple[Picture, ...]
    more: tuple[Picture, ...]
    table: PageTable | None
    samples: tuple[tuple[str, str], ...]
    command: str
    facts: dict[str, str]

    @property
    def made(self) -> str:
        """How long it took, with which seed and versions, in one line."""
        return " · ".join(self.facts[name] for name in ("took", "seed", "made", "with") if name in self.facts)


def chapter_of(section: Section, command: str) -> Chapter:
    """Return the chapter about one experiment; `command` makes it again where there is no run that says so.

    Raises:
        FileAccessError, FileFormatError: a figure of the run cannot be read.
    """
    planned, run = section.planned, section.run
    pictures = () if run is None else tuple(map(saved_picture, _drawings(run)))
    return Chapter(
        name=planned.experiment.name,
        question=planned.experiment.question,
        verdict="" if run is None else run.verdict,
        problem=section.problem,
        remark=planned.remark,
        is_quick=planned.is_quick,
        pictures=pictures[:_AT_ONCE],
        more=pictures[_AT_ONCE:],
        table=None if run is None else record_table(run.records, "What was measured"),
        samples=() if run is None else samples_of(run.records),
        command=command if run is None else run.command,
        facts={} if run is None else _facts(run),
    )


def _drawings(run: SavedRun) -> list[Path]:
    """Return the SVG files of a run's figures."""
    return [path.with_suffix(".svg") for path in run.figures if path.with_suffix(".svg").is_file()]


def _facts(run: SavedRun) -> dict[str, str]:
    versions = {name: str(value) for name, value in run.versions.items()}
    main = ", ".join(f"{name} {versions[name]}" for name in ("attention_surgeon", "torch") if name in versions)
    return {
        "took": "" if run.seconds is None else f"{run.seconds:g} s",
        "seed": f"seed {run.config.get('seed')}",
        "made": f"{datetime.fromisoformat(run.started):%Y-%m-%d %H:%M}",
        "with": main,
        "kept in": f"{run.folder}, with all measurements, their spread, and the figures as PNG and SVG",
        "versions": ", ".join(f"{name} {value}" for name, value in versions.items()),
        "settings": ", ".join(f"{name} = {_setting(value)}" for name, value in run.config.items()),
    }


def _setting(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
