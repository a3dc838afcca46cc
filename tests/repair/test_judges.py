"""Layers of today are mended by their own operations, and what they are stays what it is."""

import signal
from pathlib import Path

import pytest

from attention_surgeon.diagnose.load import load_target
from attention_surgeon.repair import fix_file
from attention_surgeon.repair.fix import module_of
from attention_surgeon.repair.judge_answers import AnswersJudge
from attention_surgeon.repair.judge_masks import MaskJudge
from attention_surgeon.repair.judge_operations import OperationsJudge
from attention_surgeon.repair.patch import lost_words, num_hidings
from attention_surgeon.repair.workbench import TooLongError, bounded
from attention_surgeon.repair.workbench import load as load_text
from benchmarks.repair import twin_of
from tests.cases.calls import load
from tests.cases.run import read_case
from tests.implementations.wrong.modules_book import MultiHeadAttention, ThreeSlips

CASES = Path(__file__).parents[1] / "cases"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("wrong_alibi_sign.py:Attention", "scores - self.slopes"),
        ("wrong_kv_cache_mask_from_start.py:Attention", "triu(m - n + 1)"),
        ("wrong_keys_and_values_made_from_query.py:MultiHeadAttention", "self.W_k(key)"),
    ],
)
def test_a_layer_that_no_contract_has_is_mended(name: str, line: str):
    found = fix_file(f"{CASES / name}")
    assert (found.result, found.num_lines) == ("fixed", len(found.lines)), found.reason
    assert any(line in each for each in found.diff.splitlines() if each.startswith("+"))
    assert found.line


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("gpt_fast_input_pos__values_not_written.py:Attention", "+        values[:, :, input_pos] = v_val"),
        ("bert__key_is_query.py:BertSelfAttention", "+        k = self.key(hidden_states)"),
        ("clip_text__causal_overwritten.py:CLIPAttention", "+        if attention_mask is not None:"),
    ],
)
def test_what_shows_only_in_other_calls_is_mended(name: str, line: str):
    found = fix_file(f"{CASES / 'modern' / f'wrong_{name}'}")
    assert (found.result, found.num_lines) == ("fixed", 1), found.reason
    assert line in found.diff.splitlines()


ALIBI = (CASES / "wrong_alibi_sign.py").read_text(encoding="utf-8")
FAULT = "scores = scores + self.slopes[:, None, None] * distance"


def judged(folder: Path, text: str):
    file = folder / "mine.py"
    file.write_text(text)
    return load(file).Attention


def test_without_its_slopes_it_would_be_right_and_is_no_patch(tmp_path: Path):
    judge = OperationsJudge(judged(tmp_path, ALIBI))
    assert judge.first.names == ("alibi_sign",)
    without = judged(tmp_path, ALIBI.replace(FAULT, "pass"))
    assert OperationsJudge(without).first.status == "right"
    assert not judge.is_right(without)
    assert judge.probe(without, closely=False) is None
    right = judged(tmp_path, ALIBI.replace(FAULT, FAULT.replace("+", "-")))
    assert judge.is_right(right)
    assert judge.holds(right)


CACHE = (CASES / "wrong_kv_cache_mask_from_start.py").read_text(encoding="utf-8")


def test_a_cache_that_raises_now_is_no_patch(tmp_path: Path):
    judge = OperationsJudge(judged(tmp_path, CACHE))
    assert judge.first.names == ("causal_aligned_at_start",)
    assert not judge.is_right(judged(tmp_path, CACHE.replace("torch.ones(n, m)", "torch.ones(m, n)")))
    assert judge.is_right(judged(tmp_path, CACHE.replace("triu(1)", "triu(m - n + 1)")))


MASKED = """import torch
from torch import nn


class Layer(nn.Module):
    def __init__(self, d_model, num_heads):
        super().__init__()
        self.h = num_heads
        self.q, self.k, self.v, self.o = (nn.Linear(d_model, d_model) for _ in range(4))

    def forward(self, x, mask=None):
        b, n, d = x.shape
        q, k, v = (one(x).view(b, n, self.h, -1).transpose(1, 2) for one in (self.q, self.k, self.v))
        scores = q @ k.mT
        if mask is not None:
            scores = scores + mask.clamp(min=-1e9)
        scores = scores / q.shape[-1] ** 0.5
        return self.o((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, n, d))
"""
"""An added mask is divided with the scores: it hides less than it should."""


@pytest.mark.parametrize("kind", [OperationsJudge, AnswersJudge])
def test_a_mask_that_raises_now_is_no_patch(tmp_path: Path, kind):
    def layer(text: str):
        file = tmp_path / "mine.py"
        file.write_text(text)
        return load(file).Layer

    judge = kind(layer(MASKED), "multihead", {"mask": "additive"})
    assert judge.first.status == "wrong"
    assert not judge.is_right(layer(MASKED.replace("scores + mask", "scores + (~mask)")))
    right = MASKED.replace("q @ k.mT", "q @ k.mT / q.shape[-1] ** 0.5").replace("scores / q.shape[-1] ** 0.5", "scores")
    assert judge.is_right(layer(right))


PREFIX = CASES / "modern" / "wrong_mask_prefix__rows.py"


def test_a_mask_of_another_kind_is_not_mended_into_a_causal_one():
    found = fix_file(f"{PREFIX}:prefix_lm_mask", seconds=5)
    assert found.result == "not_found"


def test_a_mask_is_of_the_token_that_is_given():
    file = CASES / "modern" / "wrong_mask_padding_tokens__pad_zero.py"
    text, module = file.read_text(encoding="utf-8"), load(file)

    def function(other: str):
        assert "src != 0" in text
        return load_text(text.replace("src != 0", other), module, "make_src_mask")

    judge = MaskJudge(function("src != 0"))
    assert judge.first.names == ("pad_id_wrong",)
    assert judge.is_right(function("src != 1"))  # the number that the argument has where nobody gives it
    assert not judge.holds(function("src != 1"))
    assert judge.holds(function("src != pad_idx"))


SEVERAL = (CASES / "modern" / "wrong_attn_fn_k_only_2d__first_axes.py").read_text(encoding="utf-8")


def test_several_sequences_that_raise_now_are_no_patch(tmp_path: Path):
    def function(text: str):
        file = tmp_path / "mine.py"
        file.write_text(text)
        return load(file).attention_with_weights

    judge = OperationsJudge(function(SEVERAL))
    assert judge.first.names == ("attends_over_batch",)
    assert not judge.is_right(function(SEVERAL.replace("K[0]", "K[-3]")))
    assert judge.is_right(function(SEVERAL.replace("(K if K.dim() == 2 else K[0])", "K")))


UNUSED = (CASES / "modern" / "wrong_shaw_relative__key_table_for_values.py").read_text(encoding="utf-8")


def test_a_table_that_nobody_reads_is_not_taken_out(tmp_path: Path):
    def layer(text: str):
        file = tmp_path / "mine.py"
        file.write_text(text)
        return load(file).RelativeAttention

    judge = OperationsJudge(layer(UNUSED))
    assert judge.first.names == ("projection_unused",)
    table = "nn.Embedding(2 * self.k + 1, self.d)\n\n"
    assert table in UNUSED
    assert not judge.is_right(layer(UNUSED.replace(table, "2 * self.k + 1\n\n")))
    right = UNUSED.replace(
        "self.relative_k(index), self.relative_k(index)", "self.relative_k(index), self.relative_v(index)"
    )
    assert judge.is_right(layer(right))


def test_a_switch_that_nobody_reads_any_more_is_no_patch():
    assert lost_words("def f(x, scale):\n    return x / scale", "def f(x, scale):\n    return x")


def test_heads_come_before_what_is_seen_after_them():
    judge = OperationsJudge(ThreeSlips, "causal_multihead")
    assert judge.first.names == ("heads_split_by_view",)
    assert set(judge.names_left(MendedHeads)) == {"scale_missing", "mask_off_by_one"}
    probe = judge.probe(MendedHeads, closely=False)
    assert probe is not None
    assert set(probe.left) == {"scale_missing", "mask_off_by_one"}


FLASH = "mixed = torch.nn.functional.scaled_dot_product_attention"
ADDED = "attention_mask is not None:\n            scores = scores + attention_mask"
NO_PATCH = {
    "a switch that raises": ("nanogpt__flash_not_causal", FLASH, FLASH.replace("mixed", "q")),
    "weights that do not come back": ("torch_mha_clone__summed_weights", "if not need_weights", "if need_weights"),
    "a norm that is gone": ("attn_shared_qk__tokens", "F.normalize(qk, 2, dim=-2)", "qk"),
    "a parameter that changes nothing": (
        "gpt_oss_sinks__scaled",
        "expand(b, -1, n, 1)",
        "expand(b, -1, n, 1).softmax(-1)",
    ),
    "a window to both sides": (
        "mingpt__mask_rolled",
        "masked_fill(self.bias[:,:,1:n+1,:n]",
        "masked_fill(self.bias[:,:,1:n+1,:n].mT",
    ),
    "a cache that is not called": (
        "gpt_fast_input_pos__values_not_written",
        "k, v = self.kv_cache.update(input_pos, k, v)",
        "q, v = self.kv_cache.update(input_pos, q, v)",
    ),
    "half of what is tiled": (
        "gpt_fast_input_pos__tiled",
        "k = k.repeat(1, self.n_head // self.n_local_heads, 1, 1)",
        "k = k.repeat_interleave(self.n_head // self.n_local_heads, dim=1)",
    ),
    "a window as long ahead": (
        "gemma2__one_too_many",
        "torch.tril(ones, self.sliding_window_size - 1)",
        "torch.tril(ones, self.sliding_window_size)",
    ),
    "a number for the residual": ("attn_residual_gate_block__times", "return x *", "return b *"),
    "a gate that was not there": (
        "attn_residual_gate_block__times",
        "x * self.drop(self.out_proj((F.softmax(s, -1) @ v)",
        "x + self.drop(self.out_proj((F.softmax(s, -1) @ v / 2.0)",
    ),
    "one of two masks that raises": ("clip_text__causal_overwritten", f"elif {ADDED}", f"if {ADDED}()"),
    "two masks that raise at once": (
        "clip_text__causal_overwritten",
        "elif attention_mask is not None:",
        "assert attention_mask is None or causal_attention_mask is None\n        if attention_mask is not None:",
    ),
    "numbers that are not added any more": (
        "clip_text__causal_overwritten",
        f"elif {ADDED}",
        f"if {ADDED}".replace("scores + attention_mask", "scores.masked_fill(attention_mask == 0, -1e9)"),
    ),
    "a cache that raises": ("whisper__mask_from_start", "cat([kv_cache[self.key]", "cat([kv_cache[~self.key]"),
}


@pytest.mark.filterwarnings("ignore")  # of a norm of nothing, as in the child process
@pytest.mark.parametrize("name", NO_PATCH)
def test_what_takes_something_out_is_no_patch(name):
    case, before, after = NO_PATCH[name]
    file = CASES / "modern" / f"wrong_{case}.py"
    text, told = file.read_text(encoding="utf-8"), read_case(file)
    assert told is not None
    target = told.target.rpartition(":")[2]
    load_target(str(file), target)
    module = module_of(file)
    assert before in text
    judge = OperationsJudge(load_text(text, module, target))
    assert judge.first.status == "wrong"
    assert not judge.is_right(load_text(text.replace(before, after), module, target))
    twin = twin_of(file).read_text(encoding="utf-8")
    assert judge.is_right(load_text(twin, module, target))


def test_a_candidate_that_makes_another_error_of_the_end_of_its_time_took_too_long():
    def endless() -> None:
        try:
            while True:
                pass
        except Exception as error:
            raise TypeError from error

    with pytest.raises(TooLongError), bounded(0.05):
        endless()


def test_the_clock_of_a_candidate_is_handed_back_to_who_had_set_it(monkeypatch: pytest.MonkeyPatch):
    """A child looks out for memory by the same clock, and its tick may come in the middle of every step of ours."""
    ticks: list[int] = []
    set_handler, set_clock = signal.signal, signal.setitimer

    def tick() -> None:
        if signal.getitimer(signal.ITIMER_VIRTUAL)[0]:
            signal.raise_signal(signal.SIGVTALRM)

    def handled(number: int, handler: object) -> object:
        before = set_handler(number, handler)  # pyright: ignore[reportArgumentType]
        tick()
        return before

    def clocked(which: int, seconds: float, interval: float = 0.0) -> tuple[float, float]:
        tick()
        return set_clock(which, seconds, interval)

    before = signal.signal(signal.SIGVTALRM, lambda *_: ticks.append(1))
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, 1000, 500)
        monkeypatch.setattr(signal, "signal", handled)
        monkeypatch.setattr(signal, "setitimer", clocked)
        with bounded(100):
            pass
        assert len(ticks) == 1  # before the candidate; those after are nobody's
        tick()
        assert len(ticks) == 2
        left, interval = signal.getitimer(signal.ITIMER_VIRTUAL)
        assert (left, interval) == (pytest.approx(1000, abs=10), 500)
    finally:
        set_clock(signal.ITIMER_VIRTUAL, 0)
        set_handler(signal.SIGVTALRM, before)


MASKED_LATE = "def f(s, mask, scale):\n    s = s.masked_fill(mask, -1e9)\n    return s * scale"


def test_what_is_computed_is_read_and_what_hides_stays():
    kept = "def f(x):\n    y = g(x)\n    return y + x"
    assert lost_words(kept, kept.replace("y + x", "x")) == {"f.y"}
    assert not lost_words(
        "def f(x):\n    n = x.shape[0]\n    return x / n", "def f(x):\n    n = x.shape[0]\n    return x"
    )
    assert num_hidings(MASKED_LATE) == 1


class MendedHeads(ThreeSlips):
    heads = MultiHeadAttention.heads
