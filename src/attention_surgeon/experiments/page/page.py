"""From a report and its experiments to the text of the page."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import jinja2

import attention_surgeon
from attention_surgeon.experiments.claims import Claim, Judgement, Status, count_judgements
from attention_surgeon.experiments.entry import STEP_COLUMNS, checks_sentence, step_rows
from attention_surgeon.experiments.page.chapters import Chapter, chapter_of
from attention_surgeon.experiments.page.pictures import Picture, picture_of
from attention_surgeon.experiments.page.tables import PageTable, plain_table
from attention_surgeon.experiments.report import Report
from attention_surgeon.experiments.report_runs import Planned, Section
from attention_surgeon.plots.style import Theme, theme_named

_EXCERPT = 360
_NOT_TEXT = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\ud800-\\udfff\\ufffe\\uffff]")
_SIGNS: dict[Status, str] = {
    "holds": "✓",
    "holds only if": "◐",
    "does not hold": "✗",
    "contradicts itself": "⇄",
    "not measured": "–",
}


@final
@dataclass(frozen=True)
class Commands:
    """What stands on the page for those who want the same again.

    Attributes:
        whole: Makes the whole report.
        one: Makes one experiment.
    """

    whole: str
    one: Callable[[Planned], str]


@final
@dataclass(frozen=True)
class Page:
    """Everything that the template shows."""

    report: Report
    command: str
    version: str
    excerpt: str
    checks: str
    strongest: str
    steps: PageTable
    pictures: tuple[Picture, ...]
    chapters: tuple[Chapter, ...]
    claims: Mapping[str, Sequence[tuple[Claim, Judgement]]]
    counts: Mapping[Status, int]
    signs: Mapping[Status, str]
    measured: frozenset[str]
    day: Theme
    night: Theme

    @property
    def num_quick(self) -> int:
        """How many experiments were run with their quick settings."""
        return sum(chapter.is_quick for chapter in self.chapters)

    @property
    def failed(self) -> tuple[Chapter, ...]:
        """The experiments that failed."""
        return tuple(chapter for chapter in self.chapters if chapter.problem)


def build_page(
    report: Report, sections: Sequence[Section], claims: Sequence[tuple[Claim, Judgement]], commands: Commands
) -> str:
    """Return the page as HTML: one file that needs nothing else. The same runs give the same bytes.

    Args:
        report: What was found about the text.
        sections: The experiments.
        claims: The claims of the course with their judgements.
        commands: What makes the same again.

    Raises:
        FileAccessError, FileFormatError: a figure of a run cannot be read.
    """
    page = Page(
        report=report,
        command=commands.whole,
        version=attention_surgeon.__version__,
        excerpt=_excerpt(report.text),
        checks=checks_sentence(report.traces["every key"]),
        strongest=_strongest(report),
        steps=plain_table(
            "The eight tensors of attention on this text", STEP_COLUMNS, step_rows(report.traces["every key"])
        ),
        pictures=tuple(map(picture_of, report.figures.values())),
        chapters=tuple(chapter_of(section, commands.one(section.planned)) for section in sections),
        claims=_by_unit(claims),
        counts={status: count for status in _SIGNS if (count := count_judgements(claims).get(status, 0))},
        signs=_SIGNS,
        measured=frozenset(section.planned.experiment.name for section in sections),
        day=theme_named("light", "report"),
        night=theme_named("dark", "report"),
    )
    return _printable(_template().render(page=page))


def _template() -> jinja2.Template:
    """Return the template; whatever is put into it is escaped, and a name that it does not know is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("attention_surgeon.experiments.page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")


def _printable(text: str) -> str:
    """Return a text with a mark in place of every character that no HTML may hold."""
    return _NOT_TEXT.sub("\ufffd", text)


def _excerpt(text: str) -> str:
    """Return the beginning of the text, cut behind a word."""
    words = " ".join(text[: 4 * _EXCERPT].split())
    if len(words) <= _EXCERPT and len(text) <= 4 * _EXCERPT:
        return words
    return f"{words[:_EXCERPT].rsplit(' ', 1)[0]} …"


def _strongest(report: Report) -> str:
    pair = report.traces["every key"].strongest_pair(skip_self=True)
    if pair is None:
        return ""
    gives = f"“{pair.query_token}” gives “{pair.key_token}” {pair.weight:.2f} of its attention"
    return f"The strongest link between two tokens: {gives}."


def _by_unit(decided: Sequence[tuple[Claim, Judgement]]) -> dict[str, list[tuple[Claim, Judgement]]]:
    units: dict[str, list[Any]] = {claim.unit: [] for claim, _ in decided}
    for claim, judgement in decided:
        units[claim.unit].append((claim, judgement))
    return units
