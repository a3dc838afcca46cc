"""What `surgeon watch` says in one line: a verdict while something else is shown, and what one leaves behind."""

from collections.abc import Mapping

from attention_surgeon.course import Course, Exercise
from attention_surgeon.course.session import Judged, covered, is_done, last_verdict, passed_in
from attention_surgeon.course.state import Standing, State

_MOST_NAMED = 3


def news(judged: Judged) -> str:
    """Return a verdict in one line, to be shown while another page is open."""
    verdict = judged.verdict
    if verdict.status == "passed":
        return f"✓ {verdict.object} is right."
    first = verdict.mistakes[0] if verdict.mistakes else None
    seen = verdict.sentence or ("" if first is None else first.symptom or first.summary)
    signs = {"untouched": "○ Not begun.", "unfinished": "○ Not finished.", "stopped": "✗ It could not be judged."}
    return " ".join(f"{signs.get(verdict.status, '✗ Not yet.')} {seen}".split())


def missing(course: Course, left: Exercise, other: Exercise, standings: Mapping[str, Standing]) -> str:
    """Return what one leaves behind who goes on: an exercise that is open, those left out because what was passed
    covers them, units that the next one builds on."""
    said = []
    standing = standings.get(left.name, Standing())
    if not standing.passed:
        last = last_verdict(standing)
        why = ", ".join(last.names) if last is not None and last.names else "not passed"
        said.append(f"{left.name} stays open ({why}); l goes back to it.")
    spared = covered(course.exercises, standings)
    between = course.exercises[course.exercises.index(left) + 1 : course.exercises.index(other)]
    passed_by = [f"{each.name} (covered by {spared[each.name]})" for each in between if each.name in spared]
    if passed_by:
        said.append(f"Left out: {', '.join(passed_by)}.")
    state = State(exercises=dict(standings))
    for unit in map(course.unit, course.unit(other.unit).builds_on):
        if not is_done(state, unit):
            shown = {*covered(unit.exercises, standings), *passed_in(standings)}
            still = [each.name for each in unit.exercises if each.name not in shown]
            first = ", ".join(still[:_MOST_NAMED]) + (" …" if len(still) > _MOST_NAMED else "")
            said.append(f"{other.unit} builds on {unit.name}; not passed there: {first}.")
    return " ".join(said)
