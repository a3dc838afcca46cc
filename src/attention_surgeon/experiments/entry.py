"""The journal entry of a report, as Markdown: every number in it comes from the records and traces given."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from attention_surgeon.experiments.result import Result
from attention_surgeon.trace import AttentionTrace

QUESTIONS = (
    "Scores of wide vectors spread as √d_k. What does the softmax make of them, and what changes with 1/√d_k?",
    "Which cells does the causal mask empty, and what could a model do with them if it did not?",
    "Two heads see the same text. Where in the figure do they disagree, and why is that useful?",
)


def write_entry(
    when: datetime,
    source: str,
    num_tokens: int,
    trace: AttentionTrace,
    measured: Result,
    pictures: Sequence[Path],
    page: Path | None = None,
    found: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Return the entry.

    Args:
        when: Date and time of the report.
        source: Where the text was from.
        num_tokens: Tokens in the whole text.
        trace: The attention that the heat maps show.
        measured: The scaling comparison.
        pictures: Files beside the journal, in a folder `visualizations`.
        page: The page that shows all of it, beside the journal.
        found: Verdicts of the experiments by their questions.
    """
    shown = len(trace.query_tokens)
    parts = [
        f"## {when:%Y-%m-%d %H:%M} · Attention report",
        f"Text: {source}, {num_tokens} tokens; the first {shown} are shown.",
        "### Shapes and numbers, step by step",
        steps_table(trace),
        checks_sentence(trace),
        "### With and without 1/√d_k",
        scaling_table(measured.records),
        measured.verdict,
        "### Pictures",
        "\n".join(f"![{path.stem.replace('_', ' ')}]({path.parent.name}/{path.name})" for path in pictures),
        *_experiments(page, found),
        "### Questions to answer in your own words",
        "\n\n".join(f"{number}. {question}\n\n   Your answer:" for number, question in enumerate(QUESTIONS, start=1)),
    ]
    return "\n\n".join(parts) + "\n"


def _experiments(page: Path | None, found: Mapping[str, str]) -> list[str]:
    if page is None:
        return []
    told = [f"- **{question}** {verdict}" for question, verdict in found.items()]
    link = f"Figures, tables and how to run each again: [{page.name}]({page.name})"
    return ["### Experiments", link, "\n".join(told)]


STEP_COLUMNS = ("step", "formula", "shape", "range")


def step_rows(trace: AttentionTrace) -> list[tuple[str, ...]]:
    """Return name, formula, shape and range of the eight tensors."""
    rows = []
    for step in trace.steps():
        spread = "nothing finite" if step.lowest is None else f"{step.lowest:.3g} to {step.highest:.3g}"
        rows.append((step.name, step.formula, " × ".join(map(str, step.shape)), spread))
    return rows


def steps_table(trace: AttentionTrace) -> str:
    """Return the table of the eight tensors: name, formula, shape, range."""
    return _table(STEP_COLUMNS, step_rows(trace))


def checks_sentence(trace: AttentionTrace) -> str:
    """Return how many checks passed, and the text of each that did not."""
    checks = trace.checks()
    failed = [f"{check.name}: {check.detail}" for check in checks if not check.passed]
    sentence = f"{len(checks) - len(failed)} of {len(checks)} checks passed."
    return " ".join([sentence, *(f"FAILED {text}." for text in failed)])


def scaling_table(records: Sequence[Mapping[str, float | int | bool]]) -> str:
    """Return the scaling comparison, one row per d_k."""
    at = {(record["d_k"], record["scaled"]): record for record in records}
    rows = []
    for d_k in dict.fromkeys(record["d_k"] for record in records):
        row = [str(d_k)]
        for measured in ("mean_max_weight", "entropy_share", "score_gradient"):
            row += [f"{at[d_k, scaled][measured]:.3f}" for scaled in (False, True)]
        rows.append(row)
    header = (
        "d_k",
        *(f"{name}, {how}" for name in ("largest weight", "entropy", "gradient") for how in ("plain", "scaled")),
    )
    return _table(header, rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
