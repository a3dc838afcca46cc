"""What PyTorch can do with a function or a layer: each feature works with every form of attention, or says why not."""

import copy
import io
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.torch_version import TorchVersion

from attention_surgeon import masks
from attention_surgeon.errors import OptionError, SurgeonError
from attention_surgeon.kernels import tiled_attention
from attention_surgeon.masks import causal_mask
from attention_surgeon.nn import MultiHeadAttention, MultiheadAttention, scaled_dot_product_attention
from attention_surgeon.ops import Mechanism, add_to_scores, attention, keep_top_k, multiply_by, softmax_with_dropout
from tests.nn.compiled_forms import BATCH, BIAS, COMPILED, FORMS, WIDTH, Module, N, given, with_gradients

pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning"),  # torch's own forward mode
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # torch's own exporter
    pytest.mark.filterwarnings("ignore:.*get_attr:UserWarning"),  # the exporter of 2.6 about its own graph
    pytest.mark.filterwarnings("ignore:The given buffer is not writable:UserWarning"),  # torch.export.load of 2.9
]

FUNCTIONS = [name for name in FORMS if not name.startswith("Multi")]


@pytest.fixture(scope="module")
def compiled() -> dict[str, str]:
    """Compile everything in a process of its own: the test hook that checks shapes is nothing that can be traced."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.nn.compiled_forms"], capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_in_one_graph(name: str, compiled: dict[str, str]) -> None:
    assert compiled[name] == "the same"


@pytest.mark.parametrize("name", FORMS)
def test_exported(name: str) -> None:
    exported = torch.export.export(Module(FORMS[name]), tuple(given()), strict=False)  # strictly: compiled_forms
    file = io.BytesIO()
    torch.export.save(exported, file)
    file.seek(0)
    torch.testing.assert_close(torch.export.load(file).module()(*given()), FORMS[name](*given()))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_shapes_alone(name: str) -> None:
    if "scaled" not in name and "added" not in name:
        made = FORMS[name](*(x.to("meta") for x in given()))
        assert (made.device.type, made.shape) == ("meta", (BATCH, N, WIDTH))
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        made = FORMS[name](*(mode.from_tensor(x) for x in given()))
    assert made.shape == (BATCH, N, WIDTH)


@pytest.mark.parametrize("name", FORMS)
def test_torch_func(name: str) -> None:
    form, inputs = FORMS[name], given()
    grads = torch.func.grad(lambda *x: form(*x).square().sum(), (0, 1, 2))(*inputs)
    torch.testing.assert_close(list(grads), with_gradients(form)[1:])
    torch.testing.assert_close(torch.func.vmap(form)(*inputs), form(*inputs))
    moved = torch.func.jvp(form, tuple(inputs), tuple(given()))[1]
    step = 1e-3
    slope = (form(*(x * (1 + step) for x in inputs)) - form(*(x * (1 - step) for x in inputs))) / (2 * step)
    torch.testing.assert_close(moved, slope, rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize("name", [name for name in FORMS if "scaled" in name or name.startswith("Multi")])
def test_autocast_mixes_dtypes(name: str) -> None:
    query, key, value = given()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = FORMS[name](query, key.bfloat16(), value.half() if "tiled" not in name else value)
    assert mixed.dtype == torch.bfloat16
    torch.testing.assert_close(mixed.float(), FORMS[name](query, key, value), rtol=0.05, atol=0.05)


def test_sdpa_casts_under_autocast_as_torch_does() -> None:
    """All three become autocast's dtype before anything is computed, the floating mask too."""
    query, key, value = given()
    with torch.autocast("cpu", torch.bfloat16):
        ours = scaled_dot_product_attention(query, key.bfloat16(), value, BIAS)
    narrow = [x.bfloat16() for x in (query, key, value)]
    torch.testing.assert_close(ours, scaled_dot_product_attention(*narrow, BIAS.bfloat16()), rtol=0, atol=0)


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "usual": lambda: MultiHeadAttention(WIDTH, 2),
    "drop-in": lambda: MultiheadAttention(WIDTH, 2),
    "another scale": lambda: with_mechanism(Mechanism(scale=multiply_by(0.3))),
    "added": lambda: with_mechanism(Mechanism(mask=add_to_scores(BIAS))),
    "top k": lambda: with_mechanism(Mechanism(mask=keep_top_k(2))),
    "dropout": lambda: with_mechanism(Mechanism(normalise=softmax_with_dropout(0.0))),
}


def with_mechanism(mechanism: Mechanism) -> MultiHeadAttention:
    layer = MultiHeadAttention(WIDTH, 2)
    layer.mechanism = mechanism
    return layer


@pytest.mark.parametrize("name", LAYERS)
def test_copied_and_pickled(name: str) -> None:
    layer = LAYERS[name]().eval()
    inputs = given(1) if name != "drop-in" else given()
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        theirs, ours = twin(*inputs), layer(*inputs)
        torch.testing.assert_close(theirs, ours)
        assert repr(twin) == repr(layer)
        assert all(a is not b for a, b in zip(twin.parameters(), layer.parameters(), strict=True))


@pytest.mark.parametrize(
    "mask",
    [
        causal_mask(5) & masks.padding_mask([3], n_k=5),
        ~masks.window_mask(5, size=2),
        masks.document_mask(torch.tensor([0, 0, 1])),
        masks.prefix_mask(5, prefix_len=2).broadcast_to((2, 5, 5)),
    ],
)
def test_masks_are_copied_and_pickled(mask: masks.Mask) -> None:
    for twin in (copy.deepcopy(mask), pickle.loads(pickle.dumps(mask))):
        assert twin == mask
        assert torch.equal(twin.dense(), mask.dense())


def test_the_drop_in_in_torchscript_is_torchs_own_layer_with_its_parameters() -> None:
    layer = MultiheadAttention(WIDTH, 2, kdim=WIDTH, vdim=4).eval()
    scripted = torch.jit.script(layer)
    query, key, value = given()
    torch.testing.assert_close(scripted(query, key, value[..., :4]), layer(query, key, value[..., :4]))
    assert {x.data_ptr() for x in scripted.parameters()} == {x.data_ptr() for x in layer.parameters()}


def test_the_drop_in_may_go_by_the_name_of_torchs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    stock = torch.nn.MultiheadAttention
    monkeypatch.setattr(torch.nn, "MultiheadAttention", MultiheadAttention)
    layer, (query, _, _) = MultiheadAttention(WIDTH, 2).eval(), given()
    assert type(layer.to_torch()) is stock
    assert isinstance(MultiheadAttention.from_torch(layer.to_torch()), MultiheadAttention)
    torch.testing.assert_close(torch.jit.script(layer)(query, query, query), layer(query, query, query))


@pytest.mark.parametrize(
    "what", [attention, tiled_attention, scaled_dot_product_attention, MultiHeadAttention(WIDTH, 2)]
)
def test_torchscript_is_refused(what: Any) -> None:
    with pytest.raises(SurgeonError, match=r"TorchScript .* use torch.compile or torch.export"):
        torch.jit.script(what)


@pytest.mark.parametrize(
    "name", ["attention", "scaled_dot_product_attention", "MultiHeadAttention", "MultiheadAttention"]
)
def test_exported_to_onnx(name: str) -> None:
    from onnx.reference import ReferenceEvaluator

    program = torch.onnx.export(Module(FORMS[name]).eval(), tuple(given()), dynamo=True, verbose=False)
    names = [each.name for each in program.model_proto.graph.input]
    feeds = dict(zip(names, (x.numpy() for x in given()), strict=False))
    (made,) = ReferenceEvaluator(program.model_proto).run(None, feeds)
    torch.testing.assert_close(torch.from_numpy(made), FORMS[name](*given()).detach(), rtol=1e-5, atol=1e-6)


def test_tiles_are_not_exported_to_onnx() -> None:
    says_so = TorchVersion(torch.__version__) >= "2.8"  # before, `torch.onnx.is_in_onnx_export()` was False all along
    said = (
        "ONNX has no operation for attention in tiles" if says_so else "No ONNX function found.*attention_surgeon.tiled"
    )
    with pytest.raises(Exception, match=said) as raised:
        torch.onnx.export(Module(FORMS["tiled_attention"]).eval(), tuple(given()), dynamo=True, verbose=False)
    causes = [raised.value]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    assert any(isinstance(cause, OptionError) for cause in causes) == says_so
