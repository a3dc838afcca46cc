"""What has changed from one verdict to the next, and how much of a mistake is told."""

from collections.abc import Iterable, Mapping

from attention_surgeon.course.state import Standing
from attention_surgeon.course.verdict import ExerciseVerdict
from attention_surgeon.verdict import Mistake

_STEPS = ("scores", "scaled", "masked", "weights", "output")
_STAGES: Mapping[str, tuple[str, str, str]] = {
    "projection": ("the projections", "are", "remain"),
    "heads": ("the heads", "are", "remain"),
    "operands": ("what is multiplied", "is", "remains"),
    "score": ("the scores", "are", "remain"),
    "scale": ("the scale", "is", "remains"),
    "mask": ("the mask", "is", "remains"),
    "normalise": ("the softmax", "is", "remains"),
    "combine": ("the weighted sum", "is", "remains"),
    "merge": ("putting the heads together", "is", "remains"),
    "output": ("what is returned", "is", "remains"),
    "state": ("how it treats its surroundings", "is", "remains"),
    "statistics": ("the statistics", "are", "remain"),
}
_NAMES_OF_STEPS = {"scaled": "the scaled scores", "masked": "the masked scores"}


def since(before: ExerciseVerdict | None, now: ExerciseVerdict) -> str:
    """Return what is better and what remains since another verdict, empty where there is nothing to say.

    >>> from attention_surgeon.verdict import Verdict
    >>> scale, mask = Mistake("scale_missing", "scale"), Mistake("mask_ignored", "mask")
    >>> one = ExerciseVerdict("a.b", "b.py", "f", "1", "", "mistake", found=Verdict("wrong", mistakes=(scale, mask)))
    >>> since(one, ExerciseVerdict("a.b", "b.py", "f", "2", "", "mistake", found=Verdict("wrong", mistakes=(mask,))))
    'the scale is right now; the mask remains'
    """
    if before is None or before.sha256 == now.sha256 or before.status in ("untouched",):
        return ""
    if before.fingerprint == now.fingerprint:
        return "" if now.status == "passed" else "nothing has changed in what it does"
    if before.status != "mistake" or now.status != "mistake":
        return _of_status(before, now)
    return _of_mistakes(before, now) or _of_steps(before, now)


def next_level(before: Standing, last: ExerciseVerdict | None, now: ExerciseVerdict) -> int:
    """Return how much is said of the first mistake: a different attempt that fails alike releases the pointer.

    Saving again without a change in behaviour releases nothing; another first mistake begins at its question. The fix
    is only ever shown when it is asked for.
    """
    if last is None or _first(last) != _first(now):
        return 0
    is_new_attempt = last.fingerprint != now.fingerprint
    return max(before.level, 1) if is_new_attempt and _first(now) else before.level


def beaten(before: ExerciseVerdict | None, now: ExerciseVerdict) -> list[str]:
    """Return the names of mistakes that are gone, where the code still runs."""
    if before is None or now.status not in ("mistake", "passed"):
        return []
    return [name for name in before.names if name not in now.names]


def _first(verdict: ExerciseVerdict) -> str:
    return verdict.names[0] if verdict.names else ""


def _of_status(before: ExerciseVerdict, now: ExerciseVerdict) -> str:
    if before.status == "passed":
        return "it was right before; u undoes" if now.status != "passed" else ""
    if before.status == "stopped" and now.status in ("mistake", "passed"):
        return "it runs now"
    if now.status == "passed" and before.mistakes:
        return _right_now(before.mistakes)
    return ""


def _of_mistakes(before: ExerciseVerdict, now: ExerciseVerdict) -> str:
    gone = [each for each in before.mistakes if each.name not in now.names]
    stay = [each for each in now.mistakes if each.name in before.names]
    new = [each for each in now.mistakes if each.name not in before.names]
    right = [each for each in gone if each.stage not in {other.stage for other in (*stay, *new)}]
    other = [each for each in new if each.stage in {one.stage for one in gone}]
    fresh = [each for each in new if each not in other]
    parts = [_right_now(right)] if right else []
    parts += [f"{what} {are} wrong in another way" for what, are, _ in _words(other)]
    parts += [f"{what} {are} wrong now" for what, are, _ in _words(fresh)]
    if parts:
        parts += [f"{what} {remains}" for what, _, remains in _words(stay)]
    return "; ".join(parts)


def _of_steps(before: ExerciseVerdict, now: ExerciseVerdict) -> str:
    if before.step not in _STEPS or now.step not in _STEPS or before.step == now.step:
        return ""
    step = before.step if _STEPS.index(now.step) > _STEPS.index(before.step) else now.step
    what = _NAMES_OF_STEPS.get(step, f"the {step}")
    are = "is" if step == "output" else "are"
    return f"{what} {are} {'right now' if step == before.step else 'wrong now, and were not before'}"


def _right_now(mistakes: Iterable[Mistake]) -> str:
    return "; ".join(f"{what} {are} right now" for what, are, _ in _words(mistakes))


def _words(mistakes: Iterable[Mistake]) -> list[tuple[str, str, str]]:
    stages = dict.fromkeys((each.stage, each.name) if not each.stage else (each.stage, "") for each in mistakes)
    return [_STAGES.get(stage, (name.replace("_", " "), "is", "remains")) for stage, name in stages]
