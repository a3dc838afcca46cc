"""Make stub and solution of every exercise from its marked source: `python -m attention_surgeon.course.generate`.

python -m attention_surgeon.course.generate [FOLDER ...]           writes what is out of date
python -m attention_surgeon.course.generate --check [FOLDER ...]   writes nothing; exit code 1 if anything is
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from attention_surgeon.course.load import content_folder, load_course
from attention_surgeon.course.marked import split_marked
from attention_surgeon.course.registry import Course
from attention_surgeon.errors import FileFormatError, SurgeonError
from attention_surgeon.files import read_text, write_file


def generated_files(course: Course) -> Iterator[tuple[Path, str]]:
    """Yield every generated file of a course with what must stand in it.

    Raises:
        FileAccessError: a source is missing.
        FileFormatError: a source is not marked as it should be, or two exercises disagree about what comes from it.
    """
    made: dict[Path, tuple[Path, Path]] = {}
    for exercise in course.exercises:
        source = exercise.content / exercise.source
        pair = (exercise.content / exercise.file, exercise.content / exercise.solution)
        if source in made:
            if made[source] != pair:
                raise FileFormatError(
                    f"exercise {exercise.name!r}: another one makes other files from {exercise.source}."
                )
            continue
        if source in pair:
            raise FileFormatError(
                f"exercise {exercise.name!r}: its source {exercise.source} is also what is made from it."
            )
        made[source] = pair
        yield from zip(pair, split_marked(read_text(source), source), strict=True)


def out_of_date(course: Course) -> dict[Path, str]:
    """Return the generated files that are missing or differ from their source, with what must stand in them."""
    return {file: text for file, text in generated_files(course) if not file.is_file() or read_text(file) != text}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m attention_surgeon.course.generate",
        description="Make stub and solution of every exercise from its marked source.",
    )
    parser.add_argument("folder", nargs="*", help="with a course.toml; without one, the course that comes along")
    parser.add_argument("--check", action="store_true", help="write nothing; say what is out of date")
    given = parser.parse_args(arguments)
    try:
        return _generate(load_course(*(given.folder or [content_folder()])), is_check=given.check)
    except SurgeonError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _generate(course: Course, *, is_check: bool) -> int:
    old = out_of_date(course)
    for file, text in old.items():
        print(f"{'out of date' if is_check else 'written'}: {file}")
        if not is_check:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_file(file, text)
    if not old:
        print("every stub and every solution is up to date")
    return 1 if is_check and old else 0


if __name__ == "__main__":
    sys.exit(main())
