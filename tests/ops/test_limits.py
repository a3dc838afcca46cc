"""What keeps attention within bounds, and that none of it is there unless it is asked for."""

import math

import pytest
import torch
from torch import Tensor

from attention_surgeon.errors import OptionError
from attention_surgeon.masks import causal_mask, window_mask
from attention_surgeon.ops import (
    Circuit,
    Mechanism,
    Operands,
    QKNorm,
    Rotary,
    Sink,
    SoftCap,
    Window,
    attention,
    softmax,
    unit_length,
)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


Q, K, V = draw(2, 3, 5, 8), draw(2, 3, 7, 8, seed=1), draw(2, 3, 7, 6, seed=2)
SCALED = Q @ K.mT / math.sqrt(8)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("is_masked", [False, True])
def test_without_them_a_circuit_is_attention_to_the_last_bit(dtype: torch.dtype, is_masked: bool):
    three = [x.to(dtype, copy=True).requires_grad_() for x in (Q, K, V)]
    mask = causal_mask(5, 7, align="start").dense() if is_masked else None
    pairs = [Circuit().attend(*three, mask), Mechanism()(*three, mask), attention(*three, mask)]
    gradients = [torch.autograd.grad(output.sum(), three) for output, _ in pairs]
    for found, gradient in zip(pairs[1:], gradients[1:], strict=True):
        assert all(torch.equal(one, other) for one, other in zip(pairs[0], found, strict=True))
        assert all(torch.equal(one, other) for one, other in zip(gradients[0], gradient, strict=True))


def test_without_them_the_steps_get_the_very_tensors():
    """No copy is made, nothing is added: the scaled scores come to the mask as they left the scale."""
    seen: list[Tensor] = []

    def scale(scores: Tensor, operands: Operands) -> Tensor:
        seen.extend((operands.query, operands.key, operands.value, scores))
        return scores

    def mask(scaled: Tensor, operands: Operands) -> Tensor:
        seen.append(scaled)
        return scaled

    given = Operands(Q, K, V, None, None, torch.float64)
    Circuit().replace(scale=scale, mask=mask).run(given)
    assert [seen[0] is Q, seen[1] is K, seen[2] is V, seen[4] is seen[3]] == [True] * 4


def test_each_is_where_it_belongs():
    """Norm before position, cap after scale, bias after cap, hiding after bias, sink beside what is not hidden."""
    hidden, sinks, bias = torch.ones(5, 7).triu(3).bool(), draw(3, seed=3), draw(3, 5, 7, seed=4)
    circuit = Circuit(
        norm=QKNorm(query_gain=draw(8, seed=5)),
        position=Rotary(),
        pattern=lambda n_q, n_k: ~hidden,
        cap=SoftCap(0.7),
        bias=lambda operands: bias,
        sink=Sink(sinks),
    )
    gained = torch.nn.functional.rms_norm(Q, (8,), draw(8, seed=5), 1e-6)
    level = torch.nn.functional.rms_norm(K, (8,), None, 1e-6)
    query, key, _ = Rotary()(gained, level, V)
    scores = 0.7 * torch.tanh(query @ key.mT / math.sqrt(8) / 0.7) + bias
    beside = torch.cat([scores.masked_fill(hidden, -math.inf), sinks[:, None, None].expand(2, 3, 5, 1)], dim=-1)
    expected = beside.softmax(-1)[..., :-1]
    output, weights = circuit.attend(Q, K, V)
    assert torch.allclose(weights, expected)
    assert torch.allclose(output, expected @ V)


def test_a_norm_before_is_not_a_norm_after_the_positions():
    """With gains the order shows."""
    gain = 1.0 + torch.arange(8, dtype=torch.float64)
    norm, rotary = QKNorm(gain, gain), Rotary()
    before = rotary(*norm(Q, K), V)[:2]
    after = norm(*rotary(Q, K, V)[:2])
    assert not torch.allclose(before[0], after[0])
    found = Circuit(norm=norm, position=rotary).attend(Q, K, V)[1]
    assert torch.allclose(found, softmax(before[0] @ before[1].mT / math.sqrt(8)))


def test_unit_length_makes_scores_cosines():
    cosines = torch.nn.functional.cosine_similarity(Q.unsqueeze(-2), K.unsqueeze(-3), dim=-1)
    found = Circuit(norm=unit_length).attend(Q, K, V, scale=False)[1]
    assert torch.allclose(found, cosines.softmax(-1))


def test_a_cap_is_never_passed():
    huge = torch.tensor([-1e9, -1.0, 0.0, 1.0, 1e9], dtype=torch.float64)
    capped = SoftCap(30.0)(huge, None)
    assert capped[[0, -1]].tolist() == [-30.0, 30.0]
    assert torch.allclose(capped[1:-1], huge[1:-1], rtol=1e-3)
    for wrong in (0.0, -1.0, math.nan):
        with pytest.raises(OptionError, match="expected a number above 0"):
            SoftCap(wrong)


def test_a_sink_takes_no_gradient_into_an_empty_row():
    sinks, query = draw(3, seed=3).requires_grad_(), Q.detach().clone().requires_grad_()
    allowed = torch.ones(5, 7, dtype=torch.bool)
    allowed[1] = False
    output, weights = Circuit(sink=Sink(sinks)).attend(query, K, V, allowed)
    assert (weights[..., 1, :] == 0).all()
    output.square().sum().backward()
    assert sinks.grad is not None
    assert sinks.grad.isfinite().all()
    assert query.grad is not None
    assert query.grad.isfinite().all()
    assert (query.grad[..., 1, :] == 0).all()


def test_a_sink_works_beside_any_normaliser():
    """Where weights are hidden after the softmax, as a fault does, shapes still fit."""
    circuit = Circuit(sink=Sink(torch.tensor(0.0))).replace(
        normalise=lambda masked, operands: masked.softmax(-1).square()
    )
    expected = SCALED.softmax(-1).square() * torch.sigmoid(SCALED.logsumexp(-1, keepdim=True))
    assert torch.allclose(circuit.attend(Q, K, V)[1], expected)


@pytest.mark.parametrize("size", [1, 2, 3, 9])
@pytest.mark.parametrize("n_q", [1, 4, 7])
def test_a_window_is_that_of_the_masks(size: int, n_q: int):
    assert torch.equal(Window(size)(n_q, 7), window_mask(n_q, 7, size=size).dense())


def test_a_dilated_window_leaves_keys_out():
    seen = Window(3, dilation=2)(9, 9)
    assert seen[8].nonzero().flatten().tolist() == [4, 6, 8]
    assert seen.sum(-1).tolist() == [1, 1, 2, 2, 3, 3, 3, 3, 3]
    for wrong in ({"size": 0}, {"size": 1, "dilation": 0}):
        with pytest.raises(OptionError):
            Window(**wrong)
