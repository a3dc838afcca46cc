"""A capture is what the model did: the same weights, the same output, tokens by name; and one layer at a time."""

from typing import Any

import pytest
import torch

from attention_surgeon.errors import OptionError
from attention_surgeon.masks import Mask
from attention_surgeon.surgery import (
    AttentionCall,
    LoadedModel,
    capture,
    capture_batch,
    load_model,
    operate,
    visit_layers,
)
from attention_surgeon.surgery.inputs import token_names
from tests.surgery.families import make

IDS = [3, 14, 15, 9, 26, 5]


@pytest.fixture(scope="module")
def minilm() -> LoadedModel:
    return load_model("minilm")


@pytest.mark.parametrize("name", ["gpt2", "llama", "bert", "t5", "bart", "mistral"])
def test_every_layer_passes_the_checks_of_a_trace(name: str) -> None:
    for layer in capture(make(name), IDS).layers:
        failed = {check.name for check in layer.trace.checks() if not check.passed}
        assert failed <= ({"finite"} if layer.trace.allowed is not None else set())


def test_stacks_tokens_and_heads() -> None:
    captured = capture(make("bart"), IDS, target=[7, 8, 9], heads=[2, 0])
    assert [layer.name for layer in captured.layers] == [
        *("encoder 0", "encoder 1", "decoder 0", "cross 0", "decoder 1", "cross 1")
    ]
    assert captured.target_tokens == ("2", "7", "8")  # shifted, behind the token that begins
    cross = captured.layer("cross 1")
    assert (cross.heads, cross.trace.query_tokens, cross.trace.key_tokens) == ((0, 2), ("2", "7", "8"), captured.tokens)
    assert cross.trace.weights.shape == (2, 3, 6)
    with pytest.raises(OptionError, match="no layer 'cross 2' was captured; there are encoder 0"):
        captured.layer("cross 2")


@torch.no_grad()
def test_loss_and_logits_are_those_of_the_model() -> None:
    ids = torch.tensor([IDS])
    captured = capture(make("gpt2"), IDS)
    own = make("gpt2")(ids, labels=ids)
    assert captured.loss == pytest.approx(float(own.loss), rel=1e-6)
    assert captured.logits is not None
    assert torch.equal(captured.logits, own.logits[0])
    pair = make("t5")(input_ids=ids, labels=ids[:, :3])
    assert capture(make("t5"), ids, target=IDS[:3]).loss == pytest.approx(float(pair.loss), rel=1e-6)
    assert capture(make("bert"), IDS).loss is None


def test_within_an_operation_it_is_what_the_operated_model_did() -> None:
    healthy = capture(make("llama"), IDS)
    with operate(make("llama"), "uniform", layers=1, heads=[4]):
        operated = capture(make("llama"), IDS)
    assert torch.equal(operated.layer(0).trace.weights, healthy.layer(0).trace.weights)
    own, new = healthy.layer(1).trace.weights, operated.layer(1).trace.weights
    assert torch.equal(own[[0, 1, 2, 3, 5]], new[[0, 1, 2, 3, 5]])
    expected = torch.ones(6, 6).tril() / torch.arange(1, 7)[:, None]
    assert torch.allclose(new[4], expected, atol=1e-7)
    assert operated.layer(1).trace.step_functions[3] == "softmax_over_keys | evenly"


def test_query_and_key_as_the_attention_function_gets_them() -> None:
    seen: list[AttentionCall] = []
    output = visit_layers(make("llama", "sdpa"), IDS, seen.append)
    assert [call.layer.name for call in seen] == ["0", "1"]
    call = seen[0]
    assert (call.query.shape, call.key.shape) == ((1, 6, 6, 10), (1, 2, 6, 10))
    assert isinstance(call.mask, Mask)  # not written out
    assert call.scaling == pytest.approx(10**-0.5)
    captured = capture(make("llama", "sdpa"), IDS)
    assert torch.equal(call.query[0], captured.layer(0).trace.query)
    assert output.loss == captured.loss


def test_a_long_text_makes_nothing_of_n_by_n() -> None:
    model, ids = make("gpt2", "sdpa"), torch.randint(3, 31, (1, 29), generator=torch.Generator().manual_seed(0))
    sizes: list[int] = []

    def look(call: AttentionCall) -> None:
        sizes.extend(part.numel() for part in vars(call).values() if isinstance(part, torch.Tensor))

    visit_layers(model, ids, look)
    assert max(sizes) == 3 * 29 * 5  # heads, positions, size: nothing is 29 x 29 for each head


def test_minilm_is_read(minilm: LoadedModel) -> None:
    captured = capture(minilm.model, "The cat sat on the mat.", tokenizer=minilm.tokenizer)
    assert captured.tokens == ("[CLS]", "the", "cat", "sat", "on", "the", "mat", ".", "[SEP]")
    assert len(captured.layers) == 6
    assert captured.layers[5].trace.weights.shape == (12, 9, 9)
    assert captured.states is not None
    assert captured.states.shape == (9, 384)
    for layer in captured.layers:
        assert all(check.passed for check in layer.trace.checks())


def test_a_text_needs_a_tokenizer() -> None:
    with pytest.raises(OptionError, match="a text needs a tokenizer"):
        capture(make("gpt2"), "The cat")


def test_pictures_have_numbered_positions() -> None:
    given: dict[str, Any] = {"pixel_values": torch.randn(1, 3, 12, 12, generator=torch.Generator().manual_seed(0))}
    captured = capture(make("vit"), given)
    assert captured.layers[0].trace.query_tokens == tuple(str(place) for place in range(10))
    assert captured.logits is not None
    assert captured.logits.shape == (5,)


@pytest.mark.parametrize("name", ["gpt2", "llama", "mistral", "bert", "t5", "bart"])
def test_a_padded_batch_gives_what_each_text_gives_alone(name: str) -> None:
    model, texts = make(name), [IDS, [5, 9, 11], [30, 3, 3, 8]]
    batch = capture_batch(model, texts)
    for ids, captured in zip(texts, batch, strict=True):
        alone = capture(model, ids)
        assert (captured.tokens, captured.target_tokens) == (alone.tokens, alone.target_tokens)
        assert captured.loss == (None if alone.loss is None else pytest.approx(alone.loss, rel=1e-5))
        assert captured.logits is not None
        assert alone.logits is not None
        assert float((captured.logits - alone.logits).abs().max()) < 1e-5
        for mine, own in zip(captured.layers, alone.layers, strict=True):
            assert (mine.name, mine.trace.key_tokens) == (own.name, own.trace.key_tokens)
            for part in ("query", "key", "value", "weights", "output"):
                assert float((getattr(mine.trace, part) - getattr(own.trace, part)).abs().max()) < 1e-5


def test_padding_on_the_left_is_cut_away() -> None:
    model = make("llama")
    ids, mask = torch.tensor([[0, 0, 5, 9, 13], [3, 4, 5, 6, 7]]), torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    left, whole = capture_batch(model, {"input_ids": ids, "attention_mask": mask})
    assert (left.tokens, len(whole.tokens)) == (("5", "9", "13"), 5)
    assert left.layer(0).trace.weights.shape == (6, 3, 3)
    assert torch.allclose(left.layer(0).trace.weights.sum(-1), torch.ones(6, 3), atol=1e-6)
    alone = capture(model, [3, 4, 5, 6, 7])
    assert whole.loss == pytest.approx(alone.loss, rel=1e-5)


@pytest.mark.parametrize("name", ["gpt2", "llama", "bert"])
@torch.no_grad()
def test_the_stream_and_what_heads_add(name: str) -> None:
    """What the heads add, with the projection's bias, is what the projection gives; the stream is the model's own."""
    model = make(name)
    captured = capture(model, IDS, stream=True, heads=[2, 0])
    states = model(torch.tensor([IDS]), output_hidden_states=True).hidden_states
    for layer in captured.layers:
        assert torch.equal(layer["residual"], states[layer.index][0])
        assert layer["head_out"].shape == (2, 6, layer["residual"].shape[-1])
    assert torch.equal(captured.layer(0)["residual_after"], captured.layer(1)["residual"])
    block = {
        "gpt2": lambda: model.transformer.h[1].attn.c_proj,
        "llama": lambda: model.model.layers[1].self_attn.o_proj,
    }
    if name in block:
        whole = capture(model, IDS, stream=True).layer(1)
        projection = block[name]()
        merged = whole["z"].transpose(0, 1).flatten(-2)  # (heads, n, v) -> (n, heads * v)
        bias = projection(torch.zeros(1, merged.shape[-1]))
        assert float((whole["head_out"].sum(0) + bias - projection(merged)).abs().max()) < 1e-5


def test_a_captured_layer_names_what_it_holds() -> None:
    layer = capture(make("gpt2"), IDS).layer(0)
    assert torch.equal(layer["pattern"], layer.trace.weights)
    assert torch.equal(layer["z"], layer.trace.output)
    with pytest.raises(OptionError, match=r"'head_out' was not captured; capture\(\.\.\., stream=True\) keeps it"):
        layer["head_out"]
    with pytest.raises(OptionError, match="'weights' was not captured; the names are q, k, v, scores, pattern, z"):
        layer["weights"]


@torch.no_grad()
def test_a_start_token_of_number_zero() -> None:
    """`decoder_start_token_id` 0 is a token, not a missing number."""
    model, ids = make("t5"), torch.tensor([[5, 6, 7]])
    before = model.config.pad_token_id, model.config.decoder_start_token_id
    model.config.pad_token_id = 1
    try:
        captured = capture(model, [5, 6, 7])
        assert captured.target_tokens == ("0", "5", "6")
        assert captured.loss == pytest.approx(float(model(input_ids=ids, labels=ids).loss), rel=1e-6)
    finally:
        model.config.pad_token_id, model.config.decoder_start_token_id = before


def test_one_line_says_what_was_captured() -> None:
    captured = capture(make("gpt2"), IDS)
    assert repr(captured).startswith("Capture(GPT2LMHeadModel (gpt2), 6 tokens, 2 layers, loss ")
    frame = captured.to_pandas()
    assert list(frame.columns) == ["layer", "head", "query", "query_token", "key", "key_token", "weight"]
    assert len(frame) == 2 * 3 * 6 * 6
    row = frame[(frame.layer == "1") & (frame["head"] == 2) & (frame["query"] == 5) & (frame["key"] == 3)]
    assert float(row.weight.iloc[0]) == pytest.approx(float(captured.layer(1).trace.weights[2, 5, 3]))


class _Bytes:
    """A tokenizer that writes bytes as letters, as GPT-2's does."""

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        return [["Se", "Ã¡n", "Ġä¸Ń", "Ċ", "ä¸", "<|end|>"][one] for one in ids]


def test_letters_that_stand_for_bytes_are_read_back():
    names = token_names(torch.arange(6), _Bytes())
    assert names == ("Se", "án", " 中", "\n", "\ufffd", "<|end|>")
    assert token_names(torch.tensor([1]), _Bytes()) == ("Ã¡n",)  # nothing says that these are bytes


def test_a_text_that_is_too_long_is_cut_with_a_warning():
    model = make("gpt2")  # of 29 positions
    ids = [3 + place % 30 for place in range(40)]
    with pytest.warns(UserWarning, match="the text has 40 tokens and this model reads 29 at once; the first 29 are"):
        captured = capture(model, ids)
    assert len(captured.tokens) == 29
    assert captured.logits is not None
    with torch.no_grad():
        torch.testing.assert_close(captured.logits, model(torch.tensor([ids[:29]])).logits[0])
    with pytest.warns(UserWarning, match="the first 29 are read"):
        batch = capture_batch(model, [ids, ids[:5]])
    assert [len(one.tokens) for one in batch] == [29, 5]


def test_a_model_of_pictures_refuses_a_text():
    told = r"reads pictures, no text: pass \{'pixel_values': \.\.\.\} in place of the text; surgeon view --image FILE"
    with pytest.raises(OptionError, match=told):
        capture(make("vit"), [3, 4, 5])
