"""`surgeon view`: every source, every kind of file, every wrong call."""

from pathlib import Path
from typing import Any

import pytest

from attention_surgeon.models import trace_text
from tests.cli.conftest import Surgeon
from tests.surgery.sounds import recording, small_whisper
from tests.viewer.reading import document_in

CAT = "The cat sat on the mat"
WAYS = (
    'expected one of: surgeon view --text "The cat sat on the mat"; surgeon view --file FILE; '
    "surgeon view --trace FILE; surgeon view --scan FILE; surgeon view --model DIR --text ...; "
    "surgeon view --model DIR --image FILE; surgeon view --model DIR --sound FILE"
)


def tokens_in(page: Path) -> list[str]:
    return document_in(page.read_text(encoding="utf-8"))["sides"][0]["queryTokens"]


def test_a_text_becomes_a_page(tmp_path: Path, surgeon: Surgeon):
    out = tmp_path / "cat.html"
    ran = surgeon("view", "--text", CAT, "--mask", "causal", "--out", out)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"{out}: {CAT}, 4 maps, ")
    assert ran.out.endswith(" kB\n")
    assert tokens_in(out) == CAT.split()


def test_from_a_file_from_the_input_and_from_a_trace(tmp_path: Path, surgeon: Surgeon):
    (tmp_path / "cat.txt").write_text(CAT)
    trace_text(CAT).save(tmp_path / "cat.trace")
    pages = []
    for number, source in enumerate(
        (["--file", tmp_path / "cat.txt"], ["--text", "-"], ["--trace", tmp_path / "cat.trace"])
    ):
        pages.append(tmp_path / f"{number}.html")
        assert surgeon("view", *source, "--out", pages[-1], stdin=CAT.encode()).code == 0
    assert [tokens_in(page) for page in pages] == [CAT.split()] * 3


def test_a_model_shows_all_its_layers(tmp_path: Path, surgeon: Surgeon):
    out = tmp_path / "model.html"
    ran = surgeon("view", "--model", "minilm", "--text", CAT, "--out", out)
    assert ran.code == 0
    assert tokens_in(out) == ["[CLS]", *CAT.lower().split(), "[SEP]"]
    assert "72 maps" in ran.out


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_picture(ending: str, start: bytes, tmp_path: Path, surgeon: Surgeon):
    out = tmp_path / f"cat.{ending}"
    assert surgeon("view", "--text", CAT, "--first", "3", "--out", out).code == 0
    assert out.read_bytes().startswith(start)


def test_it_opens_only_where_it_is_asked_to(tmp_path: Path, surgeon: Surgeon, monkeypatch: pytest.MonkeyPatch):
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    surgeon("view", "--text", CAT, "--out", tmp_path / "a.html")
    assert not opened
    surgeon("view", "--text", CAT, "--out", tmp_path / "a.html", "--open")
    assert opened == [(tmp_path / "a.html").as_uri()]


WRONG = {
    (): f"nothing to show; {WAYS}.",
    ("--text", "a", "--file", "b"): f"--text and --file given; {WAYS}.",
    ("--trace", "a", "--model", "b"): "--trace shows what was saved, so it goes without --model.",
    (
        "--trace",
        "a",
        "--no-scale",
    ): "--no-scale belongs to the untrained vectors, so it goes with --text or --file alone.",
    ("--trace", "/no/such"): "cannot read /no/such: there is no such file; check the name and the folder.",
    ("--text", "a", "--out", "/no/such/a.html"): (
        "cannot write /no/such/a.html: its folder does not exist; make it first, or choose another place."
    ),
    ("--text", "a", "--megabytes", "0"): (
        "view: max_megabytes is 0.0, expected at least 0.2: the program takes 0.13 of it."
    ),
    ("--text", " "): "the text holds no word and no sign, so there is nothing that could attend.",
}


@pytest.mark.usefixtures("own_messages")
@pytest.mark.parametrize(("arguments", "message"), WRONG.items(), ids=[" ".join(key) for key in WRONG])
def test_a_wrong_call_says_the_way_out(
    arguments: tuple[str, ...], message: str, surgeon: Surgeon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert surgeon("view", *arguments) == (2, "", f"error: {message}\n")
    assert not list(tmp_path.iterdir())


def test_another_ending_is_refused(surgeon: Surgeon, tmp_path: Path):
    ran = surgeon("view", "--text", "a", "--out", tmp_path / "a.jpg")
    assert ran.code == 2
    assert "a.jpg has the suffix .jpg; a page ends in .html, a picture in .png, .svg or .pdf." in ran.err


def _decoder(folder: Path, **sizes: int) -> Path:
    """Keep a random llama with the tokenizer of the word model; it has no table of positions, so no limit."""
    import transformers

    from attention_surgeon.surgery import load_model

    writer = load_model("writer")
    config = transformers.LlamaConfig(
        vocab_size=len(writer.tokenizer),
        hidden_size=12,
        intermediate_size=5,
        num_hidden_layers=1,
        num_attention_heads=2,
        **sizes,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    writer.tokenizer.save_pretrained(folder)
    return folder


def test_a_text_that_is_too_long_is_cut_or_pooled_and_that_is_said(
    tmp_path: Path, surgeon: Surgeon, monkeypatch: pytest.MonkeyPatch
):
    out = tmp_path / "page.html"
    ran = surgeon("view", "--model", "minilm", "--text", "cat " * 600, "--layer", "0", "--out", out)
    assert (ran.code, ran.err) == (
        0,
        "the text has 602 tokens and this model reads 512 at once; the first 512 are read.\n",
    )
    assert len(tokens_in(out)) == 512
    folder = _decoder(tmp_path / "llama")
    monkeypatch.setattr("attention_surgeon.cli.view_model._MOST_WEIGHTS", 1000)
    ran = surgeon("view", "--model", folder, "--text", CAT * 10, "--out", out)
    assert ran.code == 0
    assert "tokens the page shows cells of many weights each" in ran.err
    assert "2 maps" in ran.out


def test_an_encoder_decoder_is_shown_stack_by_stack(
    tmp_path: Path, surgeon: Surgeon, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    import transformers

    from attention_surgeon.surgery import load_model

    tokenizer = load_model("minilm").tokenizer
    sizes: dict[str, Any] = {"d_model": 12, "d_kv": 4, "d_ff": 5, "num_heads": 3, "num_layers": 1}
    config = transformers.T5Config(**sizes, vocab_size=len(tokenizer), decoder_start_token_id=0)
    transformers.T5ForConditionalGeneration(config).save_pretrained(tmp_path / "t5")
    tokenizer.save_pretrained(tmp_path / "t5")
    out = tmp_path / "page.html"
    for options, stacks, shape in (
        ([], ["encoder", "decoder", "cross"], (8, 8)),
        (["--stack", "cross"], [""], (4, 8)),
        (["--stack", "decoder"], [""], (4, 4)),
    ):
        given = ("--model", tmp_path / "t5", "--text", CAT, "--target", "a dog")
        capsys.readouterr()
        ran = surgeon("view", *given, *options, "--out", out)
        assert (ran.code, ran.err) == (0, "")
        document = document_in(out.read_text(encoding="utf-8"))
        assert [each["stack"] for each in (document, *document["others"])] == stacks
        side = document["sides"][0]
        assert (side["numQueries"], side["numKeys"]) == shape
    ran = surgeon("view", "--model", tmp_path / "t5", "--text", CAT, "--stack", "middle", "--out", out)
    assert (ran.code, ran.out) == (2, "")
    assert "--stack is 'middle'; " in ran.err
    assert "has encoder, decoder, cross" in ran.err
    monkeypatch.setattr("attention_surgeon.cli.view_model._MOST_WEIGHTS", 9 * 20**2)
    long = ("--model", tmp_path / "t5", "--text", CAT * 9, "--target", "a dog")
    ran = surgeon("view", *long, "--out", out)  # a bias by position lets no cells be made: the beginning is shown
    assert (ran.code, ran.err) == (0, "the text has 56 tokens and at most 20 are shown; the first 20 are read.\n")
    assert document_in(out.read_text(encoding="utf-8"))["sides"][0]["numQueries"] == 20


def test_weights_over_the_picture(tmp_path: Path, surgeon: Surgeon):
    import transformers
    from PIL import Image

    sizes: dict[str, Any] = {
        "hidden_size": 12,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "intermediate_size": 5,
    }
    config = transformers.ViTConfig(**sizes, image_size=12, patch_size=4, num_labels=5)
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path / "vit")
    Image.new("RGB", (40, 30), (200, 10, 10)).save(tmp_path / "red.jpg")
    ran = surgeon(
        *("view", "--model", tmp_path / "vit", "--image", tmp_path / "red.jpg", "--out", tmp_path / "page.html")
    )
    assert ran.code == 0
    assert tokens_in(tmp_path / "page.html") == [
        "[CLS]",
        *(f"{row},{column}" for row in range(3) for column in range(3)),
    ]
    ran = surgeon(
        *("view", "--model", tmp_path / "vit", "--image", tmp_path / "red.jpg", "--out", tmp_path / "over.png")
    )
    assert (ran.code, (tmp_path / "over.png").read_bytes()[:4]) == (0, b"\x89PNG")
    (tmp_path / "text.txt").write_text("no picture")
    for options, message in (
        (["--model", tmp_path / "vit", "--image", tmp_path / "text.txt"], "text.txt is no picture that can be read"),
        (["--model", "minilm", "--image", tmp_path / "red.jpg"], "says no image_size and patch_size"),
        (["--image", tmp_path / "red.jpg"], "--image goes with --model"),
        (["--sound", tmp_path / "tone.wav"], "--sound goes with --model"),
        (["--model", "minilm", "--sound", tmp_path / "tone.wav"], "hears no sound"),
    ):
        ran = surgeon("view", *options, "--out", tmp_path / "page.html")
        assert ran.code != 0
        assert message in ran.err


def test_what_a_model_hears(tmp_path: Path, surgeon: Surgeon):
    small_whisper().save_pretrained(tmp_path / "whisper")
    ran = surgeon(
        *("view", "--model", tmp_path / "whisper", "--sound", recording(tmp_path / "tone.wav"), "--write", "2"),
        *("--stack", "encoder", "--out", tmp_path / "page.html"),
    )
    assert (ran.code, "whisper: tone.wav, 3 maps" in ran.out) == (0, True)
    assert tokens_in(tmp_path / "page.html") == [f"{place / 50:.2f} s" for place in range(50)]


def test_a_text_that_is_written_step_by_step(tmp_path: Path, surgeon: Surgeon):
    out = tmp_path / "page.html"
    ran = surgeon("view", "--model", "writer", "--text", "Seven horses, a window", "--write", "5", "--out", out)
    assert (ran.code, ran.err) == (0, "")
    side = document_in(out.read_text(encoding="utf-8"))["sides"][0]
    assert side["numQueries"] == side["promptLength"] + 5
    ran = surgeon("view", "--model", "minilm", "--text", CAT, "--write", "5", "--out", out)
    assert "does not write on behind a text; a causal model does" in ran.err
