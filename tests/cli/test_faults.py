"""`surgeon faults`: the list, the pages, the pictures."""

import json
import re
from pathlib import Path

import pytest

from attention_surgeon.cli.cells import width_of
from attention_surgeon.cli.faults import list_lines, page_lines
from attention_surgeon.faults import STAGES, Fault, catalogue, find_fault
from tests.cli.conftest import Surgeon


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("columns", [40, 80, 132])
def test_the_list_holds_every_fault_once_in_the_order_of_the_pipeline(columns: int):
    lines = [line.plain.rstrip() for line in list_lines(catalogue(), columns)]
    assert [line.split()[0] for line in lines if re.match(r"  \w", line)] == [fault.name for fault in catalogue()]
    headings = [line.split() for line in lines if re.match(r"[a-z]+  \d+$", line)]
    assert headings == [[stage, str(sum(fault.stage == stage for fault in catalogue()))] for stage in STAGES]
    assert not [line for line in lines if width_of(line) > columns]


@pytest.mark.parametrize("columns", [24, 80])
@pytest.mark.parametrize("fault", catalogue(), ids=lambda fault: fault.name)
def test_a_page_says_everything_and_fits(fault: Fault, columns: int):
    lines = [line.plain.rstrip() for line in page_lines(fault, columns)]
    whole = {*(f"  {line}".rstrip() for line in fault.fix.splitlines()), *(f"  {seen.url}" for seen in fault.sightings)}
    assert not [line for line in lines if width_of(line) > columns and line not in whole]
    assert whole <= set(lines)
    text = flat(" ".join(lines))
    for part in (fault.summary, fault.in_training, fault.in_numbers, fault.question, fault.pointer):
        assert columns < 80 or flat(part) in text


def test_a_picture_shows_healthy_faulty_and_difference(surgeon: Surgeon):
    page = surgeon("faults", "softmax_over_queries", columns=110).out
    heading = next(line for line in page.splitlines() if line.startswith("healthy"))
    assert heading.split() == ["healthy", "faulty", "difference"]
    row = page.splitlines()[page.splitlines().index(heading) + 1]
    numbers = [float(number) for number in re.findall(r"[+-]?\d+\.\d+", row)]
    healthy, faulty, apart = numbers[:5], numbers[5:10], numbers[10:]
    assert sum(healthy) == pytest.approx(1.0, abs=0.03)
    assert [b - a for a, b in zip(healthy, faulty, strict=True)] == pytest.approx(apart, abs=0.011)


def test_without_a_picture_it_says_so(surgeon: Surgeon):
    assert "No picture" in surgeon("faults", "mutates_inputs").out


def test_choosing(surgeon: Surgeon):
    scale = surgeon("faults", "--stage", "scale").out
    assert "scale_missing" in scale
    assert "mask_inverted" not in scale
    padding = json.loads(surgeon("faults", "--family", "padding", "--json").out)
    assert all("padding" in fault["families"] for fault in padding["faults"])
    both = json.loads(surgeon("faults", "--family", "padding", "--stage", "mask", "--json").out)
    assert {fault["name"] for fault in both["faults"]} < {fault["name"] for fault in padding["faults"]}


def test_json(surgeon: Surgeon):
    listed = json.loads(surgeon("faults", "--json").out)
    assert [fault["name"] for fault in listed["faults"]] == [fault.name for fault in catalogue()]
    assert (listed["format"], listed["version"]) == ("attention-surgeon faults", 1)
    one = json.loads(surgeon("faults", "mask_inverted", "--json").out)
    assert one == next(fault for fault in listed["faults"] if fault["name"] == "mask_inverted")
    assert one["sightings"] == [seen.url for seen in find_fault("mask_inverted").sightings]


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF")])
def test_save(name: str, start: bytes, tmp_path: Path, surgeon: Surgeon):
    ran = surgeon("faults", "scale_missing", "--save", tmp_path / name, "--dark")
    assert (ran.code, ran.err) == (0, f"saved {tmp_path / name}\n")
    assert (tmp_path / name).read_bytes().startswith(start)
    assert "scale_missing" in ran.out


WRONG = {
    ("scale_mising",): (
        "no fault is called 'scale_mising'; did you mean scale_missing, cap_missing or causal_missing?"
    ),
    ("--stage", "scaling"): f"--stage is 'scaling', expected {', '.join(STAGES[:-1])} or {STAGES[-1]}.",
    ("--family", "model"): (
        "--family is 'model', expected softmax, attention, causal, mask, padding, layer, cross, grouped, statistics or "
        "modern."
    ),
    ("--save", "a.png"): "--save draws one fault: surgeon faults NAME --save FILE.",
    ("scale_missing", "--stage", "scale"): "--stage and --family choose from the list, so they go without a name.",
    ("mutates_inputs", "--save", "a.png"): (
        "plot_fault: mutates_inputs changes no number of a single call, so there is nothing to draw."
    ),
    ("scale_missing", "--save", "a.gif"): (
        "save_figure: a.gif has the suffix .gif; the choices are .png, .svg and .pdf."
    ),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.items(), ids=[" ".join(key) for key in WRONG])
def test_a_wrong_call_says_the_way_out(arguments: tuple[str, ...], message: str, surgeon: Surgeon):
    assert surgeon("faults", *arguments) == (2, "", f"error: {message}\n")
