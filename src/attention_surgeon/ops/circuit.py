"""A whole attention layer as data: the five steps, and what stands around them.

    x, context ─ source ─ project ─ split ─ share ─ norm ─ position ─ assign ─→ five steps ─→ merge ─ project ─→ output
                                     pattern, use_scale, cap, bias, sink ↗  ↘ report, measure

`Mechanism` holds what happens between Q, K, V and the output of one head. A layer has more places where it can go
wrong: which vectors are projected, how heads are cut and put together again, which projection serves as the query.
A `Circuit` names each of them, so that any of them can be replaced, alone or together with others:

    >>> import torch
    >>> Q, K, V = torch.ones(1, 2), torch.eye(2), torch.tensor([[1.0], [3.0]])
    >>> Circuit().attend(Q, K, V)[0]
    tensor([[2.]])
    >>> Circuit(assign=lambda query, key, value: (query, key, query)).replace(scale=leave_unscaled).changed()
    ['assign=<lambda>', 'scale=leave_unscaled']

What today's models add is in `ops.positions` and `ops.limits`, and by default not there:

    >>> from attention_surgeon.ops import Rotary, SoftCap
    >>> Circuit(position=Rotary(), cap=SoftCap(50.0)).changed()
    ["position=Rotary(layout='halves', base=10000.0, size=None)", 'cap=SoftCap(cap=50.0)']
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

from jaxtyping import Float
from torch import Tensor

from attention_surgeon.errors import OptionError
from attention_surgeon.ops.heads import merge_heads, share_heads, split_heads
from attention_surgeon.ops.limits import keep_all_weight, leave_lengths, leave_uncapped
from attention_surgeon.ops.measure import measure_weights
from attention_surgeon.ops.operands import MaskLike, Operands, check_operands
from attention_surgeon.ops.positions import add_no_bias, leave_in_place
from attention_surgeon.ops.steps import STEP_NAMES, Mechanism, Step, Steps, leave_unscaled

Linear: TypeAlias = Callable[[Tensor], Tensor]
Linears: TypeAlias = Mapping[str, Linear]
"""The projections of a layer under the names `query`, `key`, `value` and `output`."""

Three: TypeAlias = tuple[Tensor, Tensor, Tensor]


def take_sources(x: Tensor, context: Tensor) -> Three:
    """Make queries from `x`, keys and values from `context`."""
    return x, context, context


def project_by_role(x: Tensor, role: str, linears: Linears) -> Tensor:
    """Apply the projection of that role: `query`, `key`, `value` or `output`."""
    return linears[role](x)


def assign_as_given(query: Tensor, key: Tensor, value: Tensor) -> Three:
    """Let each serve as what it is."""
    return query, key, value


def see_everything(num_queries: int, num_keys: int) -> Tensor | None:
    """Hide nothing by construction; what is hidden comes from the mask of the call."""
    return None


def output_alone(x: Tensor, output: Tensor) -> Tensor:
    """Return the output as it is; what came in is the business of whoever calls."""
    return output


def obey(scale: bool) -> bool:
    """Scale when asked to."""
    return scale


def report_output_and_weights(steps: Steps) -> tuple[Tensor, Tensor]:
    """Return the output and the weights that it was averaged with."""
    return steps.output, steps.weights


@dataclass(frozen=True)
class Circuit:
    """Attention from the vectors that come in to the values that go out, every part replaceable.

    Attributes:
        mechanism: The five steps, `ops.Mechanism`.
        source: `(x, context) -> (for queries, for keys, for values)`.
        project: `(x, role, linears) -> projected`; roles are `query`, `key`, `value`, `output`.
        split: `(x, num_heads) -> (*batch, heads, n, size)`.
        share: `(x, num_heads) -> x` with every key/value head repeated for its query heads.
        norm: `(Q, K) -> (Q, K)`, what makes them of one length.
        position: `(Q, K, V) -> (Q, K, V)`, what tells them where they stand.
        assign: `(Q, K, V) -> (Q, K, V)`, which of the three serves as which.
        pattern: `(n_q, n_k) -> boolean mask or None`, what the attention hides by construction.
        use_scale: `(asked) -> whether` the scale step is taken, for functions with a `scale` switch.
        cap: `(scaled, operands) -> scaled`, what limits the scores, after the scale and before bias and mask.
        bias: `operands -> (heads, n_q, n_k) or None`, what is added to the scores by construction, before the mask.
        sink: `(weights, masked, operands) -> weights`, what part of each row goes to no key.
        merge: `(*batch, heads, n, size) -> (*batch, n, heads * size)`.
        join: `(x, output) -> output`, what becomes of the layer's input in its output.
        report: `Steps -> (first, second)` of what is returned.
        measure: `weights -> {name: number}`, what is said about the weights.
    """

    mechanism: Mechanism = dataclasses.field(default_factory=Mechanism)
    source: Callable[[Tensor, Tensor], Three] = take_sources
    project: Callable[[Tensor, str, Linears], Tensor] = project_by_role
    split: Callable[[Tensor, int], Tensor] = split_heads
    share: Callable[[Tensor, int], Tensor] = share_heads
    norm: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = leave_lengths
    position: Callable[[Tensor, Tensor, Tensor], Three] = leave_in_place
    assign: Callable[[Tensor, Tensor, Tensor], Three] = assign_as_given
    pattern: Callable[[int, int], Tensor | None] = see_everything
    use_scale: Callable[[bool], bool] = obey
    cap: Step = leave_uncapped
    bias: Callable[[Operands], Tensor | None] = add_no_bias
    sink: Callable[[Tensor, Tensor, Operands], Tensor] = keep_all_weight
    merge: Callable[[Tensor], Tensor] = merge_heads
    join: Callable[[Tensor, Tensor], Tensor] = output_alone
    report: Callable[[Steps], tuple[Tensor, Tensor]] = report_output_and_weights
    measure: Callable[[Tensor], dict[str, Tensor]] = measure_weights

    def replace(self, **parts: Any) -> "Circuit":
        """Return a copy with the named parts replaced; the names of the five steps reach into the mechanism.

        Raises:
            OptionError: a name that is neither a part nor a step.
        """
        own = vars(self)
        unknown = parts.keys() - own.keys() - set(STEP_NAMES)
        if unknown:
            raise OptionError(
                f"Circuit has no part {min(unknown)!r}; the parts are {', '.join([*sorted(own), *STEP_NAMES])}."
            )
        steps = {name: parts.pop(name) for name in STEP_NAMES if name in parts}
        if steps:
            parts["mechanism"] = parts.get("mechanism", self.mechanism).replace(**steps)
        return Circuit(**{**own, **parts})  # `dataclasses.replace` takes three times as long

    def attend(
        self,
        Q: Float[Tensor, "*_batch q d"],
        K: Float[Tensor, "*_batch k d"],
        V: Float[Tensor, "*_batch k v"],
        mask: MaskLike | None = None,
        scale: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """Return what the circuit reports for one call, `(output, weights)` unless `report` says otherwise.

        Arguments, shapes and errors as for `attention`.
        """
        first, second = self.run(check_operands(Q, K, V, mask, caller="Circuit"), scale=scale)
        return first.to(Q.dtype), second.to(Q.dtype)

    def run(self, operands: Operands, *, scale: bool = True) -> tuple[Tensor, Tensor]:
        """Run on checked operands, in working precision."""
        return self.report(self.steps(operands, scale=scale))

    def steps(self, operands: Operands, *, scale: bool = True) -> Steps:
        """Norm, place and assign the operands, apply the pattern and run the five steps."""
        query, key = self.norm(operands.query, operands.key)
        query, key, value = self.assign(*self.position(query, key, operands.value))
        allowed, pattern = operands.allowed, self.pattern(operands.query.shape[-2], operands.key.shape[-2])
        if pattern is not None:
            allowed = pattern if allowed is None else allowed & pattern
        given = Operands(query, key, value, allowed, operands.bias, operands.dtype, operands.model_size)
        mechanism = self.mechanism if self.use_scale(scale) else self.mechanism.replace(scale=leave_unscaled)
        return self._with_limits(mechanism).steps(given)

    def _with_limits(self, mechanism: Mechanism) -> Mechanism:
        """Put cap and bias in front of the mask step, and the sink behind the normalise step, where there are any."""
        if self.cap is leave_uncapped and self.bias is add_no_bias and self.sink is keep_all_weight:
            return mechanism
        mask, normalise = mechanism.mask, mechanism.normalise

        def cap_and_mask(scaled: Tensor, operands: Operands) -> Tensor:
            capped, bias = self.cap(scaled, operands), self.bias(operands)
            return mask(capped if bias is None else capped + bias, operands)

        def normalise_beside_sink(masked: Tensor, operands: Operands) -> Tensor:
            return self.sink(normalise(masked, operands), masked, operands)

        return mechanism.replace(mask=cap_and_mask, normalise=normalise_beside_sink)

    def heads(
        self, x: Tensor, context: Tensor, linears: Linears, *, num_heads: int, num_kv_heads: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return Q, K and V as the steps get them, `(*batch, num_heads, n, size)`.

        Args:
            x: What asks, `(*batch, n_q, width)`.
            context: What answers, `(*batch, n_k, width)`.
            linears: The projections by role.
            num_heads: Query heads.
            num_kv_heads: Key and value heads, a divisor of `num_heads`.
        """
        for_query, for_key, for_value = self.source(x, context)
        Q = self.split(self.project(for_query, "query", linears), num_heads)  # (..., n, width) -> (..., heads, n, size)
        K = self.split(self.project(for_key, "key", linears), num_kv_heads)
        V = self.split(self.project(for_value, "value", linears), num_kv_heads)
        return Q, self.share(K, num_heads), self.share(V, num_heads)

    def finish(self, x: Tensor, attended: Tensor, linears: Linears) -> Tensor:
        """Merge the heads and project: `(*batch, heads, n, size) -> (*batch, n, width)`.

        Args:
            x: What came into the layer.
            attended: The output of the heads.
            linears: The projections by role.
        """
        return self.join(x, self.project(self.merge(attended), "output", linears))

    def changed(self) -> list[str]:
        """Return every part and step that is not the usual one, as text: `scale=leave_unscaled`."""
        pairs = [(part.name, getattr(self, part.name), getattr(_USUAL, part.name)) for part in fields(self)[1:]]
        pairs += [(name, getattr(self.mechanism, name), getattr(_USUAL.mechanism, name)) for name in STEP_NAMES]
        return [f"{name}={getattr(part, '__name__', repr(part))}" for name, part, before in pairs if part is not before]


_USUAL = Circuit()
