"""`surgeon sweep`: every head alone, kept as it comes, taken up where it was stopped."""

import contextlib
import csv
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from attention_surgeon.cli.cells import width_of
from tests.cli.conftest import Surgeon
from tests.cli.test_operate import checkpoint  # noqa: F401  a fixture

TEXT = "the cat sat on the mat"


def test_map_table_and_folder(surgeon: Surgeon, checkpoint: Path, tmp_path: Path) -> None:  # noqa: F811
    out = tmp_path / "heads"
    ran = surgeon("sweep", checkpoint, "--text", TEXT, "--out", out)
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert "knock_out on each of 6 heads" in ran.out
    assert [line.split()[:2] for line in lines if line.startswith("layer")][:2] == [["layer", "0"], ["layer", "1"]]
    assert not [line for line in lines if width_of(line) > 80 and str(tmp_path) not in line]
    rows = list(csv.DictReader((out / "heads.csv").read_text().splitlines()))
    assert [(row["layer"], row["head"]) for row in rows] == [(layer, head) for layer in "01" for head in "012"]
    assert len((out / "records.jsonl").read_text().splitlines()) == 6
    assert (out / "heads.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads(surgeon("sweep", checkpoint, "--text", TEXT, "--out", out, "--json").out)
    assert [str(row["change"]) for row in found["heads"]] == [row["change"] for row in rows]


def test_it_goes_on_where_it_was_stopped(surgeon: Surgeon, checkpoint: Path, tmp_path: Path) -> None:  # noqa: F811
    call = ("sweep", checkpoint, "--text", TEXT, "--out", tmp_path, "--json")
    whole = json.loads(surgeon(*call).out)
    records = tmp_path / "records.jsonl"
    kept = records.read_text().splitlines()[:4]
    kept[1] = kept[1].replace('"after": ', '"after": 9')  # to see that it is taken, not made
    records.write_text("\n".join(kept)[:-20])
    again = surgeon(*call)
    assert "3 of 6 heads are in" in again.err
    changes = [row["after"] for row in json.loads(again.out)["heads"]]
    expected = [row["after"] for row in whole["heads"]]
    assert changes[1] != expected[1]
    assert changes[:1] + changes[2:] == expected[:1] + expected[2:]
    assert "6 of 6 heads are in" in surgeon(*call).err  # the line that was cut short is in nobody's way


def test_workers_find_the_same(
    surgeon: Surgeon,
    checkpoint: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The way through the workers of experiments; that those are other processes is tested there."""
    asked = []

    class Here:
        def measure(self, points: dict[str, Any], work: Callable[[Any], Any]) -> Iterator[tuple[str, Any]]:
            asked.extend(points)
            yield from ((name, work(pickle.loads(pickle.dumps(point)))) for name, point in points.items())

    monkeypatch.setattr(
        "attention_surgeon.cli.sweep.open_workers", lambda backend, on_note: contextlib.nullcontext(Here())
    )
    call = ("sweep", checkpoint, "--text", TEXT, "--layers", "1", "--json")
    here = json.loads(surgeon(*call, "--out", tmp_path / "here").out)
    assert not asked
    there = json.loads(surgeon(*call, "--out", tmp_path / "there", "--jobs", "2").out)
    assert len(asked) == 3
    assert here["heads"] == there["heads"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--fault", "projection_shared"), "projection_shared cannot act on a model"),
        (("--jobs", "0"), "--jobs is 0, expected at least 1."),
        (("--backend", "slurm"), "there is no backend 'slurm'"),
        (("--text", "t"), "the text has 1 tokens, expected at least two."),
    ],
)
def test_wrong_calls(
    surgeon: Surgeon,
    checkpoint: Path,  # noqa: F811
    tmp_path: Path,
    options: tuple[str, ...],
    message: str,
) -> None:
    text = () if "--text" in options else ("--text", TEXT)
    ran = surgeon("sweep", checkpoint, *text, *options, "--out", tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert message in " ".join(ran.err.split())


def test_a_file_of_something_else(surgeon: Surgeon, checkpoint: Path, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "records.jsonl").write_text("my notes\non heads\n")
    ran = surgeon("sweep", checkpoint, "--text", TEXT, "--out", tmp_path)
    assert ran.code == 2
    assert "holds no records of a sweep" in ran.err
