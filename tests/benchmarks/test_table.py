"""The table says what the rows hold, and is the same after a file."""

from pathlib import Path

import pytest

from benchmarks.layout import headlines, markdown
from benchmarks.peers import PEERS, Case, Left
from benchmarks.rows import Row, Stored, rows_of
from benchmarks.side_by_side import Timing

MACHINE = {"processor": "P", "cores": 2, "threads": 2, "load": 0.1, "torch": "2.13.0", "python": "3.11.7"}


def stored() -> Stored:
    made = Stored()
    rows = []
    for tokens in (1024, 2048, 4096):
        ours, sdpa = Timing((1e-9 * tokens**2,)), Timing((2e-9 * tokens**2,))
        memory = {"ours": tokens * 2**10, "SDPA": None}
        rows += rows_of(
            "forward", tokens, "1 head", {"ours": ours, "SDPA": sdpa}, memory=memory, is_headline=tokens > 4000
        )
        rows.append(Row("forward", tokens, "1 head", "naive", note="needs 48 GiB"))
    made.put("attention", MACHINE, rows)
    made.put("start-up", MACHINE, list(rows_of("surgeon --help", None, "a process", {"ours": Timing((0.25,))})))
    return made


def test_contenders_stand_side_by_side_with_ratios_and_growth():
    lines = list(markdown(stored(), ["attention", "start-up"]))
    assert lines[2] == "| forward | 1,024 | 1 head | 1.0 ms | 1 MiB | 2.1 ms (0.50x) | needs 48 GiB |  |  |  |"
    assert lines[5] == "| forward | growth | 1 head | n^2.00 | n^1.00 | n^2.00 |  |  |  |  |"
    assert lines[6] == "| surgeon --help |  | a process | 250 ms |  |  |  |  |  |  |"
    assert lines[8] == (
        "Measured on P, 2 cores, 2 threads, torch 2.13.0, Python 3.11.7. The load before each part, where 0 is nobody "
        "else: attention (load 0.1), start-up (load 0.1)."
    )


def test_headlines_are_the_cases_that_say_so():
    lines = list(headlines(stored(), ["attention", "start-up"]))
    assert lines[2:4] == ["| forward | 4,096 | 1 head | 17 ms | SDPA, 34 ms | 0.50 |", ""]


def test_what_is_stored_is_read_again(tmp_path: Path):
    path = tmp_path / "results" / "table.json"
    stored().write(path)
    again = Stored.read(path)
    assert list(markdown(again, ["attention"])) == list(markdown(stored(), ["attention"]))
    assert Stored.read(tmp_path / "none.json").parts == {}


@pytest.mark.parametrize("name", ["ours", "SDPA", "naive", "MHA"])
def test_every_contender_does_the_case(name: str):
    for case in (Case(65), Case(65, is_causal=True), Case(65, direction="forward and backward")):
        assert PEERS[name](case)() is not None


@pytest.mark.parametrize("case", [Case(65), Case(65, is_causal=True), Case(65, window=9), Case(65, heads=2)])
def test_the_contenders_without_projections_agree(case: Case):
    expected = PEERS["naive"](case)()
    for name in ("ours", "SDPA"):
        assert (PEERS[name](case)() - expected).abs().max() < 1e-5  # pyright: ignore[reportOperatorIssue]


def test_who_cannot_take_part_says_why():
    with pytest.raises(Left, match=r"^has no backward on a CPU$"):
        PEERS["flex"](Case(65, direction="forward and backward"))
    with pytest.raises(Left, match=r"^needs \d+ GiB$"):
        PEERS["naive"](Case(10**7))
