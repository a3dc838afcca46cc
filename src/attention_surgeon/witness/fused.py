"""A core that is one call of `scaled_dot_product_attention`, in one layout."""

import numpy as np

from attention_surgeon.errors import UnjudgedError
from attention_surgeon.witness.canon import Canon, Part, Structure, labels_of_rows, mixed_rows, one_or_all, softmax
from attention_surgeon.witness.core import Core
from attention_surgeon.witness.flow import NONE, Flow
from attention_surgeon.witness.record import Array, Trace


class Fused:
    """A core that is one call of `scaled_dot_product_attention`."""

    def __init__(self, flow: Flow, core: Core, trace: Trace) -> None:
        """Read a core with the numbers of a run."""
        self.flow, self.core, self.op = flow, core, trace.ops[core.combine]

    def rows_of(self, name: Part) -> Array:
        """Return the rows of the queries, each row of the keys once, or the values as each head met them."""
        if name == "v":
            heads, (values, _) = self._rows(0)[0].shape[1], self._rows(2)
            return values[:, np.arange(heads) * values.shape[1] // heads]
        return self._rows(0 if name == "q" else 1)[0]

    def canon(self) -> Canon:
        """Return all of it; `canonical` says what it raises."""
        q, k, v = (self._rows(n) for n in range(3))
        heads, shared = q[0].shape[1], k[0].shape[1]
        key_heads = np.arange(heads) * shared // heads
        asked = np.moveaxis(q[0], 0, 0)
        keys, values = k[0][:, key_heads], v[0][:, key_heads]
        scores = np.einsum("bhid,bhjd->bhij", asked, keys)
        masked = self._masked(scores, asked.shape[-1])
        weights = softmax(masked)
        output = np.einsum("bhij,bhjd->bhid", weights, values)
        return Canon(
            q=asked,
            k=keys,
            v=values,
            key_rows=k[0],
            batches=np.arange(len(asked)),
            scores=scores,
            masked=masked,
            weights=weights,
            used=weights,
            output=output,
            key_heads=key_heads,
            query_argument=q[1],
            key_argument=k[1],
            value_argument=v[1],
        )

    def _rows(self, operand: int) -> tuple[Array, str]:
        array, marks = self.op.inputs[operand], self.flow.labels(self.core.combine, operand)
        rows = labels_of_rows(marks)
        name = ("queries", "keys", "values")[operand]
        if (marks == NONE).all():
            raise UnjudgedError(f"the {name} depend on no token: they are parameters")
        if (rows < 0).any():
            raise mixed_rows(marks, name, self.core, self.flow)
        tokens = [self.flow.tokens[t] for t in rows.flat]
        batch = np.array([t.batch for t in tokens]).reshape(rows.shape)
        position = np.array([t.position for t in tokens]).reshape(rows.shape)
        n = rows.shape[-1]
        position = one_or_all(position) if operand == 0 and n == 1 else position
        if (position != np.broadcast_to(np.arange(n), rows.shape)).any():
            over_heads = rows.ndim > 2 and (position == position[..., :1]).all()
            if over_heads:
                raise Structure(
                    "attends_over_heads", "the heads of one position meet each other, not the positions", self.core
                )
            raise Structure("rows_unknown", "rows of one head belong to several positions and heads", self.core)
        if (batch != batch[..., :1]).any():
            raise Structure("attends_over_batch", "a row of sequences stands where positions belong", self.core)
        firsts = batch[..., 0].reshape(-1)
        num = int(firsts.max()) + 1
        order = np.argsort(firsts, kind="stable")
        moved = array.reshape(-1, n, array.shape[-1])[order].reshape(num, -1, n, array.shape[-1])
        return moved, tokens[0].argument

    def _masked(self, scores: Array, size: int) -> Array:
        options = self.op.options
        scale = options.get("scale")
        scaled = scores * (size**-0.5 if scale is None else float(scale))
        mask = options.get("attn_mask")
        if mask is not None:
            heads = scaled.shape[1]
            mask = np.asarray(mask)
            if mask.ndim == 3 and mask.shape[0] not in (1, heads):
                mask = (
                    mask.reshape(-1, heads, *mask.shape[-2:])
                    if mask.shape[0] == scaled.shape[0] * heads
                    else mask[:, None]
                )
            scaled = np.where(mask, scaled, -np.inf) if mask.dtype.kind == "b" else scaled + mask
        if options.get("is_causal"):
            n_q, n_k = scaled.shape[-2:]
            scaled = np.where(np.tri(n_q, n_k, dtype=bool), scaled, -np.inf)
        return scaled
