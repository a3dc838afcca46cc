"""`surgeon scan`: what it shows, keeps and refuses."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from attention_surgeon.cli import scan as scan_run
from attention_surgeon.cli.cells import width_of
from attention_surgeon.cli.scan_screen import ScanBoard
from attention_surgeon.masks import causal_mask, window_mask
from attention_surgeon.models import CharacterTokenizer, Decoder, DecoderConfig, trace_text
from attention_surgeon.models.checkpoint import Checkpoint, save_checkpoint
from attention_surgeon.stats import AttentionScan, head_statistics, load_scans, scan_attention, scan_map
from attention_surgeon.surgery import capture
from attention_surgeon.trace import record
from tests.cli.conftest import Surgeon

N = 331


def tensors(folder: Path, **others: Tensor) -> Path:
    source = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(1, 4, N, 8, generator=source), *torch.randn(2, 1, 2, N, 8, generator=source)
    path = folder / "layer.safetensors"
    safetensors.torch.save_file({"query": query, "key": key, "value": value} | others, path)
    return path


def operands(path: Path) -> tuple[Tensor, Tensor, Tensor]:
    found = safetensors.torch.load_file(path)
    return found["query"], found["key"], found["value"]


def test_the_table_has_a_line_for_each_head_and_fits_the_window(surgeon: Surgeon, tmp_path: Path):
    path = tensors(tmp_path)
    for columns in (80, 60, 40):
        ran = surgeon("scan", "--tensors", path, "--mask", "causal", columns=columns)
        assert (ran.code, ran.err) == (0, "")
        lines = ran.out.splitlines()
        assert "331 queries, 331 keys" in ran.out
        assert [line.split()[0] for line in lines if line.startswith("0.")] == ["0.0", "0.1", "0.2", "0.3"]
        assert all(width_of(line) <= columns for line in lines)


def test_json_holds_the_numbers_of_the_scan(surgeon: Surgeon, tmp_path: Path):
    path = tensors(tmp_path)
    ran = surgeon("scan", "--tensors", path, "--mask", "window:20", "--scale", "0.5", "--near", "4", "--json")
    assert ran.code == 0
    document = json.loads(ran.out)
    assert (document["format"], document["version"]) == ("attention-surgeon scan", 1)
    (layer,) = document["layers"]
    assert layer["is_exact"]
    scan = scan_attention(*operands(path), window_mask(N, size=20), scale=0.5, window=4)
    for head, found in enumerate(layer["heads"]):
        assert found["place"] == [0, head]
        assert found["induction"] is None
        for name in ("entropy", "local_mass", "next_mass", "output_norm", "sparsity"):
            assert found[name] == scan.number(name)[0, head].item()


def test_a_sample_says_how_sure_it_is(surgeon: Surgeon, tmp_path: Path):
    path = tensors(tmp_path)
    ran = surgeon("scan", "--tensors", path, "--rows", "90", "--resolution", "30")
    assert re.search(r"1\d\d of 331 queries", ran.out)
    assert "± is one standard error of a sample of the queries" in " ".join(ran.out.split())
    assert ran.out.count("±") > 20
    timed = surgeon("scan", "--tensors", path, "--at-most", "1ms", "--resolution", "30", "--json")
    (layer,) = json.loads(timed.out)["layers"]
    assert not layer["is_exact"]
    assert layer["heads"][0]["num_looked_at"] < N
    assert layer["heads"][0]["standard_errors"]["entropy"] > 0


def test_out_keeps_statistics_and_the_map_of_the_window(surgeon: Surgeon, tmp_path: Path):
    path, out = tensors(tmp_path), tmp_path / "kept.scan"
    asked = ("--mask", "causal", "--window", "100:140,0:120", "--resolution", "20", "--out", out)
    ran = surgeon("scan", "--tensors", path, *asked)
    assert ran.code == 0
    assert str(out) in ran.out
    (kept,) = load_scans(out).values()
    query, key, value = operands(path)
    mask = causal_mask(N)
    expected = scan_map(query, key, mask, resolution=20, rows=slice(100, 140), columns=slice(0, 120))
    assert torch.equal(kept.map.mean, expected.mean)
    assert kept.map.rows == range(100, 140)
    scan = scan_attention(query, key, value, mask)
    for name in ("entropy", "received", "mean_distance"):
        torch.testing.assert_close(kept.number(name), scan.number(name), rtol=1e-6, atol=0)
    assert kept.is_exact


def test_a_trace_is_scanned_with_its_mask_and_tokens(surgeon: Surgeon, tmp_path: Path):
    x = torch.randn(3, 12, 4, generator=torch.Generator().manual_seed(0))
    trace = record(x, x, x, causal_mask(12), query_tokens=list("abcabcabcabc"))
    trace.save(tmp_path / "a.trace")
    (layer,) = json.loads(surgeon("scan", "--trace", tmp_path / "a.trace", "--json").out)["layers"]
    scan = scan_attention(x, x, x, causal_mask(12), tokens=list("abcabcabcabc"))
    assert [head["induction"] for head in layer["heads"]] == scan.statistics.induction.tolist()
    trace_text("the cat sat".split(), scale=False).save(tmp_path / "b.trace")
    ran = surgeon("scan", "--trace", tmp_path / "b.trace")
    assert ran.code == 2
    assert "was made by other steps" in ran.err


TEXT = "the cat sat on the mat, and the bat spat at the rat."


@pytest.fixture
def decoder(tmp_path: Path) -> tuple[Path, Decoder, CharacterTokenizer]:
    tokenizer = CharacterTokenizer.from_text(TEXT)
    torch.manual_seed(0)
    model = Decoder(DecoderConfig(vocabulary_size=tokenizer.size, num_layers=3)).eval()
    settings = {"decoder": dataclasses.asdict(model.config), "characters": tokenizer.characters}
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    path = save_checkpoint(Checkpoint(step=1, settings=settings, tensors=tensors, records=()), tmp_path)
    return path, model, tokenizer


def test_every_layer_of_a_model_is_scanned(surgeon: Surgeon, decoder: tuple[Path, Decoder, CharacterTokenizer]):
    path, model, tokenizer = decoder
    ran = surgeon("scan", "--model", path, "--text", TEXT, "--layers", "0,2", "--json")
    assert ran.code == 0
    layers = json.loads(ran.out)["layers"]
    assert [layer["name"] for layer in layers] == ["layer 0", "layer 2"]
    captured = capture(model, TEXT, tokenizer=tokenizer)
    for layer in layers:
        trace = captured.layer(layer["name"].removeprefix("layer ")).trace
        expected = head_statistics(trace.weights.double(), trace.allowed)
        found = [head["entropy"] for head in layer["heads"]]
        assert found == pytest.approx(expected.entropy.tolist(), rel=1e-5)


def test_control_c_shows_and_keeps_what_was_done(
    surgeon: Surgeon,
    decoder: tuple[Path, Decoder, CharacterTokenizer],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    done = []

    def stop_at_the_second(*arguments: object, **options: object) -> AttentionScan:
        if done:
            raise KeyboardInterrupt
        done.append(1)
        return scan_attention(*arguments, **options)

    monkeypatch.setattr(scan_run, "scan_attention", stop_at_the_second)
    out = tmp_path / "kept.scan"
    ran = surgeon("scan", "--model", decoder[0], "--text", TEXT, "--out", out)
    assert ran.code == 130
    assert "1 of 3 layers were done, 33% of the work.\nstopped\n" in ran.err
    assert "layer 0" in ran.out
    assert "layer 1" not in ran.out
    assert list(load_scans(out)) == ["layer 0"]


def test_wrong_calls_are_one_sentence(surgeon: Surgeon, tmp_path: Path):
    path = tensors(tmp_path)
    other = tmp_path / "other.safetensors"
    safetensors.torch.save_file({"Q": torch.ones(2)}, other)
    text = tmp_path / "text.safetensors"
    text.write_text("no tensors")
    wrong = {
        ("scan",): "nothing to scan given, expected one of: surgeon scan --tensors",
        ("scan", "--tensors", path, "--trace", path): "--tensors and --trace given, expected one of",
        ("scan", "--tensors", path, "--text", "a"): "--text goes with --model, not with --tensors.",
        ("scan", "--trace", path, "--mask", "causal"): "--mask goes with --tensors; --trace brings its own.",
        ("scan", "--tensors", path, "--mask", "diagonal"): "--mask is 'diagonal', expected none, causal,",
        ("scan", "--tensors", path, "--window", "3"): "--window is '3', expected A:B,C:D, such as",
        ("scan", "--tensors", path, "--window", "400:"): "rows is slice(400, None, None), which holds none of the 331",
        ("scan", "--tensors", path, "--at-most", "soon"): "--at-most is 'soon', expected a time such as 30s, 2m or 1h.",
        ("scan", "--tensors", path, "--at-most", "1s", "--rows", "3"): "both --at-most and --rows given",
        ("scan", "--tensors", tmp_path): "it is a folder; give the name of a safetensors file.",
        ("scan", "--tensors", tmp_path / "none"): "there is no such file",
        ("scan", "--tensors", other): "has no tensor query and no key; it has Q.",
        ("scan", "--tensors", text): "is no safetensors file, or it was cut short or damaged",
        ("scan", "--tensors", path, "--out", tmp_path / "no" / "a.scan"): "its folder does not exist",
    }
    for arguments, message in wrong.items():
        ran = surgeon(*arguments)
        assert (ran.code, ran.out) == (2, ""), arguments
        assert message in " ".join(ran.err.split()), ran.err


def test_the_time_left_follows_the_pace():
    now = [0.0]
    board = ScanBoard(4, clock=lambda: now[0])
    board.begin("layer 0")
    assert board.seconds_left is None, "nothing is known at the beginning"
    now[0] = 10.0
    board.tell(0.5)
    assert board.share == 0.125
    assert board.seconds_left == pytest.approx(70.0)
    board.end()
    now[0] = 20.0
    assert board.seconds_left == pytest.approx(60.0)
