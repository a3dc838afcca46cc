import json
import os
import resource
import struct
from pathlib import Path

import pytest
import safetensors.torch
import torch

from attention_surgeon.errors import FileAccessError, FileFormatError
from attention_surgeon.trace import TENSOR_NAMES, AttentionTrace, load_trace, record, trace_from_json
from tests.ops.probes import BATCH, D_K, D_V, HEADS, N_K, N_Q, additive, draw, qkv, ragged

TOKENS = ["", " ", "naïve", "猫", "👩‍🔬"]
ODD_KEYS = ["\n\t", "\x00", "\ud800", "</script>", '"\\', "\u202e", "x" * 5000]


def assert_same(one: AttentionTrace, other: AttentionTrace) -> None:
    for name in (*TENSOR_NAMES, "allowed", "bias"):
        mine, others = getattr(one, name), getattr(other, name)
        assert (mine is None) == (others is None), name
        if mine is not None:
            assert (mine.dtype, mine.shape) == (others.dtype, others.shape), name
            same = mine == others if mine.dtype == torch.bool else (mine == others) | (mine.isnan() & others.isnan())
            assert bool(same.all()), name
    for name in ("query_tokens", "key_tokens", "axes", "step_functions", "source"):
        assert getattr(one, name) == getattr(other, name), name


def probe(dtype: torch.dtype = torch.float32) -> AttentionTrace:
    return record(
        *qkv(dtype=dtype), additive(ragged(), dtype) + 1, query_tokens=TOKENS, key_tokens=ODD_KEYS, source="√"
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_a_trace_comes_back_exactly_from_both_formats(dtype: torch.dtype, tmp_path: Path):
    trace = probe(dtype)
    assert trace.masked.isinf().any()
    trace.save(tmp_path / "a.trace")
    (tmp_path / "a.json").write_text(trace.to_json())
    assert_same(load_trace(tmp_path / "a.trace"), trace)
    assert_same(load_trace(str(tmp_path / "a.json")), trace)
    assert_same(trace_from_json(trace.to_json()), trace)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_every_number_survives_json(dtype: torch.dtype):
    bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[dtype.itemsize]
    generator = torch.Generator().manual_seed(0)
    info = torch.iinfo(bits)
    anything = torch.randint(info.min, info.max, (N_Q, D_K), generator=generator, dtype=bits).view(dtype)
    extremes = torch.tensor([torch.finfo(dtype).tiny / 2, torch.finfo(dtype).max, -0.0, 0.1], dtype=dtype)
    anything[0, :4] = extremes
    x = torch.zeros(N_Q, D_K, dtype=dtype)
    trace = record(x, x, x)
    trace.output.copy_(anything)
    assert_same(trace_from_json(trace.to_json()), trace)


@pytest.mark.parametrize("shape", [(N_Q, 0), (0, N_K), (0, 0)])
def test_a_trace_of_nothing_comes_back(shape: tuple[int, int], tmp_path: Path):
    n_q, n_k = shape
    trace = record(torch.ones(HEADS, n_q, D_K), torch.ones(HEADS, n_k, D_K), torch.ones(HEADS, n_k, D_V))
    trace.save(tmp_path / "a.trace")
    assert_same(load_trace(tmp_path / "a.trace"), trace)
    assert_same(trace_from_json(trace.to_json()), trace)


def test_a_wrong_step_is_kept_as_it_was(tmp_path: Path):
    trace = probe()
    trace.output.fill_(float("nan"))
    trace.save(tmp_path / "a.trace")
    assert_same(load_trace(tmp_path / "a.trace"), trace)
    assert not all(check.passed for check in load_trace(tmp_path / "a.trace").checks())


def test_json_is_valid_and_complete():
    trace = probe()
    document = json.loads(trace.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert document["format"] == "attention-surgeon trace"
    assert document["version"] == 1
    assert document["step_functions"] == {
        "score": "dot_product",
        "scale": "divide_by_root_key_size",
        "mask": "add_bias_and_hide",
        "normalise": "softmax_over_keys",
        "combine": "weighted_sum",
    }
    assert document["tensors"]["masked"]["shape"] == [BATCH, HEADS, N_Q, N_K]
    assert document["tensors"]["masked"]["dtype"] == "float32"
    assert document["tensors"]["masked"]["values"][0][0][1] == ["-inf"] * N_K
    assert document["tensors"]["allowed"]["values"][0][0][0] == [True] * N_K
    assert [check["name"] for check in document["checks"]] == [check.name for check in trace.checks()]
    assert document["all_passed"] is True
    assert document["strongest_pair"]["weight"] == trace.strongest_pair().weight  # pyright: ignore
    assert [step["name"] for step in document["steps"]] == list(TENSOR_NAMES)


def test_what_was_there_is_kept(tmp_path: Path):
    path = tmp_path / "a.trace"
    assert probe().save(path) is None
    path.write_text("mine")
    assert probe().save(path) == tmp_path / "a.1.trace"
    assert probe().save(path) == tmp_path / "a.2.trace"
    assert (tmp_path / "a.1.trace").read_text() == "mine"
    assert_same(load_trace(tmp_path / "a.2.trace"), probe())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.1.trace", "a.2.trace", "a.trace"]


def test_a_link_is_followed(tmp_path: Path):
    (tmp_path / "real.trace").write_text("mine")
    (tmp_path / "link.trace").symlink_to("real.trace")
    probe().save(tmp_path / "link.trace")
    assert (tmp_path / "link.trace").is_symlink()
    assert_same(load_trace(tmp_path / "real.trace"), probe())


def test_a_file_that_cannot_grow_is_not_half_written(tmp_path: Path):
    path = tmp_path / "a.trace"
    path.write_text("mine")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(FileAccessError) as caught:
            probe().save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(caught.value) == (
        f"cannot write {path}: larger than a file may be here; choose another disk, or raise the limit (ulimit -f)."
    )
    assert path.read_text() == "mine"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.1.trace", "a.trace"]


def test_a_loaded_trace_does_not_hang_on_its_file(tmp_path: Path):
    path = tmp_path / "a.trace"
    probe().save(path)
    loaded = load_trace(path)
    with path.open("r+b") as file:
        file.write(b"\xff" * path.stat().st_size)
    assert_same(loaded, probe())


def test_a_pipe_or_a_device_is_left_alone(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(FileAccessError) as caught:
        probe().save(pipe)
    assert str(caught.value) == f"cannot write {pipe}: it is a device or a pipe; give the name of a file."
    assert pipe.is_fifo()


@pytest.mark.parametrize("part", [0.0, 0.001, 0.1, 0.5, 0.99, 0.99999])
def test_a_truncated_file_is_called_so(part: float, tmp_path: Path):
    path = tmp_path / "a.trace"
    probe().save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(FileFormatError, match=r"^.*a\.trace is not a trace, or it was cut short or damaged: .*$"):
        load_trace(path)


@pytest.mark.parametrize("part", [0.001, 0.5, 0.99999])
def test_truncated_json_is_called_so(part: float, tmp_path: Path):
    path = tmp_path / "a.json"
    text = probe().to_json()
    path.write_text(text[: int(len(text) * part)])
    with pytest.raises(
        FileFormatError, match=r"^.*a\.json is not a trace, or it was cut short: it is not valid JSON .*$"
    ):
        load_trace(path)


def saved(tmp_path: Path, **changes: object) -> Path:
    """Return a trace file whose description was changed; a value of None removes the entry."""
    path = tmp_path / "a.trace"
    probe().save(path)
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    described = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["attention_surgeon_trace"])
    described = {name: value for name, value in (described | changes).items() if value is not None}
    metadata = {"attention_surgeon_trace": json.dumps(described)}
    path.write_bytes(safetensors.torch.save(safetensors.torch.load(content), metadata))
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "another"}, 'is not a trace: it does not say "format": "attention-surgeon trace".'),
        ({"version": 0}, "is not a trace: its version is 0, expected a whole number from 1 on."),
        ({"version": "1"}, "is not a trace: its version is '1', expected a whole number from 1 on."),
        (
            {"version": 2},
            "is a trace of format version 2, this program reads up to 1; "
            "update it with pip install --upgrade attention-surgeon.",
        ),
        ({"key_tokens": None}, "is a damaged trace: it does not say 'key_tokens'."),
        ({"step_functions": {"score": "dot_product"}}, "is a damaged trace: it does not say 'scale'."),
        (
            {"query_tokens": ["a"]},
            "is a damaged trace: AttentionTrace: 1 query_tokens for 5 query positions; each position needs one token.",
        ),
        ({"source": 3}, "is a damaged trace: AttentionTrace: source is 3, expected a string."),
        ({"axes": 5}, "is a damaged trace: 'int' object is not iterable"),
    ],
)
@pytest.mark.usefixtures("own_messages")
def test_a_file_that_does_not_fit_together(changes: dict[str, object], message: str, tmp_path: Path):
    path = saved(tmp_path, **changes)
    with pytest.raises(FileFormatError) as caught:
        load_trace(path)
    assert str(caught.value) == f"{path} {message}"


def test_json_that_does_not_fit_together(tmp_path: Path):
    document = json.loads(probe().to_json())
    del document["tensors"]["weights"]
    with pytest.raises(FileFormatError) as caught:
        trace_from_json(json.dumps(document))
    assert str(caught.value) == "the text is a damaged trace: it has no tensor weights."
    document["tensors"]["weights"] = {"dtype": "float32", "shape": [2, 2], "values": [1.0]}
    with pytest.raises(FileFormatError, match="tensor weights cannot be read"):
        trace_from_json(json.dumps(document))
    del document["tensors"]
    with pytest.raises(FileFormatError, match="is a damaged trace: it does not say 'tensors'"):
        trace_from_json(json.dumps(document))


def test_other_files_are_no_traces(tmp_path: Path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors.torch.save({"weight": draw(N_Q, N_K, seed=0)}))
    with pytest.raises(FileFormatError) as caught:
        load_trace(path)
    assert str(caught.value) == (
        f"{path} is a safetensors file but not a trace: it has no attention_surgeon_trace entry."
    )
    path.write_text("Once upon a time")
    with pytest.raises(FileFormatError, match="is not a trace, or it was cut short or damaged: "):
        load_trace(path)
    path.write_bytes(b'{"a": \xff}')
    with pytest.raises(FileFormatError, match="it is not UTF-8 text"):
        load_trace(path)
