"""`surgeon patch` and `surgeon circuits`: what they print is what the library measured."""

import json
from pathlib import Path

import pytest

from attention_surgeon.cli.cells import width_of
from attention_surgeon.surgery import load_model, patch
from tests.cli.conftest import Surgeon
from tests.cli.test_operate import checkpoint  # noqa: F401  a fixture

CLEAN, CORRUPT = "the cat sat on the mat", "the cat sat on the hat"


def test_map_sentence_and_receipt(surgeon: Surgeon, checkpoint: Path) -> None:  # noqa: F811
    given = ("patch", checkpoint, "--clean", CLEAN, "--corrupt", CORRUPT, "--metric", "logit(t) - logit(e)")
    ran = surgeon(*given)
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert not [line for line in lines if width_of(line) > 80 and str(checkpoint) not in line]
    loaded = load_model(checkpoint)
    own = patch(loaded.model, CLEAN, CORRUPT, metric="logit(t) - logit(e)", tokenizer=loaded.tokenizer)
    rows = [line.split()[2:] for line in lines if line.startswith("layer ")]
    assert rows == [[f"{effect:.2f}" for effect in row] for row in own.effects.tolist()]
    assert "everything else there bit-identical, undone exactly." in " ".join(ran.out.split())
    found = json.loads(surgeon(*given, "--json").out)
    assert [row["value"] for row in found["rows"]] == own.values.flatten().tolist()
    assert found["receipt"]["undone"] is True


@pytest.mark.parametrize("method", ["attribution", "path", "logits", "zero", "mean", "resample"])
def test_every_method(surgeon: Surgeon, checkpoint: Path, method: str) -> None:  # noqa: F811
    ran = surgeon("patch", checkpoint, "--clean", CLEAN, "--corrupt", CORRUPT, "--method", method)
    assert ran.code == 0
    assert sum(line.startswith("layer ") for line in ran.out.splitlines()) == 2
    assert "receipt: read" in ran.out


def test_the_stream_position_by_position(surgeon: Surgeon, checkpoint: Path, tmp_path: Path) -> None:  # noqa: F811
    picture = tmp_path / "map.png"
    call = ("patch", checkpoint, "--clean", CLEAN, "--corrupt", CORRUPT, "--what", "residual", "--out", picture)
    ran = surgeon(*call)
    assert ran.code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    found = json.loads(surgeon(*call, "--json").out)
    assert {row["position"] for row in found["rows"]} == {
        f"{place} {letter}" for place, letter in enumerate(CLEAN[:-3] + "hat")
    }


def test_what_is_refused(surgeon: Surgeon, checkpoint: Path) -> None:  # noqa: F811
    assert "expected one of patch, attribution" in surgeon("patch", checkpoint, "--clean", "a", "--method", "x").err
    assert "needs two texts; give the other one with --corrupt" in surgeon("patch", checkpoint, "--clean", "a").err
    ran = surgeon("patch", checkpoint, "--clean", CLEAN, "--corrupt", "the")
    assert (ran.code, "clean has 22 tokens and corrupt 3" in ran.err) == (2, True)


def test_texts_that_are_too_long_are_cut_and_it_is_said(surgeon: Surgeon, checkpoint: Path) -> None:  # noqa: F811
    ran = surgeon("patch", checkpoint, "--clean", "cat " * 99, "--corrupt", "hat " * 99)
    assert ran.code == 0
    longest = load_model(checkpoint).model.config.context_len  # pyright: ignore
    assert ran.err.count(f"the text has 396 tokens and this model reads {longest} at once") == 2
    for command in (("operate", checkpoint, "--fault", "knock_out"), ("scan", "--model", checkpoint)):
        ran = surgeon(*command, "--text", "cat " * 99)
        assert ran.code == 0, ran.err
        assert f"reads {longest} at once; the first {longest} are read." in ran.err


def test_circuits(surgeon: Surgeon, checkpoint: Path) -> None:  # noqa: F811
    ran = surgeon("circuits", checkpoint)
    assert ran.code == 0
    assert sum(line[:3] in ("0.0", "0.1", "0.2", "1.0", "1.1", "1.2") for line in ran.out.splitlines()) >= 6
    found = json.loads(surgeon("circuits", checkpoint, "--json", "--top", "3").out)
    scores = [row["score"] for row in found["pairs"]]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    one = surgeon("circuits", checkpoint, "--head", "1.2")
    assert "direction of strength" in one.out
    assert surgeon("circuits", checkpoint, "--head", "two").code == 2
