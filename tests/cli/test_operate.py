"""`surgeon operate`: the receipt on the screen, before and after, for people and for machines."""

import json
import re
from pathlib import Path

import pytest

from attention_surgeon.cli.cells import width_of
from attention_surgeon.models import Corpus, Decoder, DecoderConfig, TrainingConfig, train
from attention_surgeon.surgery import operations
from tests.cli.conftest import Surgeon
from tests.viewer.reading import document_in

TEXT = "the cat sat on the mat and the dog sat on the cat. " * 8


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, corpus = tmp_path_factory.mktemp("decoder"), Corpus.from_text(TEXT)
    sizes = {"vocabulary_size": corpus.tokenizer.size, "context_len": 23, "embed_dim": 12, "num_heads": 3}
    train(Decoder(DecoderConfig(**sizes)), corpus, TrainingConfig(num_steps=3, batch_size=3), folder=folder)
    return folder / "step-00000003.safetensors"


@pytest.mark.parametrize("columns", [40, 80])
def test_the_screen(surgeon: Surgeon, checkpoint: Path, columns: int) -> None:
    ran = surgeon(
        *("operate", checkpoint, "--fault", "reverse_mask", "--layers", "0", "--text", "the cat sat"), columns=columns
    )
    assert (ran.code, ran.err) == (0, "")
    assert not [line for line in ran.out.splitlines() if width_of(line) > columns]
    told = re.sub(r"\s+", " ", ran.out)
    for part in (
        "layer 0 · all 3 heads",
        "called 1/1",
        "165 forbidden cells, 0 used",
        "165 cells used that the model hides",
        "1 other layer untouched",
        "undone exactly",
        "next token",
    ):
        assert part in told
    if columns == 80:
        assert "loss (nats per token)" in told
        assert "entropy, layer 0" in told


def test_for_machines(surgeon: Surgeon, checkpoint: Path) -> None:
    ran = surgeon(
        *("operate", checkpoint, "--fault", "knock_out", "--heads", "0,2", "--text", "-", "--json"), stdin=b"the cat"
    )
    found = json.loads(ran.out)
    assert (ran.code, found["format"], found["version"]) == (0, "attention-surgeon operation", 1)
    assert found["tokens"] == list("the cat")
    assert found["receipt"]["restored"] is True
    assert [layer["heads"] for layer in found["receipt"]["layers"]] == [[0, 2], [0, 2]]
    assert found["loss"]["after"] != found["loss"]["before"]
    assert len(found["predictions"]["before"]) == 3
    statistics = found["statistics"]["1"]
    assert statistics["heads"] == [0, 2]
    assert len(statistics["before"]["entropy"]) == len(statistics["after"]["entropy"]) == 2


def test_numbers_that_are_none_are_text(surgeon: Surgeon, checkpoint: Path) -> None:
    ran = surgeon("operate", checkpoint, "--fault", "mask_times_infinity", "--text", "the cat", "--json")
    assert json.loads(ran.out)["receipt"]["layers"][0]["change"] == "inf"
    shown = surgeon("operate", checkpoint, "--fault", "mask_times_infinity", "--text", "the cat").out
    assert "not finite" in shown
    assert "no number any more" in shown


def test_what_changes_nothing_has_exit_code_1(surgeon: Surgeon, checkpoint: Path) -> None:
    ran = surgeon("operate", checkpoint, "--fault", "healthy", "--text", "the cat")
    assert ran.code == 1
    assert "✗ healthy changed nothing on this text." in ran.out


def test_an_encoder(surgeon: Surgeon) -> None:
    ran = surgeon("operate", "minilm", "--fault", "drop_mask", "--layers", "0", "--heads", "1")
    assert ran.code == 1
    assert "An encoder has no next token" in ran.out
    assert "The model hides nothing in this text that a mask could." in re.sub(r"\s+", " ", ran.out)


def test_the_list(surgeon: Surgeon) -> None:
    listed = surgeon("operate", "whatever", "--fault", "list").out
    assert all(operation.name in listed for operation in operations())
    rows = json.loads(surgeon("operate", "whatever", "--fault", "list", "--json").out)["operations"]
    assert [row["name"] for row in rows] == [operation.name for operation in operations()]


def test_a_page_of_before_and_after(surgeon: Surgeon, checkpoint: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    ran = surgeon("operate", checkpoint, "--fault", "uniform", "--text", "the cat", "--out", page)
    assert re.search(r"compare page \(\d+\.\d MB\):\n *" + re.escape(f"{page}\n"), ran.out)
    kept = document_in(page.read_text(encoding="utf-8"))["operation"]
    assert re.match(r"All heads of layers 0 and 1 look at everything evenly\. Loss [\d.]+ → ", kept["sentence"])
    assert kept["settings"][0] == ["text", "the cat"]
    assert kept["sentence"] in re.sub(r"\s+", " ", ran.out)
    assert kept["receipt"][1].startswith("called ")
    assert kept["predictions"]["rows"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--fault", "no_scales"), "no operation is called 'no_scales'; did you mean no_scale or sink_scaled?"),
        (("--fault", "no_scale", "--layers", "2"), "there is no layer 2; this model has layers 0 to 1."),
        (("--fault", "no_scale", "--heads", "3"), "there is no head 3 in layer 0; it has 3 query heads, 0 to 2."),
        (("--fault", "no_scale", "--text", "Q"), "the text holds 'Q', which is not among the"),
        (("--fault", "no_scale", "--text", "a", "--file", "b"), "both --text and --file given"),
        (("--fault", "no_scale", "--file", "none.txt"), "none.txt"),
    ],
)
def test_wrong_calls(surgeon: Surgeon, checkpoint: Path, options: tuple[str, ...], message: str) -> None:
    ran = surgeon("operate", checkpoint, *options)
    assert (ran.code, ran.out) == (2, "")
    assert message in re.sub(r"\s+", " ", ran.err)


def test_no_such_model(surgeon: Surgeon) -> None:
    ran = surgeon("operate", "no such model!", "--fault", "no_scale")
    assert ran.code == 2
    assert ran.err.startswith("error: there is no folder no such model!")
    assert len(ran.err.splitlines()) == 1
