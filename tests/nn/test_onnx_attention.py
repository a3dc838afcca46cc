"""ONNX's own cases for `Attention`, opset 23 to 25, all through one public function, whose calls are counted."""

import functools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from attention_surgeon import nn as ours
from attention_surgeon.errors import OptionError, ShapeError
from attention_surgeon.nn import onnx_attention

INPUTS = ("Q", "K", "V", "attn_mask", "past_key", "past_value", "nonpad_kv_seqlen")
LEAST = 90
"""Cases that onnx 1.23 brings; fewer would mean that they are no longer found."""


@functools.cache
def cases() -> dict[str, Any]:
    from onnx.backend.test.case.node import collect_testcases

    with np.errstate(all="ignore"):
        found = collect_testcases("Attention")
    return {case.name: case for case in found if case.model is not None and "_expanded" not in case.name}


def as_tensor(array: Any) -> Tensor:
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.astype(np.float32)).bfloat16()
    return torch.from_numpy(np.array(array))


def in_float64(given: dict[str, Tensor], options: dict[str, Any]) -> list[Any]:
    """Return what onnx's reference says of inputs in float64, as bfloat16 would hold it."""
    import ml_dtypes
    from onnx.reference.ops.op_attention import _compute_attention

    wide = {name: (x.double() if x.is_floating_point() else x).numpy() for name, x in given.items()}
    return [each.astype(ml_dtypes.bfloat16) for each in _compute_attention(**wide, **options)]


def run(case: Any) -> int:
    """Run a case through the public function and compare every output that it names; return how many."""
    import onnx

    (node,) = case.model.graph.node
    options = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    (inputs, expected), *more = case.data_sets
    assert not more
    left = iter(inputs)
    given = {name: as_tensor(next(left)) for name, there in zip(INPUTS, node.input, strict=False) if there}
    assert next(left, None) is None
    made = ours.onnx_attention(**given, **options)
    if given["Q"].dtype == torch.bfloat16:  # the reference rounds after every step: its steps in float64, rounded once
        expected = in_float64(given, options)
    wanted = [each for each, name in zip(made, node.output, strict=False) if name]
    for found, true in zip(wanted, expected, strict=False):
        true = as_tensor(true)
        assert found.dtype == true.dtype
        torch.testing.assert_close(found, true, rtol=case.rtol, atol=case.atol, equal_nan=False)
    return len(wanted)


@pytest.mark.filterwarnings("ignore:Setting the shape on a NumPy array:DeprecationWarning")  # onnx's own, of NumPy 2.5
def test_every_case(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append("call")
        return onnx_attention(*args, **kwargs)

    monkeypatch.setattr(ours, "onnx_attention", counted)
    failed = {}
    for name, case in cases().items():
        try:
            assert run(case)
        except AssertionError as error:
            failed[name] = str(error)
    assert failed == {}
    assert len(calls) == len(cases()) >= LEAST


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"qk_matmul_output_mode": 4}, OptionError, "expected one of 0 .scaled scores., 1"),
        ({"past_key": torch.ones(1, 1, 2, 3)}, OptionError, "go together"),
        ({"K": torch.ones(1, 5, 3)}, ShapeError, "K has shape .1, 5, 3., expected .batch, heads, n, size. for all"),
    ],
)
def test_wrong_calls(options: dict[str, Any], error: type[Exception], message: str) -> None:
    x = torch.ones(1, 1, 5, 3)
    with pytest.raises(error, match=message):
        onnx_attention(**{"Q": x, "K": x, "V": x, **options})
