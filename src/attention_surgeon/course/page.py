"""The progress page: one HTML file without an outside address, from what is there."""

import base64
from collections.abc import Iterator
from datetime import datetime
from html import escape

from attention_surgeon.course.evidence import Point, checklist
from attention_surgeon.course.journal import answers, entries
from attention_surgeon.course.registry import Exercise, Unit
from attention_surgeon.course.session import covered, is_done
from attention_surgeon.course.state import Standing, State
from attention_surgeon.course.workspace import JOURNAL, Workspace

_MOST_FIGURES, _LARGEST_FIGURE = 12, 2**20  # of a unit; bytes

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --good: #2a7d4f; --quiet: #777; }
@media (prefers-color-scheme: dark) { :root { --good: #6fcf97; --quiet: #999; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin: 2rem 0 .3rem; font-size: 1.15rem; }
p { margin: .2rem 0; } .quiet { color: var(--quiet); }
.bar { height: .6rem; border: 1px solid var(--line); border-radius: .3rem; overflow: hidden; margin: .8rem 0; }
.bar div { height: 100%; background: var(--good); }
table { border-collapse: collapse; width: 100%; }
td { border-top: 1px solid var(--line); padding: .3rem .6rem .3rem 0; vertical-align: top; }
td:first-child { width: 1.5rem; } .done { color: var(--good); font-weight: bold; } code { font-size: .9em; }
dt { font-weight: bold; margin-top: .5rem; } dd { margin: 0 0 0 1rem; white-space: pre-line; }
figure { margin: .8rem 0; } img { max-width: 100%; } figcaption { color: var(--quiet); font-size: .85em; }
ul { list-style: none; padding: 0; margin: .4rem 0; }
"""


def progress_page(workspace: Workspace, when: datetime) -> str:
    """Return the page.

    Args:
        workspace: Whose.
        when: What the page says it was made.
    """
    state, course = workspace.state.read(), workspace.course
    passed = sum(bool(state.exercises.get(exercise.name, Standing()).passed) for exercise in course.exercises)
    spared = covered(course.exercises, state.exercises)
    done = f"{passed} of {len(course.exercises)}"
    also = f", {len(spared)} covered by them" if spared else ""
    share = 100 * (passed + len(spared)) / len(course.exercises)
    body = "\n".join(part for unit in course.units for part in _unit(workspace, state, unit))
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(course.title)}: progress</title><style>{_STYLE}</style></head>
<body>
<h1>{escape(course.title)}</h1>
<p class="quiet">{done} exercises passed{also} · {when:%Y-%m-%d %H:%M}</p>
<div class="bar" role="img" aria-label="{done}"><div style="width:{share:.0f}%"></div></div>
{body}
</body>
</html>
"""


def _unit(workspace: Workspace, state: State, unit: Unit) -> Iterator[str]:
    done = " · done" if is_done(state, unit) else ""
    yield f"<h2>{escape(unit.title)}</h2>"
    about = f"{escape(str(unit.folder))} · {unit.minutes} min · difficulty {unit.difficulty} of 5{done}"
    yield f'<p class="quiet">{about}</p>'
    yield "<table>"
    spared = covered(unit.exercises, state.exercises)
    for exercise in unit.exercises:
        yield _row(exercise, state.exercises.get(exercise.name, Standing()), spared.get(exercise.name, ""))
    yield "</table>"
    points = checklist(workspace, unit.folder, unit.evidence)
    for exercise in unit.exercises:
        points += checklist(workspace, unit.folder, exercise.evidence)
    if points:
        yield f"<ul>{''.join(_point(point) for point in points)}</ul>"
    yield from _answers(workspace, unit)
    yield from _figures(workspace, unit)


def _answers(workspace: Workspace, unit: Unit) -> Iterator[str]:
    """Yield what the learner has answered in the journal about a unit and its exercises."""
    written = entries(workspace.root / JOURNAL)
    names = [*(exercise.name for exercise in unit.exercises), unit.name]
    said = [each for name in names for each in answers(written.get(name, "")) if each[1]]
    if said:
        rows = "".join(f"<dt>{escape(question)}</dt><dd>{escape(answer)}</dd>" for question, answer in said)
        yield f"<details><summary>{len(said)} answered</summary><dl>{rows}</dl></details>"


def _figures(workspace: Workspace, unit: Unit) -> Iterator[str]:
    """Yield the pictures that the learner has made in a unit's folder, in the page itself."""
    given = workspace.state.read().given
    shown = 0
    for file in sorted((workspace.root / unit.folder).rglob("*.png")):
        path = file.relative_to(workspace.root).as_posix()
        if path in given or shown == _MOST_FIGURES or not 0 < file.stat().st_size <= _LARGEST_FIGURE:
            continue
        shown += 1
        data = base64.b64encode(file.read_bytes()).decode()
        alt = escape(path, quote=True)
        yield f'<figure><img src="data:image/png;base64,{data}" alt="{alt}"><figcaption>{alt}</figcaption></figure>'


def _row(exercise: Exercise, standing: Standing, covered_by: str) -> str:
    sign, kind = (
        ("✓", "done")
        if standing.passed
        else ("↷", "quiet")
        if covered_by
        else ("…", "")
        if standing.attempts
        else ("○", "quiet")
    )
    beaten = ", ".join(f"<code>{escape(name)}</code>" for name in standing.beaten)
    about = [
        standing.passed[:10],
        covered_by and f"covered by <code>{escape(covered_by)}</code>",
        f"{standing.attempts} judged" if standing.attempts else "",
        beaten and f"beaten: {beaten}",
    ]
    return (
        f'<tr><td class="{kind}">{sign}</td><td>{escape(exercise.title)}<br><code class="quiet">{escape(exercise.name)}'
        f'</code></td><td class="quiet">{" · ".join(filter(None, about))}</td></tr>'
    )


def _point(point: Point) -> str:
    sign, kind = ("☑", "done") if point.is_done else ("☐", "quiet")
    label, found = escape(point.label), escape(point.found)
    return f'<li><span class="{kind}">{sign}</span> {label} <span class="quiet">{found}</span></li>'
