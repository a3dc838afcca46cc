"""What confining a submission costs: python -m benchmarks.sandbox.

The same right file is judged by a warm judge that is confined and by one that is not, turn by turn.
"""

from statistics import median

from attention_surgeon.course import load_course
from attention_surgeon.course.asking import judge_file
from attention_surgeon.course.client import Judge
from attention_surgeon.course.sandbox import Confinement
from attention_surgeon.course.staging import staged

_EXERCISES = ("basics.attention", "project04.attention", "lab1.multihead", "modern.cache")
_TURNS = 9


def main() -> None:
    """Print a row for each exercise."""
    course = load_course()
    print("| exercise | confined, median | not confined | difference |")
    print("|---|---|---|---|")
    with Judge(Confinement(course.folders)) as apart, Judge() as plain:
        for name in _EXERCISES:
            exercise = course.exercise(name)
            solution = {exercise.path: (exercise.content / exercise.solution).read_bytes()}
            seconds: dict[Judge, list[float]] = {apart: [], plain: []}
            for _ in range(_TURNS):
                for judge, taken in seconds.items():
                    with staged(course, solution, judge.scratch) as root:
                        taken.append(judge_file(judge, exercise, root / exercise.path, str(exercise.path)).seconds)
            one, other = median(seconds[apart]), median(seconds[plain])
            print(f"| {name} | {1000 * one:.0f} ms | {1000 * other:.0f} ms | {1000 * (one - other):+.0f} ms |")


if __name__ == "__main__":
    main()
