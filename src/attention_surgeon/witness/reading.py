"""Read an attention from its own operations: every step in words, and every step that is wrong by its name and line."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import final

import numpy as np

from attention_surgeon.errors import UnjudgedError
from attention_surgeon.witness.canon import Canon, Structure, softmax
from attention_surgeon.witness.canonical import canonical, rows_of
from attention_surgeon.witness.core import Core, find_cores, rows_alike, weights_of_one
from attention_surgeon.witness.ending import Ending, find_ending, joins_softmaxes, projected_in_heads
from attention_surgeon.witness.findings import UNNAMED, Expected, Notes, Reading
from attention_surgeon.witness.flow import Flow, apart
from attention_surgeon.witness.mixing import find_head_mix
from attention_surgeon.witness.products import as_product
from attention_surgeon.witness.reading_rows import RowReader
from attention_surgeon.witness.reading_scores import ScoreReader
from attention_surgeon.witness.roots import Rows, find_root
from attention_surgeon.witness.scores import find_normaliser
from attention_surgeon.witness.written import is_turned

_NORMALISERS = {
    "bias_after_softmax": "a bias is added to the weights after the softmax; their rows do not sum to 1",
    "exp_divided_by_mean": "exponentials are divided by the mean of the row, not by its sum",
    "mask_after_softmax": "weights are set to 0 after the softmax; their rows do not sum to 1",
    "scale_after_softmax": "the weights are divided by √d_k after the softmax",
    "sink_column_wrong": "the column of the first key is cut off and that of the sink stays",
    "sink_missing": "the rows are divided by their sum once the sink is gone",
    "softmax_twice": "the weights go through the softmax a second time",
    "sum_without_keepdim": "column j is divided by the sum of row j: an axis is missing in the sum",
}
"""What is said of weights that are no softmax of the scores."""


_NOT_MERGED = "the outputs of the heads are not put side by side, token by token"


_SLOTS = (
    "its weights are a softmax over the queries, divided by their sums over the keys, as in slot attention: "
    "I judge one softmax over the keys"
)
_JOINED = "the outputs of several softmaxes are joined, as in differential attention: I judge one softmax"
_BEYOND = {
    "gated": "a gate on its output",
    "normed": "a norm on its output",
    "beside": "its output and other features projected together",
}
"""What is done to the merged heads before they are projected."""
_ENDINGS = {
    "heads_out_of_order": "the heads are put side by side in another order than their features have",
    "heads_unfolded_wrongly": "heads that were folded into the batch are taken apart in the other order",
    "output_projected_twice": "the output goes through one projection twice",
    "residual_added_to_layer": "the input is added more than once",
    "residual_missing": "its text says that the input is added to the output, and it is not",
    "residual_multiplied": "the input is multiplied with the output",
    UNNAMED: "the tokens come out in another order than they came in",
    "residual_of_projection": "what is added to the output is a projection or a norm of the input, not the input",
}
"""What is said of a fault behind the heads."""


def read(flow: Flow, *, expects: Expected | None = None) -> Reading:
    """Read a target at one size.

    Raises:
        UnjudgedError: there is no softmax attention in it that this can read.
    """
    return _Reader(Notes(flow, expects or Expected())).read()


@final
class _Reader:
    def __init__(self, notes: Notes) -> None:
        self.notes, self.flow, self.expects, self.reading = notes, notes.flow, notes.expects, notes.reading

    def read(self) -> Reading:
        flow, reading = self.flow, self.reading
        try:
            cores = find_cores(flow)
        except UnjudgedError:
            found = rows_alike(flow) or weights_of_one(flow)
            if found is None:
                raise
            self.notes.wrong(*found)
            return reading
        try:
            canons = [canonical(flow, core) for core in cores]
        except Structure as found:
            self._structure(found)
            return reading
        others = [canonical(flow, core, flow.other) for core in cores]
        heads = sum(c.q.shape[1] for c in canons if tuple(c.batches) == tuple(canons[0].batches))
        reading.heads = heads
        for core, canon, other in zip(cores, canons, others, strict=True):
            self._one(core, canon, other, is_first=core is cores[0])
        if len(canons) == 1 and self.notes.order is not None:  # the heads by the features that they take
            canons = [
                replace(canons[0], output=canons[0].output[:, self.notes.order], q=canons[0].q[:, self.notes.order])
            ]
        self._ending(find_ending(flow, cores, canons), cores)
        return reading

    def _structure(self, found: Structure) -> None:
        named = {
            "attends_over_batch",
            "attends_over_heads",
            "heads_split_by_view",
            "weights_transposed",
            "heads_averaged",
        }
        if found.name not in named:
            if found.core.scores and self._sums_over_tokens(found.core):
                self.reading.unknown.append("its scores are of features with features: it attends over the channels")
            elif found.name != "rows_mix_tokens" or not found.core.scores or not self.notes.norm(found.core):
                self.reading.unknown.append(found.sentence)
            return
        op = (
            found.core.combine
            if found.name == "weights_transposed"
            else (found.core.scores or (found.core.softmax,))[0]
        )
        step = "output" if found.name == "weights_transposed" else "scores"
        self.notes.wrong(found.name, step, found.sentence, op)

    def _sums_over_tokens(self, core: Core) -> bool:
        """Whether the product of queries and keys runs over their tokens, and leaves none to the scores."""
        op, sizes = self.flow.ops[core.scores[0]], self.flow.plan.sizes
        product = as_product(op.name, op.inputs, op.options)
        if product is None or op.value is None:
            return False
        summed = {product.sizes[letter] for letter in product.summed}
        tokens = {sizes.n_q, sizes.n_k}
        return summed <= tokens and not tokens & set(op.value.shape[-2:])

    def _one(self, core: Core, canon: Canon, other: Canon, *, is_first: bool) -> None:
        flow = self.flow
        product = core.combine if core.is_fused else core.scores[0]
        asks, answers = (-1, -2) if not core.is_fused and is_turned(flow, product) else (-2, -1)
        roots = {}
        if len(core.scores) <= 1:
            for name, op, operand in (
                ("q", product, 0 if core.is_fused else asks),
                ("key_rows", product, 1 if core.is_fused else answers),
                ("v", core.combine, 2 if core.is_fused else (-1 if core.weights_first else -2)),
            ):
                rows = Rows(
                    getattr(canon, name),
                    op,
                    operand,
                    partial(rows_of, flow, core, name),  # pyright: ignore[reportArgumentType]
                )
                roots[name] = find_root(flow, rows, canon.batches)
        query = roots.get("q")
        if query is not None and len(set(query.features[:, 0])) == len(query.features) == canon.q.shape[1]:
            self.notes.order = np.argsort(query.features[:, 0])
        after = [p for p in flow.projections if p > core.combine and flow.reaches(core.combine, p)]
        self.notes.is_latent = bool(after) and projected_in_heads(flow, after[0], canon.output) is not None
        factor = RowReader(self.notes).read(roots, canon, core) if roots else 1.0
        self.notes.num_products = len(core.scores)
        ScoreReader(self.notes).read(core, canon, other, factor, is_first=is_first)
        self._weights(core, canon, other)

    def _weights(self, core: Core, canon: Canon, other: Canon) -> None:
        if core.is_fused:
            return
        normaliser = find_normaliser(canon)
        if normaliser.fault == "softmax_over_queries" and _are_divided_again(canon):
            raise UnjudgedError(_SLOTS)
        if not normaliser.is_known:
            self._no_softmax(core, canon)
        elif normaliser.fault is not None:
            words = _NORMALISERS.get(normaliser.fault, "rows of the weights do not sum to 1")
            self.notes.wrong(normaliser.fault, "weights", words, core.softmax)
        elif np.abs(np.nan_to_num(canon.used) - np.nan_to_num(canon.weights)).max() > 1e-6:
            self._changed_weights(core, canon, other)

    def _no_softmax(self, core: Core, canon: Canon) -> None:
        """Say that weights are no softmax; one that dropout makes larger in evaluation too is a mistake."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = canon.weights / softmax(canon.masked)
        by = float(np.nanmean(ratio))
        rates = [p for p in self.flow.plan.constructor.values() if isinstance(p, float) and 0 < p < 1]
        if np.nanmax(np.abs(ratio - by)) < 1e-5 and any(abs(by * (1 - p) - 1) < 1e-5 for p in rates):
            words = f"in evaluation the weights are multiplied by {by:.4g}, as dropout does with those that it leaves"
            self.notes.wrong(UNNAMED, "weights", words, core.softmax)
        else:
            self.reading.unknown.append("its weights are no softmax of its scores over the keys")

    def _changed_weights(self, core: Core, canon: Canon, other: Canon) -> None:
        """Say what was done to the weights between the softmax and the values."""
        used, weights = np.nan_to_num(canon.used), np.nan_to_num(canon.weights)
        gap = used - weights
        ratio = used / np.where(weights > 1e-12, weights, np.inf)
        faults = {
            "mask_after_softmax": ((np.abs(ratio) < 1e-9) | (np.abs(ratio - 1) < 1e-6)).all(),
            "scale_after_softmax": np.abs(ratio * canon.q.shape[-1] ** 0.5 - 1)[weights > 1e-9].max() < 1e-5,
            "sink_column_wrong": canon.extra is not None and np.abs(used[..., :-1] - weights[..., 1:]).max() < 1e-6,
            "sink_missing": canon.extra is not None and np.abs(used.sum(-1) - 1).max() < 1e-6,
            "softmax_twice": np.abs(used - softmax(weights)).max() < 1e-6,
            "bias_after_softmax": not apart(gap, np.nan_to_num(other.used) - np.nan_to_num(other.weights)).any(),
        }
        fault = next((name for name, is_so in faults.items() if is_so), None)
        if fault is not None:
            self.notes.wrong(fault, "weights", _NORMALISERS[fault], core.combine)
        elif find_head_mix(canon.weights, canon.used) is not None:
            self.reading.kind.append("heads mixed after the softmax")
        else:
            self.reading.unknown.append("something happens to the weights before they meet the values")

    def _ending_fault(self, ending: Ending) -> tuple[str | None, int | None]:
        """Return what is wrong behind the heads, and where."""
        if ending.fault is not None:
            return ending.fault, ending.op
        if self.notes.is_own(ending.added) or (ending.is_of_normed and self.expects.has_residual):
            return "residual_of_projection", ending.added
        if ending.is_known and self.expects.has_residual and not ending.has_residual:
            return "residual_missing", ending.projection
        return None, None

    def _merged(self, ending: Ending, cores: Sequence[Core]) -> None:
        """Judge how the outputs of the heads become one."""
        fault, op = self._ending_fault(ending)
        if fault == "head_outputs_averaged" and self.notes.has_one_value:
            self.reading.kind.append("the mean of its heads, which share their values")
        elif fault is not None:
            self.notes.wrong(fault, "output", _ENDINGS.get(fault, _NOT_MERGED), op)
        elif not ending.is_known:
            lost = "I cannot follow its output from the heads to what is returned"
            self.reading.unknown.append(_JOINED if joins_softmaxes(self.flow, ending, cores) else lost)

    def _ending(self, ending: Ending, cores: Sequence[Core]) -> None:
        reading = self.reading
        if self.notes.is_own(ending.projection):
            words = "the output goes through the matrix of the queries, keys or values"
            self.notes.wrong("projection_shared", "output", words, ending.projection)
        self._merged(ending, cores)
        if ending.beyond:
            reading.kind.append(_BEYOND.get(ending.beyond, f"{ending.beyond} to the output"))
        if ending.is_before_others:
            reading.remarks.append("the layers behind the attention, which take each token for itself, were not judged")
        if ending.has_residual:
            reading.remarks.append("the input is added to the output")
        others = [name for name in ending.tail if name in ("layer_norm", "rms_norm")]
        if others:
            reading.remarks.append("the output is normed")
        if ending.projection is None and reading.heads > 1 and self.expects.has_output_projection:
            reading.remarks.append("there is no output projection; the merged heads are returned as they are")
        if reading.heads > 1 and not any("heads sharing" in w for w in reading.kind):
            reading.kind.append(f"{reading.heads} heads")


def _are_divided_again(canon: Canon) -> bool:
    """Whether weights that are a softmax over the queries were divided by their sums over the keys."""
    given = canon.weights.sum(-1)
    return bool((np.abs(given - 1) > 1e-2).any()) and bool((np.abs(canon.used.sum(-1) - 1)[given > 1e-3] < 1e-3).all())
