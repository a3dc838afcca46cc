"""Targets whose faults are known: for every contract, a right circuit or one with faults, behind a usual signature."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from torch import Tensor, nn

from attention_surgeon.errors import OptionError
from attention_surgeon.faults import Fault, Wrapping, with_faults
from attention_surgeon.masks import causal_mask
from attention_surgeon.ops import Circuit, Linears, Operands, attention_dropout
from attention_surgeon.testing import Contract, make_contract
from attention_surgeon.testing.function_cases import MaskMeaning
from attention_surgeon.testing.layer.parameters import Affine

Target: TypeAlias = Callable[..., Any]

Build: TypeAlias = Callable[[Circuit], Target]

_PACKED = ("query", "key", "value")


@dataclass(frozen=True)
class LayerPlan:
    """What a patient layer is made of.

    Attributes:
        kind: Of `LayerContract`.
        mask: What a mask means to it.
        is_packed: Whether query, key and value come out of one matrix.
        drops_rescaled: Whether what dropout leaves in training is made larger.
    """

    kind: str
    mask: MaskMeaning = "keep"
    is_packed: bool = False
    drops_rescaled: bool = True


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of target: a contract with its options, and how a circuit becomes a target.

    Attributes:
        name: As it is shown, `attention, hide`.
        contract: Name of the contract.
        options: Of the contract.
        circuit: What is right, as a circuit.
        build: `circuit -> target`, for functions.
        layer: What a layer of this kind is made of.
        adapt: `function -> target`, where the contract has another calling convention.
        cannot_have: Faults that this kind cannot have, whatever its family can.
        is_special: Whether it differs so little from another kind that a quick round leaves it out.
    """

    name: str
    contract: str
    circuit: Callable[[Contract], Circuit]
    build: Build | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    layer: LayerPlan | None = None
    adapt: Callable[[Target], Target] | None = None
    cannot_have: frozenset[str] = frozenset()
    is_special: bool = False

    def make_contract(self) -> Contract:
        """Return the contract, with its options."""
        return make_contract(self.contract, **self.options)


def target_with(kind: Kind | str, faults: Iterable[Fault] = ()) -> Target:
    """Return a target of this kind that has exactly these faults.

    Args:
        kind: A `Kind`, or the name of one.
        faults: Any that can be together in one circuit; those that no circuit can have are put around the target.

    Raises:
        OptionError: there is no kind of that name.

    >>> from attention_surgeon.diagnose import diagnose
    >>> from attention_surgeon.faults import find_fault
    >>> diagnose(target_with("multihead", [find_fault("heads_reversed")]), "multihead").names
    ('heads_reversed',)
    """
    kind, faults = find_kind(kind) if isinstance(kind, str) else kind, tuple(faults)
    at_training = {fault.name for fault in faults if fault.name == "dropout_not_rescaled"}
    circuit = with_faults(kind.circuit(kind.make_contract()), (f for f in faults if f.name not in at_training))
    wrappings = [fault.wrap for fault in faults if fault.operate is None and fault.wrap is not None]
    if kind.layer is not None:
        plan = LayerPlan(kind.layer.kind, kind.layer.mask, kind.layer.is_packed, drops_rescaled=not at_training)
        return make_layer(plan, circuit, wrappings)
    assert kind.build is not None
    target = functools.reduce(_wrapped, wrappings, kind.build(circuit))
    return target if kind.adapt is None else kind.adapt(target)


def _wrapped(function: Target, wrapping: Wrapping) -> Target:
    return functools.update_wrapper(wrapping(function), function)


def kinds_of(contract: str | None = None, *, special: bool = True) -> tuple[Kind, ...]:
    """Return the kinds of one contract, or of all.

    Args:
        contract: Its name, or None.
        special: Whether those are among them that a quick round leaves out.

    Raises:
        OptionError: there is no kind of such a contract.
    """
    contracts = dict.fromkeys(kind.contract for kind in KINDS)
    if contract is not None and contract not in contracts:
        raise OptionError(f"the doctor knows no contract {contract!r}; expected one of {', '.join(contracts)}.")
    return tuple(k for k in KINDS if contract in (None, k.contract) and (special or not k.is_special))


def kind_under(contract: str, options: Mapping[str, Any]) -> Kind:
    """Return a kind of target that is right under a contract with these options.

    Args:
        contract: Its name.
        options: Of the contract; of the kinds that are made with no other, the one is taken that shares most of them.

    Raises:
        OptionError: there is no kind of such a contract, or none with these options.

    >>> kind_under("padding_mask", {"source": "tokens"}).name
    'padding_mask, tokens'
    """
    fitting = [kind for kind in kinds_of(contract) if {**options, **kind.options} == {**kind.options, **options}]
    if not fitting:
        raise OptionError(f"the doctor has no targets for the contract {contract!r} with {dict(options)}.")
    kind = max(fitting, key=lambda kind: len(options.items() & kind.options.items()))
    return dataclasses.replace(kind, options={**kind.options, **options})


def find_kind(name: str) -> Kind:
    """Return the kind of that name.

    Raises:
        OptionError: there is none.
    """
    for kind in KINDS:
        if kind.name == name:
            return kind
    raise OptionError(f"there is no kind {name!r}; the kinds are {', '.join(kind.name for kind in KINDS)}.")


def _own(contract: Any) -> Circuit:
    return contract.circuit()


def _functions(name: str, meaning: str) -> tuple[Kind, Kind]:
    options = MappingProxyType({"mask": meaning})
    return (
        Kind(name, "attention", _own, make_attention(meaning), options),
        Kind(f"{name}, NumPy", "attention", _own, make_numpy_attention(meaning), options, cannot_have=_NOT_IN_NUMPY),
    )


def _layer(name: str, *, is_packed: bool = False, is_special: bool = False) -> Kind:
    plan, shown = LayerPlan(name, is_packed=is_packed), f"{name}, packed" if is_special else name
    return Kind(shown, name, _own, layer=plan, is_special=is_special)


def _masks(name: str, build: Build, **options: str) -> Kind:
    """Return masks that are to be added: of a mask of 0s and 1s, only a declared meaning can be wrong."""
    align: Any = options.get("align", "end")
    right = Circuit() if name == "padding_mask" else causal_circuit(align)
    shown = ", ".join([name, *options.values()])
    return Kind(shown, name, lambda contract: right, build, MappingProxyType({"mask": "additive", **options}))


_NOT_IN_NUMPY = frozenset({"cuts_gradient", "wrong_dtype"})


def _attend(circuit: Circuit, operands: Sequence[Tensor], mask: Tensor | None, meaning: Any, scale: bool) -> Any:
    """Run the circuit in float32 at least, and round to the dtype that came in."""
    dtype = operands[0].dtype
    query, key, value = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in operands)
    allowed, bias = read_mask(mask, meaning)
    first, second = circuit.run(Operands(query, key, value, allowed, bias, dtype), scale=scale)
    return first.to(dtype), second.to(dtype)


def make_attention(meaning: str) -> Build:
    """Return what makes an attention function in torch whose mask means this."""

    def build(circuit: Circuit) -> Target:
        def attention(Q: Tensor, K: Tensor, V: Tensor, mask: Tensor | None = None, scale: bool = True) -> Any:
            return _attend(circuit, (Q, K, V), mask, meaning, scale)

        return attention

    return build


def make_numpy_attention(meaning: str) -> Build:
    """Return what makes an attention function of arrays."""

    def build(circuit: Circuit) -> Target:
        def attention(Q: Any, K: Any, V: Any, mask: Any = None, scale: bool = True) -> Any:
            tensors = [torch.from_numpy(x) for x in (Q, K, V)]
            given = None if mask is None else torch.from_numpy(mask)
            return tuple(x.numpy() for x in _attend(circuit, tensors, given, meaning, scale))

        return attention

    return build


def make_causal_attention(circuit: Circuit) -> Target:
    """Return an attention function without a mask argument."""

    def attention(Q: Tensor, K: Tensor, V: Tensor) -> Any:
        return _attend(circuit, (Q, K, V), None, "keep", True)

    return attention


def as_in_transformers(attention: Target) -> Target:
    """Return the same function as models of Hugging Face transformers call it."""

    def forward(module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **options: Any) -> Any:
        output, weights = attention(query, key, value, attention_mask)
        return output.transpose(1, 2), weights  # (b, h, n, d) -> (b, n, h, d)

    return forward


def make_softmax(circuit: Circuit) -> Target:
    """Let the circuit score √d x against unit vectors; as values, they gather the weights themselves."""

    def softmax(x: Tensor) -> Tensor:
        eye = torch.eye(x.shape[-1], dtype=x.dtype)
        key = eye.expand(*x.shape[:-2], *eye.shape)
        return circuit.steps(Operands(x * x.shape[-1] ** 0.5, key, key, None, None, x.dtype)).output

    return softmax


def make_statistics(circuit: Circuit) -> Target:
    """Return a function of weights that gives the circuit's four numbers."""
    return lambda weights: {name: number.item() for name, number in circuit.measure(weights).items()}


def read_mask(mask: Tensor | None, meaning: MaskMeaning) -> tuple[Tensor | None, Tensor | None]:
    """Take a mask apart into who may attend and what is added."""
    if mask is None:
        return None, None
    if meaning == "additive":
        hidden = mask <= torch.finfo(mask.dtype).min
        return ~hidden, mask.masked_fill(hidden, 0.0)
    return (mask.bool() if meaning == "keep" else ~mask.bool()), None


def causal_circuit(align: Literal["end", "start"] = "end") -> Circuit:
    """Return the circuit of a mask that hides the future."""
    return Circuit(pattern=lambda num_queries, num_keys: causal_mask(num_queries, num_keys, align=align).dense())


def make_causal_mask(circuit: Circuit) -> Callable[..., Tensor]:
    """Return `f(n)` and `f(n_q, n_k)`: what the circuit adds to scores of zero."""

    def mask(n_q: int, n_k: int | None = None) -> Tensor:
        query, key = torch.zeros(n_q, 1), torch.zeros(n_k or n_q, 1)
        return circuit.steps(Operands(query, key, key, None, None, torch.float32)).masked

    return mask


def make_reverse_mask(circuit: Circuit) -> Callable[[int], Tensor]:
    """Return `f(n)`: the causal mask turned over along both axes, and any mistake with it."""
    causal = make_causal_mask(circuit)
    return lambda n: causal(n).flip(-2, -1)


def make_padding_mask(circuit: Circuit, source: Literal["lengths", "tokens"] = "lengths") -> Callable[..., Tensor]:
    """Return `f(lengths, n)` or `f(tokens, pad_id)`: what the circuit adds to scores of zero."""

    def mask(allowed: Tensor) -> Tensor:
        x = torch.zeros(*allowed.shape, 1)
        hidden_from_all = allowed[:, None].expand(-1, allowed.shape[1], -1)
        return circuit.steps(Operands(x, x, x, hidden_from_all, None, torch.float32)).masked

    def of_lengths(lengths: Tensor, n: int) -> Tensor:
        return mask(torch.arange(n) < lengths[:, None])

    def of_tokens(tokens: Tensor, pad_id: Any) -> Tensor:
        return mask(tokens != pad_id)

    return of_lengths if source == "lengths" else of_tokens


KINDS: tuple[Kind, ...] = (
    Kind("softmax", "softmax", lambda contract: Circuit(), make_softmax),
    *_functions("attention", "keep"),
    *_functions("attention, hide", "hide"),
    *_functions("attention, additive", "additive"),
    Kind(
        "attention, unscaled",
        "attention",
        _own,
        make_attention("keep"),
        MappingProxyType({"scaled": False}),
        is_special=True,
    ),
    Kind("causal_attention", "causal_attention", _own, make_causal_attention),
    Kind(
        "causal_attention, start",
        "causal_attention",
        _own,
        make_causal_attention,
        MappingProxyType({"align": "start"}),
    ),
    Kind("transformers", "transformers", _own, make_attention("additive"), adapt=as_in_transformers, is_special=True),
    *(_layer(name) for name in ("simple", "self", "multihead")),
    _layer("multihead", is_packed=True, is_special=True),
    _layer("causal_multihead", is_packed=True),
    *(_layer(name) for name in ("cross", "grouped", "multiquery")),
    _masks("causal_mask", make_causal_mask),
    _masks("causal_mask", make_causal_mask, align="start"),
    _masks("reverse_mask", make_reverse_mask),
    _masks("padding_mask", make_padding_mask),
    _masks("padding_mask", functools.partial(make_padding_mask, source="tokens"), source="tokens"),
    Kind("statistics", "statistics", lambda contract: Circuit(), make_statistics),
)


def make_layer(plan: LayerPlan, circuit: Circuit, wrappings: Sequence[Wrapping] = ()) -> type[nn.Module]:
    """Return a class of layers that run the circuit, their forward wrapped."""
    forward = functools.reduce(_wrapped_layer, wrappings, _FORWARDS.get(plan.kind, _forward_masked))
    return type(f"{plan.kind.title()}Patient", (_Layer,), {"plan": plan, "circuit": circuit, "forward": forward})


class _Layer(nn.Module):
    """Projections, and the circuit between them; every kind of layer adds its own forward."""

    plan: ClassVar[LayerPlan]
    circuit: ClassVar[Circuit]

    def __init__(self, embed_dim: int, num_heads: int, num_kv_heads: int, dropout: float = 0.1) -> None:
        """Build for any of the kinds: those with one head are told so."""
        super().__init__()
        self.num_heads, self.num_kv_heads, self.dropout = num_heads, num_kv_heads, dropout
        shared = embed_dim // num_heads * num_kv_heads
        if self.plan.is_packed:
            self.in_proj = nn.Linear(embed_dim, embed_dim + 2 * shared)
        else:
            self.query = nn.Linear(embed_dim, embed_dim)
            self.key = nn.Linear(embed_dim, shared)
            self.value = nn.Linear(embed_dim, shared)
        self.output = nn.Identity() if self.plan.kind == "simple" else nn.Linear(embed_dim, embed_dim)

    def attend(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run the circuit: `(output, weights)`."""
        circuit, linears = self._circuit(), self._linears()
        query, key, value = circuit.heads(x, context, linears, num_heads=self.num_heads, num_kv_heads=self.num_kv_heads)
        allowed, bias = read_mask(mask, self.plan.mask)
        operands = Operands(query, key, value, allowed, bias, x.dtype, model_size=x.shape[-1])
        gathered, weights = circuit.run(operands)
        if self.num_heads == 1 and weights.ndim == 4:
            weights = weights.squeeze(1)  # (b, 1, n, n) -> (b, n, n): one head has no axis of heads
        return circuit.finish(x, gathered, linears), weights

    def _linears(self) -> Linears:
        if not self.plan.is_packed:
            return {"query": self.query, "key": self.key, "value": self.value, "output": self.output}
        parts = zip(_PACKED, self.in_proj.weight.chunk(3), self.in_proj.bias.chunk(3), strict=True)
        return {"output": self.output, **{role: Affine(weight, bias) for role, weight, bias in parts}}

    def _circuit(self) -> Circuit:
        """Return the circuit, in training with dropout behind whatever normalises."""
        usual, p = self.circuit.mechanism.normalise, self.dropout
        if not self.training or not p:
            return self.circuit
        drop: Callable[[Tensor], Tensor] = functools.partial(attention_dropout, p=p)
        if not self.plan.drops_rescaled:
            drop = functools.partial(_cut, p=p)
        return self.circuit.replace(normalise=lambda masked, operands: drop(usual(masked, operands)))


def _cut(weights: Tensor, p: float) -> Tensor:
    return weights * torch.empty_like(weights).bernoulli_(1 - p)


def _forward_alone(self: _Layer, x: Tensor) -> tuple[Tensor, Tensor]:
    return self.attend(x, x)


def _forward_masked(self: _Layer, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    return self.attend(x, x, mask)


def _forward_cross(self: _Layer, x: Tensor, context: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    return self.attend(x, context, mask)


_FORWARDS: MappingProxyType[str, Callable[..., Any]] = MappingProxyType(
    {"simple": _forward_alone, "causal_multihead": _forward_alone, "cross": _forward_cross}
)


def _wrapped_layer(forward: Callable[..., Any], wrapping: Wrapping) -> Callable[..., Any]:
    """Return a forward whose first input, not the layer, is what the wrapping sees first."""
    without_self = wrapping(lambda x, *rest, self, **named: forward(self, x, *rest, **named))

    @functools.wraps(forward)
    def wrapped(self: _Layer, *inputs: Any, **named: Any) -> Any:
        return without_self(*inputs, self=self, **named)

    return wrapped
