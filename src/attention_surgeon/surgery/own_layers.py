"""The way into the layers of this package: their circuit."""

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from attention_surgeon.errors import SurgeryError
from attention_surgeon.nn.layer import AttentionLayer
from attention_surgeon.ops import Circuit, Operands, Steps
from attention_surgeon.surgery.call import AttentionCall
from attention_surgeon.surgery.layers import Layer
from attention_surgeon.surgery.table import patient_of


def connect(layer: Layer) -> Callable[[], None]:
    """Make a layer call us; return what makes it as it was."""
    module = layer.module
    assert isinstance(module, AttentionLayer)
    own = module.circuit
    module.circuit = _operated(layer, module, own)

    def put_back() -> None:
        module.circuit = own

    return put_back


def _operated(layer: Layer, module: AttentionLayer, own: Circuit) -> Circuit:
    """Return a circuit whose steps hand over what the operating table gives for the whole call.

    The steps of one call come one after the other with the same operands, so the result is made by the first one and
    kept until the last one takes it.
    """
    results: dict[int, Steps] = {}

    def score(operands: Operands) -> Tensor:
        results[id(operands)] = _attend(layer, module, own, operands)
        return results[id(operands)].scores

    def step(name: str) -> Callable[[Tensor, Operands], Tensor]:
        return lambda previous, operands: getattr(results[id(operands)], name)

    def combine(weights: Tensor, operands: Operands) -> Tensor:
        return results.pop(id(operands)).output

    return own.replace(
        assign=Circuit().assign,
        pattern=Circuit().pattern,
        score=score,
        scale=step("scaled"),
        mask=step("masked"),
        normalise=step("weights"),
        combine=combine,
    )


def _attend(layer: Layer, module: AttentionLayer, own: Circuit, operands: Operands) -> Steps:
    if module.training and module.dropout:
        raise SurgeryError(f"layer {layer.name} drops weights at random while training; call model.eval() first.")

    def own_output(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        working = operands.query.dtype
        given = replace(operands, query=query.to(working), key=key.to(working), value=value.to(working))
        return own.steps(given).output.to(operands.dtype).transpose(-3, -2)  # (..., heads, q, d) -> (..., q, heads, d)

    call = AttentionCall(
        layer=layer,
        query=operands.query.to(operands.dtype),
        key=operands.key.to(operands.dtype),
        value=operands.value.to(operands.dtype),
        mask=operands.allowed,
        bias=operands.bias,
        circuit=own,
        own=own_output,
    )
    output, sight = patient_of(module).attend(call)
    return sight.steps()._replace(output=output.transpose(-3, -2))
