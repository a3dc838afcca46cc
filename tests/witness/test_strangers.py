"""What a reading says of code as strangers write it: blocks, moved tokens, random numbers, masks that fit by chance.

The second set of cases holds these ways whole; here is what was said of them, each with a slip beside it.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from attention_surgeon.diagnose.load import load_target
from attention_surgeon.diagnose.observed import diagnose_observed
from attention_surgeon.testing.words import declared_polarity
from attention_surgeon.witness.forms import Rotation
from attention_surgeon.witness.positions import read_rotations
from attention_surgeon.witness.record import record, watched

SECOND = Path(__file__).parents[1] / "cases" / "second"


def judged(tmp_path: Path, case: str, target: str, before: str = "", after: str = ""):
    """Judge a case of the second set with one of its lines changed."""
    text = (SECOND / f"right_{case}.py").read_text(encoding="utf-8")
    assert before in text
    file = tmp_path / f"judged_{case}.py"
    file.write_text(text.replace(before, after), encoding="utf-8")
    return diagnose_observed(load_target(str(file), target).object)


def seen(found) -> list[str]:
    return [each.evidence for each in found.behaviour]


def test_what_stands_behind_the_attention_of_a_block_is_said_not_to_be_judged(tmp_path: Path):
    words = "the layers behind the attention, which take each token for itself, were not judged"
    found = judged(tmp_path, "block_with_feed_forward", "Block")
    assert found.verdict == "right"
    assert words in seen(found)


def test_a_block_whose_last_layer_mixes_tokens_is_not_judged(tmp_path: Path):
    mixing = "self.fc2(F.gelu(self.fc1(self.norm2(x)))).mean(1, keepdim=True)"
    found = judged(tmp_path, "block_with_feed_forward", "Block", "self.fc2(F.gelu(self.fc1(self.norm2(x))))", mixing)
    assert found.verdict == "unjudged"


def test_tokens_that_are_not_put_back_come_out_in_another_order(tmp_path: Path):
    found = judged(tmp_path, "rolled_and_rolled_back", "Rolled", "return torch.roll(x, self.shift, dims=1)", "return x")
    assert found.verdict == "wrong"
    assert seen(found) == ["the tokens come out in another order than they came in"]


def test_dropout_of_numpy_that_nothing_turns_off_is_no_memory_of_a_call(tmp_path: Path):
    found = judged(
        tmp_path, "numpy_training_by_default", "MultiHeadAttention", "        if not training:\n            return x\n"
    )
    assert found.verdict == "unjudged"
    assert found.reason == "each call draws other random numbers, as dropout does that nothing turns off"


def test_dropout_of_a_module_that_does_not_ask_whether_it_trains_is_a_mistake(tmp_path: Path):
    found = judged(
        tmp_path,
        "one_scale_on_queries",
        "CosineAttention",
        "(weights @ v)",
        "((weights * (torch.rand_like(weights) > 0.1)) @ v)  # dropout\n",
    )
    assert found.names == ("dropout_in_eval",)


def test_what_makes_up_for_dropout_in_evaluation_is_said(tmp_path: Path):
    found = judged(
        tmp_path, "numpy_training_by_default", "MultiHeadAttention", "return x\n", "return x / (1 - self.rate)\n"
    )
    assert found.verdict == "wrong"
    assert seen(found) == ["in evaluation the weights are multiplied by 2, as dropout does with those that it leaves"]


def test_features_that_ask_features_are_told_from_a_norm_over_the_tokens(tmp_path: Path):
    found = judged(tmp_path, "features_ask_features", "ChannelAttention")
    assert found.verdict == "unjudged"
    assert found.reason == "its scores are of features with features: it attends over the channels"


def grouped(query, key, value, mask=None):
    """Queries (b, n, h, d), keys and values (b, s, g, d), mask (b, n, s)."""
    b, n, heads, d = query.shape
    shared = key.shape[2]
    asks = (query / d**0.5).view(b, n, shared, heads // shared, d).permute(0, 3, 2, 1, 4)
    scores = torch.einsum("bpgnd,bsgd->bpgns", asks, key)
    if mask is not None:
        scores = scores.masked_fill(~(mask[:, None, None] if mask.ndim == 3 else mask), float("-inf"))
    mixed = torch.einsum("bpgns,bsgd->bpgnd", scores.softmax(-1), value)
    return mixed.permute(0, 3, 2, 1, 4).reshape(b, n, heads, d)


def test_a_mask_that_fits_by_chance_is_not_held_against_it():
    """A mask `(b, 1, n, m)` meets an axis of two heads, as there are two sequences; of four it would be refused."""
    assert diagnose_observed(grouped).verdict == "right"


class Divided(nn.Module):
    def __init__(self, d_model: int, n_heads: int, by: Callable = lambda raised: raised.sum(-1, keepdim=True)):
        super().__init__()
        self.n_heads, self.by = n_heads, by
        self.qkv, self.out = nn.Linear(d_model, 3 * d_model), nn.Linear(d_model, d_model)

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        raised = (q @ k.mT * q.shape[-1] ** -0.5).exp()
        return self.out((raised @ v / self.by(raised)).transpose(1, 2).reshape(b, n, -1))


def test_sums_may_divide_the_output_in_the_place_of_the_weights():
    assert diagnose_observed(Divided).verdict == "right"
    by_keys = diagnose_observed(Divided, hints={"by": lambda raised: raised.shape[-1]})
    assert by_keys.names == ("exp_not_normalised",)


def test_the_line_is_the_users_where_an_installed_package_makes_the_product(tmp_path: Path):
    package = tmp_path / "site-packages" / "products"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("def product(a, b):\n    return a @ b\n", encoding="utf-8")
    file = tmp_path / "with_a_package.py"
    file.write_text(
        f"import sys\nsys.path.insert(0, {str(package.parent)!r})\nimport torch\nfrom products import product\n\n\n"
        "def attention(q, k, v):\n    scores = product(q, k.mT)\n    return torch.softmax(scores, -1) @ v\n",
        encoding="utf-8",
    )
    found = diagnose_observed(load_target(str(file), "attention").object)
    assert found.names == ("scale_missing",)
    assert found.location is not None
    assert (found.location.file, found.location.line) == (str(file), 8)


def test_a_part_of_a_head_may_turn_by_the_first_frequencies_of_a_whole_one():
    angles = np.arange(5)[:, None] * 100.0 ** (-np.arange(0, 4, 2) / 4)
    turn = Rotation("halves", 0, 4, angles, 1.0)
    assert read_rotations(turn, turn, size=8, base=10000.0).fault is None
    assert read_rotations(turn, turn, size=4, base=10000.0).fault == "rotary_positions_wrong"


class OfTwoParts(nn.Module):
    """Scores for a sum of two products, of which one is left out."""

    def __init__(self, d_model: int, n_heads: int):
        super().__init__()
        self.n_heads = n_heads
        self.qkv, self.out = nn.Linear(d_model, 3 * d_model), nn.Linear(d_model, d_model)

    def parts(self) -> int:
        return 2

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        scores = q @ k.mT / (self.parts() * q.shape[-1]) ** 0.5
        weights = scores.softmax(-1)
        return {"output": self.out((weights @ v).transpose(1, 2).reshape(b, n, -1)), "w": weights, "s": scores}


class OfTheHeads(OfTwoParts):
    def parts(self) -> int:
        return self.n_heads


def test_a_scale_of_two_products_is_its_authors_to_explain_and_one_of_the_heads_a_mistake():
    found = diagnose_observed(OfTwoParts)
    assert found.reason == "the scores are divided by √(2 d_k), as those are that are a sum of 2 products"
    assert diagnose_observed(OfTheHeads).names == ("scale_by_model_width",)


def test_scores_may_come_back_beside_the_weights():
    class Right(OfTwoParts):
        def parts(self) -> int:
            return 1

    found = diagnose_observed(Right)
    assert found.verdict == "right"
    assert "the scores come back beside the output" in seen(found)


@pytest.mark.parametrize(
    ("case", "target", "words"),
    [
        ("learned_scale_from_root", "LearnedScale", "a learned scale that begins at 1/√d_k"),
        ("input_beside_output", "Beside", "its output and other features projected together"),
    ],
)
def test_what_an_attention_is_is_said(tmp_path: Path, case: str, target: str, words: str):
    found = judged(tmp_path, case, target)
    assert found.verdict == "right"
    assert words in found.kind


@pytest.mark.parametrize(
    ("begins", "verdict"), [("self.size**-0.5", "right"), ("1.0", "unjudged"), ("1 / self.size", "wrong")]
)
def test_a_scale_that_learns_is_judged_by_where_it_begins(tmp_path: Path, begins: str, verdict: str):
    found = judged(tmp_path, "learned_scale_from_root", "LearnedScale", "self.size**-0.5", begins)
    assert found.verdict == verdict


def test_a_scale_of_each_head_that_learns_is_judged_by_where_it_begins(tmp_path: Path):
    before, after = "torch.tensor(self.size**-0.5)", "torch.full((n_heads, 1, 1), self.size**-0.5)"
    found = judged(tmp_path, "learned_scale_from_root", "LearnedScale", before, after)
    assert found.verdict == "right"


def test_slots_are_told_from_a_softmax_along_the_wrong_axis(tmp_path: Path):
    found = judged(tmp_path, "slots", "Slots", " + 1e-8", "")
    assert found.verdict == "unjudged"
    assert "as in slot attention" in found.reason


def test_a_switch_that_changes_nothing_is_worth_knowing(tmp_path: Path):
    found = judged(tmp_path, "switch_that_nobody_reads", "Unread")
    assert found.verdict == "right"
    assert "with scale=False the scores are divided all the same" in seen(found)


def test_a_list_of_arguments_in_a_comment_promises_nothing(tmp_path: Path):
    words = "# the fused one takes: q, k, v, mask, dropout, causal, scale"
    assert judged(tmp_path, "list_of_arguments", "Attend").verdict == "right"
    promised = judged(tmp_path, "list_of_arguments", "Attend", words, "# dot products, causal attention")
    assert promised.names == ("causal_missing",)


@pytest.mark.parametrize(("text", "meaning"), [("# 1 is padding", "hide"), ("# True may attend", "keep"), ("", None)])
def test_a_text_says_what_its_mask_means_in_words_and_not_in_code(text: str, meaning: str | None):
    code = f"def attend(x, mask):  {text}\n    length = x.shape[1] + 1 - pad(x)\n    return x[:, :length]\n"
    assert declared_polarity(code) == meaning


def test_the_bias_of_the_keys_is_no_projection_that_is_unused(tmp_path: Path):
    found = judged(tmp_path, "summed_over_heads", "PerHead", "self.W_K) + self.b_K", "self.W_K)")
    assert found.verdict == "right"


def test_numpy_is_put_back_as_it_was():
    kept = np.asarray, np.array, np.ascontiguousarray
    trace = record(lambda: np.matmul(np.asarray(watched(np.eye(2))), np.ones((2, 3))))
    assert [op.name for op in trace.ops] == ["matmul"]
    assert (np.asarray, np.array, np.ascontiguousarray) == kept


def test_a_table_of_one_row_is_no_causal_mask(tmp_path: Path):
    found = judged(tmp_path, "configuration_of_numbers", "Blocks")
    assert "causal attention" in found.kind
