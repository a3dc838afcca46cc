"""What docs/design.md says of the code is there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "attention_surgeon"
TRIP = (ROOT / "docs" / "design.md").read_text(encoding="utf-8").partition("## The trip of one saved file")[2]
TRIP = TRIP.partition("\n## ")[0]
ROWS = re.findall(r"^\| (\d+) \| `([\w/.]+)` \| `(\w+)` \|", TRIP, re.MULTILINE)
MORE = re.findall(r"`([\w/]+\.py)`\s\(`(\w+)`", TRIP)


def functions_of(file: str) -> set[str]:
    tree = ast.parse((SOURCE / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_stop_is_there():
    assert len(ROWS) > 10
    assert len(MORE) > 3
    stops = [(file, function) for _, file, function in ROWS] + MORE
    assert [stop for stop in stops if stop[1] not in functions_of(stop[0])] == []


def test_stops_are_counted_and_each_is_another_file():
    assert [int(number) for number, _, _ in ROWS] == list(range(1, len(ROWS) + 1))
    assert len({file for _, file, _ in ROWS}) == len(ROWS)


def test_every_room_stands_in_the_table():
    rooms = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    table = (ROOT / "docs" / "design.md").read_text(encoding="utf-8").partition("## The house")[2].partition("## ")[0]
    told = set(re.findall(r"`(\w+)`", " ".join(line.split("|")[1] for line in table.splitlines() if line[:1] == "|")))
    assert rooms - told - {"__init__", "pytest_plugin"} == set()
