"""The way into a module that attends by code of its own: a model outside the registry, of PyTorch, or somebody's own.

While it is operated on, the module's `forward` runs with each torch function watched. Where the product of weights and
values is taken, what the operating table gives stands in its place. Nothing is taken on trust: the attention that was
followed is computed again by hand, and must give what the module's own code gave, or the call is refused.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, final

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from attention_surgeon.errors import SurgeryError
from attention_surgeon.surgery.call import AttentionCall
from attention_surgeon.surgery.healthy import healthy_circuit
from attention_surgeon.surgery.layers import Layer
from attention_surgeon.surgery.lineage import Attention, Ledger, Product, Weights, attention_of, by_head, product_of
from attention_surgeon.surgery.table import patient_of, require_agreement

_DROPOUT = frozenset({"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_dropout"})


def connect(layer: Layer) -> Callable[[], None]:
    """Make a module call us; return what makes it as it was."""
    module = layer.module
    own, is_set = module.forward, "forward" in vars(module)

    def forward(*given: Any, **named: Any) -> Any:
        with _Watch(layer):
            return own(*given, **named)

    module.forward = forward
    _FAST_PATH.close()

    def put_back() -> None:
        if is_set:
            module.forward = own
        else:
            del module.forward
        _FAST_PATH.open_again()

    return put_back


@final
class _FastPath:
    """PyTorch's way around attention: whole layers in one call. It is closed while a module is watched."""

    def __init__(self) -> None:
        self._num_watched, self._was_on = 0, True

    def close(self) -> None:
        if not self._num_watched:
            self._was_on = torch.backends.mha.get_fastpath_enabled()
            torch.backends.mha.set_fastpath_enabled(False)
        self._num_watched += 1

    def open_again(self) -> None:
        self._num_watched -= 1
        if not self._num_watched:
            torch.backends.mha.set_fastpath_enabled(self._was_on)


_FAST_PATH = _FastPath()


@final
class _Watch(TorchFunctionMode):
    """One run of a module's `forward`."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self._layer = layer
        self._ledger = Ledger()
        self._calls = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if func is functional.multi_head_attention_forward:
            return self._through_torch(func, args, named)
        result = func(*args, **named)
        name = getattr(func, "__name__", "")
        if func is functional.scaled_dot_product_attention:
            return self._ended_in_one(func, args, named, result)
        if (product := product_of(name, args, named)) is not None:
            for weights, value, is_first in ((product.left, product.right, True), (product.right, product.left, False)):
                known = self._ledger.of(weights)
                if isinstance(known, Weights) and is_first:
                    return self._ended(known, value, product, result)
        if name in _DROPOUT:
            self._refuse_dropout(args, named)
        self._ledger.note(name, args, named, result)
        return result

    def _refuse_dropout(self, args: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        share = named.get("p", args[1] if len(args) > 1 else 0.5)
        is_on = named.get("training", args[2] if len(args) > 2 else True)
        if share and is_on:
            raise _dropped(self._layer)

    def _ended(self, weights: Weights, value: Tensor, product: Product, result: Tensor) -> Tensor:
        """Return what is to stand in the place of weights times value."""
        found = attention_of(weights, value, self._layer.num_heads)
        if found is None:
            return result
        order = product.order
        whole = result if order is None else result.permute([order.index(axis) for axis in range(len(order))])
        output = self._attend(found, by_head(whole, self._layer.num_heads))
        output = output.reshape(whole.shape)
        return output if order is None else output.permute(order)

    def _ended_in_one(self, func: Any, args: tuple[Any, ...], named: Mapping[str, Any], result: Tensor) -> Tensor:
        """Return what is to stand in the place of `scaled_dot_product_attention`."""
        bound = inspect.signature(_as_documented).bind(*args, **named)
        bound.apply_defaults()
        given = bound.arguments
        if given["dropout_p"]:
            raise _dropped(self._layer)
        query, key, value = (by_head(given[name], self._layer.num_heads) for name in ("query", "key", "value"))
        shape = (*given["query"].shape[:-1], key.shape[-2])
        allowed, bias = _read(given["attn_mask"], shape, self._layer.num_heads)
        if given["is_causal"]:
            lower = torch.ones(shape[-2:], dtype=torch.bool, device=query.device).tril()
            allowed = lower if allowed is None else allowed & lower
        scaling = given["scale"] or 1 / math.sqrt(query.shape[-1])
        found = Attention(query, key, value, allowed, bias, float(scaling))

        def again(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            return by_head(func(query, key, value, **{**named, "attn_mask": given["attn_mask"]}), None)

        return self._attend(found, by_head(result, self._layer.num_heads), again).reshape(result.shape)

    def _through_torch(self, func: Any, args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """Return what is to stand in the place of PyTorch's whole attention, projections included."""
        own = func(*args, **named)
        bound = inspect.signature(func).bind(*args, **named)
        bound.apply_defaults()
        given = bound.arguments
        if given["training"] and given["dropout_p"]:
            raise _dropped(self._layer)
        found = _from_torch(given)
        gathered = found.output(found.query, found.key, found.value)
        self._require_own(_project(gathered, given), own[0])
        output = self._attend(found, gathered)
        return own if output is gathered else (_project(output, given), own[1])

    def _require_own(self, ours: Tensor, own: Tensor) -> None:
        if not torch.allclose(ours, own, rtol=1e-4, atol=1e-4 * float(own.detach().abs().max()), equal_nan=True):
            raise SurgeryError(
                f"layer {self._layer.name}: our attention does not reproduce that of nn.MultiheadAttention here; "
                f"nothing is operated on."
            )

    def _attend(
        self, found: Attention, own: Tensor, again: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    ) -> Tensor:
        """Return what the operating table gives for an attention that was followed, `(batch, heads, n_q, d_v)`."""
        self._calls += 1
        if self._calls > 1:
            raise SurgeryError(
                f"layer {self._layer.name} attends {self._calls} times in one run of "
                f"{type(self._layer.module).__name__}, and which of them is meant cannot be told; nothing is "
                f"operated on."
            )
        by_position = own.transpose(-3, -2)  # (..., heads, q, v) -> (..., q, heads, v)

        def own_output(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            if query is found.query and key is found.key and value is found.value:
                return by_position
            if found.depends and (query is not found.query or key is not found.key):
                raise SurgeryError(
                    f"layer {self._layer.name} adds to its scores what depends on its queries and keys, so other "
                    f"queries and keys cannot be put in; patch z, v or the pattern."
                )
            return (again or found.output)(query, key, value).transpose(-3, -2)

        call = AttentionCall(
            layer=self._layer,
            query=found.query,
            key=found.key,
            value=found.value,
            mask=found.allowed,
            bias=found.bias,
            circuit=healthy_circuit(found.scaling, found.query.shape[-1], cap=found.cap),
            own=own_output,
            scaling=found.scaling,
        )
        require_agreement(call, call.output(call.circuit, call.steps(call.circuit)), by_position)
        output, _ = patient_of(self._layer.module).attend(call)
        return own if output is by_position else output.transpose(-3, -2)


def _dropped(layer: Layer) -> SurgeryError:
    return SurgeryError(f"layer {layer.name} drops weights at random while training; call model.eval() first.")


def _as_documented(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> None:
    """Take the arguments of `scaled_dot_product_attention`, which has no signature to be asked for."""


def _read(mask: Tensor | None, shape: tuple[int, ...], num_heads: int | None) -> tuple[Tensor | None, Tensor | None]:
    """Return who may attend, and what is added, of a mask of PyTorch's function; each `(batch, heads, n_q, n_k)`."""
    if mask is None:
        return None, None
    laid = by_head(mask.expand(shape), num_heads)
    if mask.dtype == torch.bool:
        return laid, None
    allowed = laid > max(torch.finfo(mask.dtype).min, torch.finfo(torch.bfloat16).min)
    bias = laid.masked_fill(~allowed, 0.0)
    return (None if allowed.all() else allowed), (bias if bias.any() else None)


def _from_torch(given: Mapping[str, Any]) -> Attention:
    """Return the attention of a call of `multi_head_attention_forward`.

    Raises:
        SurgeryError: keys or values that were made before it is called.
    """
    if given["static_k"] is not None or given["static_v"] is not None:
        raise SurgeryError("nn.MultiheadAttention was given static keys or values, which are not read here.")
    query, key, value = (_batched(given[name]) for name in ("query", "key", "value"))
    heads, bias = given["num_heads"], given["in_proj_bias"]
    matrices = (given["q_proj_weight"], given["k_proj_weight"], given["v_proj_weight"])
    if not given["use_separate_proj_weight"]:
        matrices = given["in_proj_weight"].chunk(3)
    biases = (None, None, None) if bias is None else bias.chunk(3)
    parts = [functional.linear(*one) for one in zip((query, key, value), matrices, biases, strict=True)]
    count = query.shape[1]
    for at, extra in ((1, given["bias_k"]), (2, given["bias_v"])):
        if extra is not None:
            parts[at] = torch.cat([parts[at], extra.repeat(1, count, 1)])
    if given["add_zero_attn"]:
        parts[1:] = [torch.cat([one, torch.zeros_like(one[:1])]) for one in parts[1:]]
    query, key, value = (one.unflatten(-1, (heads, -1)).permute(1, 2, 0, 3) for one in parts)
    allowed, added = _masks_of_torch(given, (count, heads, query.shape[-2], key.shape[-2]))
    return Attention(query, key, value, allowed, added, 1 / math.sqrt(query.shape[-1]))


def _masks_of_torch(given: Mapping[str, Any], shape: tuple[int, ...]) -> tuple[Tensor | None, Tensor | None]:
    """Return who may attend, and what is added: there, True hides, and extra keys are seen by all."""
    batch, heads, n_q, _ = shape
    allowed = torch.ones(shape, dtype=torch.bool)
    added = torch.zeros(shape)
    padding, mask = given["key_padding_mask"], given["attn_mask"]
    laid = []
    if padding is not None:
        laid.append(padding.reshape(-1, 1, 1, padding.shape[-1]))
    if mask is not None:
        laid.append(mask if mask.ndim == 2 else mask.unflatten(0, (batch, heads)))
    for one in laid:
        one = one.expand(batch, heads, n_q, one.shape[-1])
        seen = ~one if one.dtype == torch.bool else one > torch.finfo(torch.bfloat16).min
        width = one.shape[-1]
        allowed[..., :width] &= seen.to(allowed.device)
        if one.dtype != torch.bool:
            added[..., :width] += one.masked_fill(~seen, 0.0).to(added)
    return (None if allowed.all() else allowed), (added if added.any() else None)


def _batched(given: Tensor) -> Tensor:
    return given if given.ndim == 3 else given.unsqueeze(1)


def _project(gathered: Tensor, given: Mapping[str, Any]) -> Tensor:
    """Return what PyTorch's attention gives of what the heads gathered, `(n, batch, width)`, or without batch."""
    merged = gathered.permute(2, 0, 1, 3).flatten(-2)  # (b, h, n, d) -> (n, b, h * d)
    projected = functional.linear(merged, given["out_proj_weight"], given["out_proj_bias"])
    return projected if given["query"].ndim == 3 else projected.squeeze(1)
