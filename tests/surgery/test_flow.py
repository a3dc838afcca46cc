"""Rollout and flow by hand, value- and norm-weighted weights from the model's own tensors."""

import pytest
import torch
from torch import Tensor

from attention_surgeon.errors import OptionError
from attention_surgeon.surgery import capture
from attention_surgeon.surgery.flow import attention_flow, norm_weighted, rollout, value_weighted
from tests.surgery.families import make

IDS = [3, 14, 15, 9]


def _two(*layers: list[list[float]]) -> Tensor:
    return torch.tensor(layers)[:, None]  # one head each


def test_rollout_by_hand() -> None:
    captured = _two([[1.0, 0.0], [0.5, 0.5]], [[1.0, 0.0], [0.2, 0.8]])
    expected = torch.tensor([[1.0, 0.0], [0.1 + 0.9 * 0.25, 0.9 * 0.75]])
    assert torch.allclose(rollout(captured)[1], expected)
    assert torch.allclose(rollout(captured, shortcut=0.0)[1], torch.tensor([[1.0, 0.0], [0.2 + 0.8 * 0.5, 0.4]]))


def test_flow_by_hand() -> None:
    """The pipes of the second position: 0.1 to the first, 0.9 to itself, and from there 0.25 and 0.75."""
    captured = _two([[1.0, 0.0], [0.5, 0.5]], [[1.0, 0.0], [0.2, 0.8]])
    assert torch.allclose(attention_flow(captured), torch.tensor([0.1 + 0.25, 0.75]))
    assert torch.allclose(attention_flow(captured, query=0), torch.tensor([1.0, 0.0]))


@pytest.mark.parametrize("name", ["gpt2", "llama", "bert"])
def test_what_is_carried(name: str) -> None:
    layer = capture(make(name), IDS, stream=True).layer(1)
    for head in range(len(layer.heads)):
        for query, key in ((3, 0), (2, 1)):
            weight, value = layer.trace.weights[head, query, key], layer.trace.value[head, key]
            assert float(value_weighted(layer)[head, query, key]) == pytest.approx(
                float(weight * value.norm()), abs=1e-6
            )
            added = weight * (value @ layer["w_o"][head])
            assert float(norm_weighted(layer)[head, query, key]) == pytest.approx(float(added.norm()), abs=1e-6)
    # what all keys add together is what the head adds
    added = torch.einsum("hqk,hkv,hvw->hqw", layer["pattern"], layer["v"], layer["w_o"])
    assert float((added - layer["head_out"]).abs().max()) < 1e-5


def test_stacks_are_not_mixed() -> None:
    captured = capture(make("t5"), IDS)
    with pytest.raises(OptionError, match="rollout: the layers are of encoder, decoder, cross; capture one stack"):
        rollout(captured)
    assert rollout(capture(make("t5"), IDS, layers="encoder")).shape == (2, 4, 4)
    with pytest.raises(OptionError, match="'w_o' was not captured; capture"):
        norm_weighted(capture(make("gpt2"), IDS).layer(0))


def test_weights_of_other_tools_are_rolled_out_as_a_capture_is():
    captured = capture(make("gpt2"), [3, 14, 15, 9])
    by_name = {layer.name: layer["pattern"] for layer in captured.layers}
    torch.testing.assert_close(rollout(by_name), rollout(captured))
    with pytest.raises(OptionError, match="the weights are of several lengths"):
        rollout({"0": torch.eye(2)[None], "1": torch.eye(3)[None]})
