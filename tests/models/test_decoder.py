import pytest
import torch

from attention_surgeon.errors import OptionError, ShapeError
from attention_surgeon.masks import causal_mask, reverse_mask
from attention_surgeon.models import Decoder, DecoderConfig, MaskBuilder, no_mask
from attention_surgeon.models.decoder import mask_for
from attention_surgeon.ops import Mechanism, multiply_by
from tests.models.small import LENGTH, decoder

TOKENS = torch.randint(15, (3, LENGTH), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("mask", "ahead", "behind"), [(causal_mask, False, True), (no_mask, True, True), (reverse_mask, True, False)]
)
def test_a_mask_decides_which_way_a_change_travels(mask: MaskBuilder, ahead: bool, behind: bool):
    model = decoder().eval()
    changed = TOKENS.clone()
    changed[:, 5] = (changed[:, 5] + 1) % 15
    before, after = (model(tokens, mask_for(mask, LENGTH)) for tokens in (TOKENS, changed))
    differs = (before != after).any(-1).any(0)
    assert differs[:5].any().item() is ahead
    assert differs[6:].any().item() is behind


def test_the_same_seed_gives_the_same_model_and_leaves_the_global_one_alone():
    torch.manual_seed(4)
    expected = torch.rand(1)
    torch.manual_seed(4)
    one, other = decoder(), decoder()
    assert torch.equal(torch.rand(1), expected)
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    third = Decoder(one.config, seed=1)
    assert not torch.equal(one.token_embedding.weight, third.token_embedding.weight)


def test_the_first_loss_is_that_of_guessing():
    logits = decoder()(TOKENS, None)
    assert logits.softmax(-1).max() < 1.2 / 16


def test_a_tied_head_saves_a_matrix():
    tied, own = (sum(p.numel() for p in decoder(use_tied_head=is_tied).parameters()) for is_tied in (True, False))
    vocabulary = decoder().config.vocabulary_size
    assert own - tied == 6 * vocabulary


def test_a_mechanism_reaches_every_layer():
    model = decoder().eval()
    before = model(TOKENS, None)
    even = Mechanism(scale=multiply_by(0.0))
    model.set_mechanism(even)
    assert [layer.mechanism for layer in model.attention_layers()] == [even, even]
    assert not torch.equal(before, model(TOKENS, None))


def test_without_positions_order_is_not_known():
    model = decoder(use_positions=False).double().eval()
    shuffled = model(TOKENS.flip(1), None).flip(1)
    torch.testing.assert_close(shuffled, model(TOKENS, None), atol=1e-12, rtol=0)


def test_what_does_not_fit_is_told(own_messages: None):
    model = decoder()
    with pytest.raises(ShapeError, match=r"tokens has shape \(3,\), expected \(batch, n\); use tokens\[None\]"):
        model(torch.zeros(3, dtype=torch.long), None)
    with pytest.raises(ShapeError, match=r"12 positions for a context of 11; pass the last ones, tokens\[:, -11:\]"):
        model(torch.zeros(1, 12, dtype=torch.long), None)
    with pytest.raises(OptionError, match="expected a function of the length, such as causal_mask or no_mask"):
        mask_for(torch.ones(3), 3)  # pyright: ignore
    with pytest.raises(OptionError, match="DecoderConfig: num_layers is 0, expected a whole number of at least 1"):
        DecoderConfig(5, num_layers=0)


def test_parts_that_say_nothing_leave_the_stream_as_it_is():
    model = decoder().eval()
    x = model.embed(TOKENS)
    assert not torch.equal(model.run_blocks(x, None), x)
    for block in model.blocks:
        for last in (block.attention.output, block.mlp[-1]):
            torch.nn.init.zeros_(last.weight)
            torch.nn.init.zeros_(last.bias)
    assert torch.equal(model.run_blocks(x, None), x)


def test_a_block_by_hand():
    block, x = decoder().blocks[0].eval(), decoder().embed(TOKENS)
    expected = x + block.attention(block.attention_norm(x), causal_mask(LENGTH))
    expected = expected + block.mlp(block.mlp_norm(expected))
    torch.testing.assert_close(block(x, causal_mask(LENGTH)), expected)
