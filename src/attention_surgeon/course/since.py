"""What has changed from one verdict to the next, and how much of a mistake is told."""

from collections.abc import Iterable, Mapping

from attention_surgeon.course.state import Standing
from attention_surgeon.course.verdict import ExerciseVerdict
from attention_surgeon.verdict import Mistake

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

    A part is called right only where that is known: the exercise is passed, or what is wrong now is told completely.

    >>> from attention_surgeon.verdict import Verdict
    >>> scale, mask = Mistake("scale_missing", "scale"), Mistake("mask_ignored", "mask")
    >>> one = ExerciseVerdict("a.b", "b.py", "f", "1", "", "mistake", found=Verdict("wrong", mistakes=(scale, mask)))
    >>> told = Verdict("wrong", mistakes=(mask,), explanations=((mask,),))
    >>> since(one, ExerciseVerdict("a.b", "b.py", "f", "2", "", "mistake", found=told))
    'the scale is right now; the mask remains'
    """
    if before is None or before.sha256 == now.sha256 or before.status in ("untouched",):
        return ""
    if before.fingerprint == now.fingerprint:
        return "" if now.status == "passed" else "nothing has changed in what it does"
    if before.status != "mistake" or now.status != "mistake":
        return _of_status(before, now)
    if before.mistakes and not is_told_completely(now):
        return "it is wrong in another way now" if before.names != now.names else ""
    return _of_mistakes(before, now) or _of_steps(before, now)


def is_told_completely(verdict: ExerciseVerdict) -> bool:
    """Whether nothing else can be wrong than what is named: other code with these mistakes answers exactly alike."""
    found = verdict.found
    if verdict.status == "passed":
        return True
    return bool(found.mistakes and (found.explanations or found.difference) and not any(found.unnamed))


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
    """Return the names of mistakes that are gone, where that is known."""
    if before is None or now.status not in ("mistake", "passed") or not is_told_completely(now):
        return []
    return [name for name in before.names if name not in now.names]


def _first(verdict: ExerciseVerdict) -> str:
    return verdict.names[0] if verdict.names else ""


def _of_status(before: ExerciseVerdict, now: ExerciseVerdict) -> str:
    if now.status == "stopped":
        return _of_stop(before, now)
    if before.status == "passed":
        return "it was right before; u undoes" if now.status != "passed" else ""
    if before.status == "stopped" and now.status in ("mistake", "passed"):
        return "" if any("raises" in text for text in now.found.unnamed) else "it runs now"
    if now.status == "passed" and before.mistakes:
        return _right_now(before.mistakes)
    return ""


def _of_stop(before: ExerciseVerdict, now: ExerciseVerdict) -> str:
    """Say what is new where it stops now: `u undoes` is worth most where it was right before."""
    if now.found.location is None:
        return "it was right before; u undoes" if before.status == "passed" else ""
    if before.status == "passed":
        return "it was right before, and stops with an error now; u undoes"
    if before.status == "mistake":
        return "it ran before, and stops with an error now"
    return "it stops with another error now" if before.found.location is not None else ""


def _of_mistakes(before: ExerciseVerdict, now: ExerciseVerdict) -> str:
    gone = [each for each in before.mistakes if each.name not in now.names]
    stay = [each for each in now.mistakes if each.name in before.names]
    new = [each for each in now.mistakes if each.name not in before.names]
    stages = {other.stage for other in (*stay, *new)} - {""}
    right = [each for each in gone if each.stage not in stages]
    other = [each for each in new if each.stage and each.stage in {one.stage for one in gone}]
    fresh = [each for each in new if each not in other]
    parts = [_right_now(right)] if right else []
    parts += [f"{what} {are} wrong in another way" for what, are, _ in _words(other)]
    parts += [f"{what} {are} {'wrong now' if stage else 'new'}" for what, are, _, stage in _words_and_stages(fresh)]
    if parts:
        parts += [f"{what} {remains}" for what, _, remains in _words(stay)]
    return "; ".join(parts)


def _of_steps(before: ExerciseVerdict, now: ExerciseVerdict) -> str:
    """Say which step is right now, or wrong now: only where the other verdict says the opposite of it."""
    earlier, later = before.found.difference, now.found.difference
    if earlier is None or later is None or earlier.step == later.step:
        return ""
    if earlier.step in later.right_before:
        return f"{_step(earlier.step)} right now"
    if later.step in earlier.right_before:
        return f"{_step(later.step)} wrong now, and {'was' if later.step == 'output' else 'were'} not before"
    return ""


def _step(step: str) -> str:
    return f"{_NAMES_OF_STEPS.get(step, f'the {step}')} {'is' if step == 'output' else 'are'}"


def _right_now(mistakes: Iterable[Mistake]) -> str:
    return "; ".join(
        f"{what} {are} {'right now' if stage else 'gone'}" for what, are, _, stage in _words_and_stages(mistakes)
    )


def _words(mistakes: Iterable[Mistake]) -> list[tuple[str, str, str]]:
    return [(what, are, remains) for what, are, remains, _ in _words_and_stages(mistakes)]


def _words_and_stages(mistakes: Iterable[Mistake]) -> list[tuple[str, str, str, str]]:
    """Return what a sentence is about: a stage by its words, a mistake of an exercise's own by its name."""
    stages = dict.fromkeys((each.stage, each.name) if not each.stage else (each.stage, "") for each in mistakes)
    return [(*_STAGES.get(stage, (f"`{name}`", "is", "remains")), stage) for stage, name in stages]
