"""What `diagnose` says of layers, and that it leaves them as they were."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from attention_surgeon.diagnose import diagnose
from attention_surgeon.testing.layer.parameters import fill_parameters

pytestmark = pytest.mark.usefixtures("own_messages")

ROOT = Path(__file__).parents[2]


class Layer(nn.Module):
    """A multi-head layer whose parts are replaced below."""

    def __init__(self, embed_dim, num_heads, dropout=0.1):
        super().__init__()
        self.num_heads, self.size = num_heads, embed_dim // num_heads
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(embed_dim, embed_dim) for _ in range(4))
        self.dropout = nn.Dropout(dropout)

    def split(self, x):
        return x.unflatten(-1, (self.num_heads, self.size)).transpose(1, 2)

    def scaled(self, scores):
        return scores / self.size**0.5

    def merge(self, x):
        return x.transpose(1, 2).flatten(2)

    def forward(self, x, mask=None):
        q, k, v = (self.split(project(x)) for project in (self.q_proj, self.k_proj, self.v_proj))
        scores = self.scaled(q @ k.mT)
        if mask is not None:
            scores = scores.masked_fill(~mask, -1e9)
        return self.o_proj(self.merge(self.dropout(scores.softmax(-1)) @ v))


class ByWidth(Layer):
    def scaled(self, scores):
        return scores / (self.num_heads * self.size) ** 0.5


class Merged(ByWidth):
    def merge(self, x):
        return x.reshape(x.shape[0], x.shape[2], -1)


class Unknown(Layer):
    def merge(self, x):
        return super().merge(x).sin()


def test_a_right_layer_is_right():
    diagnosis = diagnose(Layer, "multihead")
    assert diagnosis.verdict == "right"
    assert diagnosis.called_with == "plain: x (2, 7, 15)"


@pytest.mark.parametrize(
    ("layer", "names"),
    [(ByWidth, ("scale_by_model_width",)), (Merged, ("scale_by_model_width", "heads_merged_without_transpose"))],
)
def test_the_faults_of_a_layer_are_named(layer, names):
    diagnosis = diagnose(layer, "multihead")
    assert diagnosis.names == names
    assert diagnosis.difference is not None
    assert (diagnosis.difference.step, diagnosis.difference.right_before) == ("scaled", ("scores",))


@pytest.fixture(scope="module")
def unknown() -> dict[str, Any]:
    """What is said of a layer that nothing explains; in a process without type checks, as all hypotheses are tried."""
    code = f"""
import json
from {__name__} import Unknown, diagnose
print(json.dumps(diagnose(Unknown, "multihead").as_dict()))
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(ran.stdout)


def test_an_unknown_layer_gets_no_name_but_the_first_value_that_differs(unknown):
    assert (unknown["verdict"], unknown["faults"]) == ("wrong", [])
    assert (unknown["difference"]["step"], unknown["difference"]["right_before"]) == ("output", [])


@pytest.mark.parametrize("layer", [ByWidth, Unknown])
def test_the_counterexample_of_a_layer_can_be_pasted(layer, unknown):
    said = unknown if layer is Unknown else diagnose(layer, "multihead").as_dict()
    example = said["counterexample"]
    assert example["inputs"].startswith("# a layer of width 15 with 3 heads; ")
    pasted = {}
    exec(example["inputs"], {"torch": torch}, pasted)
    for made, shown in ((layer(15, 3), example["yours"]), (Layer(15, 3), example["expected"])):
        fill_parameters(made.eval())
        output = made(pasted["x"], pasted.get("mask"))
        np.testing.assert_allclose(output[0].detach().numpy(), shown, atol=1e-4)


def state(layer):
    return {name: (id(p), p.clone(), p.grad, p.requires_grad) for name, p in layer.named_parameters()}


@pytest.mark.parametrize("make", [Layer, Merged])
@pytest.mark.parametrize("training", [True, False])
def test_the_layer_of_the_caller_is_left_as_it_was(make, training):
    layer = make(15, 3).train(training).double()
    layer(torch.randn(2, 5, 15, dtype=torch.float64)).sum().backward()
    layer.k_proj.bias.requires_grad_(False)
    before, gradients = state(layer), {name: copy.copy(p.grad) for name, p in layer.named_parameters()}
    torch.manual_seed(5)
    drawn = torch.get_rng_state()
    diagnose(layer, "multihead")
    assert torch.equal(torch.get_rng_state(), drawn)
    assert [module.training for module in layer.modules()] == [training] * 6
    for name, (identity, value, gradient, wants) in state(layer).items():
        assert identity == before[name][0]
        assert torch.equal(value, before[name][1])
        assert gradient is before[name][2]
        assert gradient is None or torch.equal(gradient, gradients[name])
        assert wants == before[name][3]


def test_an_object_is_judged_with_its_own_sizes():
    diagnosis = diagnose(ByWidth(24, 4), "multihead")
    assert diagnosis.names == ("scale_by_model_width",)
    assert diagnosis.called_with == "plain: x (2, 7, 24)"


def test_names_of_parameters_and_classes_do_not_matter():
    class HeadsReversed(Merged):
        """Tiled heads, bias dropped."""

        def __init__(self, d_model, h, p=0.1):
            super().__init__(d_model, h, p)
            self.q, self.k, self.v, self.out = self.q_proj, self.k_proj, self.v_proj, self.o_proj
            del self.q_proj, self.k_proj, self.v_proj, self.o_proj

        def forward(self, x, m=None):
            self.__dict__ |= {"q_proj": self.q, "k_proj": self.k, "v_proj": self.v, "o_proj": self.out}
            return super().forward(x, m)

    one, other = (diagnose(layer, "multihead").as_dict() for layer in (HeadsReversed, Merged))
    assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_what_cannot_be_built_is_told_with_the_reason():
    class Picky(Layer):
        def __init__(self, embed_dim, num_heads, colour):
            raise ValueError("no such colour")

    diagnosis = diagnose(Picky, "multihead")
    assert diagnosis.verdict == "unjudged"
    assert "raises ValueError: no such colour" in diagnosis.reason
    assert diagnose(Layer(15, 3), "cross").reason == (
        "its forward takes no second input; cross-attention is forward(x, context)."
    )


def test_the_diagnosis_of_a_layer_is_plain_data():
    assert json.loads(json.dumps(diagnose(Merged, "multihead").as_dict(), allow_nan=False))["verdict"] == "wrong"
