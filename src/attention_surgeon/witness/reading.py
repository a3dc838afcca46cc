"""Read an attention from its own operations: every step in words, and every step that is wrong by its name and line."""

import itertools
import linecache
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from attention_surgeon.verdict import Location
from attention_surgeon.witness.core import Canon, Core, Structure, canonical, find_cores, rows_of, softmax
from attention_surgeon.witness.ending import Ending, find_ending
from attention_surgeon.witness.flow import Flow, apart
from attention_surgeon.witness.forms import BrokenRotation, Factor, HeadRotation, Norm, Rotation
from attention_surgeon.witness.mixing import find_head_mix, mixed_over_heads, with_query_bias
from attention_surgeon.witness.norms import norm_mistake
from attention_surgeon.witness.positions import read_bias, read_rotations
from attention_surgeon.witness.record import Array, to_numbers
from attention_surgeon.witness.roots import Root, Rows, find_root
from attention_surgeon.witness.scores import (
    Pattern,
    Scaling,
    find_normaliser,
    find_pattern,
    find_scaling,
)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        fault: Its name in the catalogue.
        step: The step that differs: `projections`, `scores`, `scaled`, `masked`, `weights`, `output`.
        sentence: What was seen, with its numbers.
        place: The line that does it.
        yours: One matrix of that step, where there is one.
        expected: The same, right.
        argument: What had to be given to see it: an argument of the call, or a switch of the constructor.
    """

    fault: str
    step: str
    sentence: str
    place: Location | None = None
    yours: Array | None = field(default=None, repr=False)
    expected: Array | None = field(default=None, repr=False)
    argument: str = ""


@dataclass
class Reading:
    """What was read.

    Attributes:
        is_causal: Whether the future is hidden by construction.
        kind: What it is, in words: `causal attention`, `8 heads sharing 2 key heads`, ...
        findings: What is wrong, in the order of the pipeline.
        unknown: What could not be read, each a sentence; where there is any, nothing is right or wrong.
        remarks: True and worth knowing.
    """

    kind: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    pattern: Pattern = field(default_factory=lambda: Pattern("nothing"))
    scaling: Scaling | None = None
    heads: int = 1
    key_heads: int = 1

    @property
    def is_right(self) -> bool:
        """Whether everything was read and nothing is wrong."""
        return not self.findings and not self.unknown


_FACTORS = {
    "scale_missing": lambda s: 1.0,
    "scale_multiplied": lambda s: s.size**0.5,
    "scale_by_key_size": lambda s: 1 / s.size,
    "scale_by_fourth_root": lambda s: s.size**-0.25,
    "scale_by_model_width": lambda s: s.width**-0.5 if s.width else float("nan"),
    "scale_by_value_size": lambda s: s.value_size**-0.5,
    "scale_by_num_heads": lambda s: s.heads**-0.5,
    "scale_by_num_keys": lambda s: s.n_k**-0.5,
    "scale_by_num_queries": lambda s: s.n_q**-0.5,
}


_CALLERS_FAULT = frozenset(("rotary_over_heads", "rotary_on_values", "rotary_on_one_side", "rotary_direction"))
"""Faults of the line that calls a helper, not of the helper's own."""


@dataclass(frozen=True)
class Sizes:
    """What a scale may have been taken from."""

    size: int
    value_size: int
    heads: int
    n_q: int
    n_k: int
    width: int | None


def read(flow: Flow, *, expects: "Expected | None" = None) -> Reading:
    """Read a target at one size.

    Raises:
        UnjudgedError: there is no softmax attention in it that this can read.
    """
    return _Reader(flow, expects or Expected()).read()


def _factor_of(form: object, size: int) -> float:
    """Return what a form puts on the scores; a norm with gains puts nothing there that could be told from them."""
    if isinstance(form, Norm):
        return form.by * size**0.5 if form.kind == "l2" else 1.0
    return form.by if isinstance(form, Factor | Rotation) else 1.0


_WRONG_PATTERNS = {
    "reversed": ("causal_reversed", "the past is hidden, the future is seen"),
    "reversed_without_diagonal": ("causal_reversed", "the past and the token itself are hidden"),
    "diagonal_hidden": ("mask_diagonal_hidden", "no position sees itself"),
    "one_ahead": ("mask_off_by_one", "each query sees one key too many: the next one"),
    "window_ahead": ("causal_reversed", "the window lies ahead of the query"),
}


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
_ENDINGS = {
    "heads_out_of_order": "the heads are put side by side in another order than their features have",
    "heads_unfolded_wrongly": "heads that were folded into the batch are taken apart in the other order",
    "output_projected_twice": "the output goes through one projection twice",
    "residual_added_to_layer": "the input is added more than once",
    "residual_missing": "its text says that the input is added to the output, and it is not",
    "residual_multiplied": "the input is multiplied with the output",
    "residual_of_projection": "what is added to the output is a projection or a norm of the input, not the input",
}
"""What is said of a fault behind the heads."""


_CAUSAL = ("causal", "causal_start", "window")


def _in_words(pattern: Pattern) -> str:
    return {
        "causal": "causal attention",
        "causal_start": "causal attention",
        "window": f"a causal window of {pattern.size} keys",
        "band": f"a window of {pattern.size - 1} keys back and {pattern.ahead - 1} ahead",
        "dilated": f"a dilated window: every {pattern.step} keys, {pattern.size - 1} back, {pattern.ahead - 1} ahead",
    }.get(pattern.name, "")


def _is_meant(pattern: Pattern, window: int) -> bool:
    """Whether a window on both sides may be called one of this size: to each side, or in all."""
    sides = (pattern.size - 1, 2 * pattern.size - 2, 2 * pattern.size - 1)
    return pattern.name == "band" and pattern.ahead == pattern.size and window in sides


_REPEATS = frozenset(("repeat", "tile", "repeat_interleave", "expand", "cat", "concat", "concatenate"))
"""What makes several heads of one."""


def _groups(features: Sequence[Array]) -> list[int]:
    """Return for each head which block of features it takes, numbered as they lie."""
    firsts = [tuple(each) for each in features]
    blocks = sorted(set(firsts))
    return [blocks.index(first) for first in firsts]


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _said_of(parameter: str) -> str:
    """Return what the name of a parameter says it makes: `queries`, `keys`, `values`, or nothing."""
    words = {"q": "queries", "query": "queries", "k": "keys", "key": "keys", "v": "values", "value": "values"}
    found = {words[word] for word in re.split(r"[._]", parameter.lower()) if word in words}
    found |= {words[m[1]] for m in re.finditer(r"(?:^|[._])w([qkv])(?:$|[._])", parameter.lower())}
    return found.pop() if len(found) == 1 else ""


def _is_same(one: Root, two: Root) -> bool:
    """Whether rows are the same features of one projection of one argument."""
    return one.op == two.op and one.argument == two.argument and bool(np.isin(one.features, two.features).all())


def _is_one(one: Array | None, two: Array | None) -> bool:
    """Whether two projections have one matrix."""
    return one is not None and two is not None and one.shape == two.shape and bool((one == two).all())


@dataclass(frozen=True)
class Expected:
    """What the target's names and words promise; None: nothing is promised.

    Attributes:
        is_causal: The future is hidden.
        window: How many keys a query sees, itself included.
        is_unscaled: No scale is wanted.
        heads: How many heads.
        cap: The soft cap that it was made with.
        has_sink: A score beside the keys is among its parameters.
        has_output_projection: Its name says that the merged heads are projected.
        step: The dilation of its window.
        reach: How many keys a window sees to each side, in steps.
        base: Of the rotary frequencies.
        has_residual: Its text says that the input is added to the output.
        rotates_values: Its name says that positions turn the values, too.
    """

    is_causal: bool | None = None
    window: int | None = None
    is_unscaled: bool = False
    heads: int | None = None
    cap: float | None = None
    has_sink: bool = False
    has_output_projection: bool = False
    step: int | None = None
    reach: int | None = None
    base: float | None = None
    has_residual: bool = False
    rotates_values: bool = False


class _Reader:
    def __init__(self, flow: Flow, expects: Expected) -> None:
        self.flow, self.expects, self.reading = flow, expects, Reading()
        self._own_weights: list[Array] = []
        self._order: Array | None = None
        self._has_one_value = False
        self._num_products = 1

    def read(self) -> Reading:
        flow, reading = self.flow, self.reading
        cores = find_cores(flow)
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
        if len(canons) == 1 and self._order is not None:  # the heads by the features that they take
            canons = [replace(canons[0], output=canons[0].output[:, self._order], q=canons[0].q[:, self._order])]
        self._ending(find_ending(flow, cores, canons), cores)
        return reading

    def _wrong(
        self, fault: str, step: str, sentence: str, op: int | None, yours: Any = None, expected: Any = None
    ) -> None:
        if any(found.fault == fault for found in self.reading.findings):
            return
        place = None if op is None else self.flow.ops[op].place
        if op is not None and fault in _CALLERS_FAULT:
            place = self.flow.ops[op].outer
        self.reading.findings.append(Finding(fault, step, sentence, place, yours, expected))

    def _structure(self, found: Structure) -> None:
        named = {
            "attends_over_batch",
            "attends_over_heads",
            "heads_split_by_view",
            "weights_transposed",
            "heads_averaged",
        }
        if found.name not in named:
            if found.name != "rows_mix_tokens" or not found.core.scores or not self._norm(found.core):
                self.reading.unknown.append(found.sentence)
            return
        op = (
            found.core.combine
            if found.name == "weights_transposed"
            else (found.core.scores or (found.core.softmax,))[0]
        )
        step = "output" if found.name == "weights_transposed" else "scores"
        self._wrong(found.name, step, found.sentence, op)

    def _one(self, core: Core, canon: Canon, other: Canon, *, is_first: bool) -> None:
        flow = self.flow
        product = core.combine if core.is_fused else core.scores[0]
        roots = {}
        if len(core.scores) <= 1:
            for name, op, operand in (
                ("q", product, 0 if core.is_fused else -2),
                ("key_rows", product, 1 if core.is_fused else -1),
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
            self._order = np.argsort(query.features[:, 0])
        factor = self._roots(roots, canon, core) if roots else 1.0
        self._num_products = len(core.scores)
        self._scores(core, canon, other, factor, is_first=is_first)
        self._weights(core, canon, other)

    def _norm(self, core: Core) -> bool:
        """Whether a wrong norm of queries or keys was seen."""
        found = norm_mistake(self.flow, core.scores[0])
        if found is not None:
            fault, words, op = found
            self._wrong(fault, "scores", words, op)
        return found is not None

    def _roots(self, roots: "dict[str, Root | None]", canon: Canon, core: Core) -> float:
        words = {"q": "queries", "key_rows": "keys", "v": "values"}
        for name, root in roots.items():
            if root is None:
                self.reading.unknown.append(f"I cannot see which projection the {words[name]} come from")
            elif not root.is_known and not (name != "v" and core.scores and self._norm(core)):
                self.reading.unknown.append(
                    f"something happens to the {words[name]} before the product that I do not know"
                )
        if any(root is None for root in roots.values()):
            return 1.0
        query, key, value = (roots[name] for name in ("q", "key_rows", "v"))
        assert query is not None
        assert key is not None
        assert value is not None
        self._strided(query, key, value, core)
        self._shared(query, key, value, canon, core)
        self._key_heads(canon, key, value, core)
        return self._positions(query, key, value, core)

    def _strided(self, query: Root, key: Root, value: Root, core: Core) -> None:
        """Each head takes a block of features that lie side by side."""
        heads, size = query.features.shape
        right = np.arange(size) * heads
        if (
            heads > 1
            and size > 1
            and all(
                root.op is not None
                and len(root.features) == heads
                and (root.features[0] - root.features[0][0] == right).all()
                for root in (query, key, value)
            )
        ):
            words = f"head 0 takes every {heads}th feature, not {size} side by side"
            self._wrong("heads_strided", "scores", words, core.combine if core.is_fused else core.scores[0])

    def _shared(self, query: Root, key: Root, value: Root, canon: Canon, core: Core) -> None:
        """Whether the three come from three projections, and the right tokens."""
        op = core.combine if core.is_fused else core.scores[0]
        self._matrices({"queries": query, "keys": key, "values": value})
        if query.op is not None:
            self._projections(query, key, value, op)
        self._sources(canon, core, op)

    def _matrices(self, roots: dict[str, Root]) -> None:
        """Two projections that are two calls may still be of one matrix."""
        weights = {name: self._weight(root.op) for name, root in roots.items()}
        self._own_weights = [weight for weight in weights.values() if weight is not None]
        self._turned(roots)
        for one, two in itertools.combinations(sorted(roots), 2):
            if roots[one].op != roots[two].op and _is_one(weights[one], weights[two]):
                self._wrong(
                    "projection_shared", "projections", f"{one} and {two} are made with one matrix", roots[two].op
                )
                return
        names = {name: self._parameter_of(weight) for name, weight in weights.items() if weight is not None}
        said = {name: _said_of(parameter) for name, parameter in names.items()}
        if said.get("keys") == "values" and said.get("values") == "keys":
            words = f"keys are made with `{names['keys']}` and values with `{names['values']}`"
            self._wrong("key_value_swapped", "projections", words, roots["keys"].op)

    def _turned(self, roots: dict[str, Root]) -> None:
        """A function that is given its matrices takes all of them as (out, in), or all as (in, out)."""
        ways: dict[str, bool] = {}
        for name, root in roots.items():
            weight = self._weight(root.op)
            if weight is None or root.op is None or weight.ndim != 2:
                continue
            applied = weight.T if self.flow.ops[root.op].name == "linear" else weight
            for given in map(to_numbers, (v for v in self.flow.inputs.values() if hasattr(v, "ndim") and v.ndim == 2)):
                if _is_one(given, applied) or _is_one(given.T, applied):
                    ways[name] = _is_one(given, applied)
        if len(set(ways.values())) > 1:
            odd = min(ways, key=lambda name: list(ways.values()).count(ways[name]))
            words = f"the matrix of the {odd} is used as ({'in, out' if ways[odd] else 'out, in'}), the others are not"
            self._wrong("projection_transposed", "projections", words, roots[odd].op)

    def _parameter_of(self, weight: Array) -> str:
        """Return the name under which the layer keeps a matrix; empty where it keeps none like it."""
        made = self.flow.made
        kept = dict(made.named_parameters()) if hasattr(made, "named_parameters") else {}
        kept |= {name: value for name, value in getattr(made, "__dict__", {}).items() if isinstance(value, Tensor)}
        for name, value in kept.items():
            numbers = value.detach().double().numpy()
            if _is_one(numbers, weight) or _is_one(numbers.T, weight):
                return name
        return ""

    def _projections(self, query: Root, key: Root, value: Root, op: int) -> None:
        """Two of the three may be the same features of one projection."""
        if _is_same(query, key) and any("qk" in n.lower() and "qkv" not in n.lower() for n in self._table_names()):
            self.reading.remarks.append("queries and keys share one projection, as its name says")
        elif _is_same(query, key):
            fault = "projection_shared" if _is_same(key, value) else "query_as_key"
            self._wrong(fault, "projections", "queries and keys are made by one projection", op)
        elif _is_same(key, value):
            self._wrong("key_as_value", "projections", "keys and values are made by one projection", op)
        elif _is_same(query, value):
            self._wrong("query_as_value", "projections", "queries and values are made by one projection", op)

    def _sources(self, canon: Canon, core: Core, op: int) -> None:
        """Each of the three must come from the argument that its name says."""
        roles = {a.name: a.role for a in self.flow.plan.arguments}
        asks, answers, gives = (
            roles.get(name, "") for name in (canon.query_argument, canon.key_argument, canon.value_argument)
        )
        has_context = any(roles.get(name) in ("context", "key", "value") for name in self.flow.arguments)
        if has_context and canon.key_argument == canon.query_argument:
            words = f"keys come from `{canon.key_argument}`, as the queries do; the context is not used"
            self._wrong("context_ignored", "projections", words, op)
        elif has_context and canon.value_argument == canon.query_argument:
            words = f"values come from `{canon.value_argument}`, as the queries do"
            self._wrong("query_as_value", "projections", words, core.combine)
        elif asks in ("key", "value", "context") and answers in ("x", "query"):
            self._wrong("query_key_swapped", "projections", "queries come from the context and keys from x", op)
        elif (answers, gives) == ("value", "key"):
            self._wrong("key_value_swapped", "projections", "keys serve as values and values as keys", op)
        elif gives == "key" and "value" in roles.values():
            self._wrong("key_as_value", "output", "the weights are multiplied with the keys", core.combine)

    def _weight(self, op: int | None) -> Array | None:
        """Return the matrix of a projection."""
        if op is None:
            return None
        recorded = self.flow.ops[op]
        places = [
            i for i in range(len(recorded.inputs)) if self.flow.is_constant(op, i) and recorded.inputs[i].ndim >= 2
        ]
        return recorded.inputs[places[0]] if places else None

    def _key_heads(self, canon: Canon, key: Root, value: Root, core: Core) -> None:
        heads = canon.q.shape[1]
        order = range(heads) if self._order is None else self._order  # of the heads by the features that they take
        groups = _groups([key.features[int(canon.key_heads[h]) % len(key.features)] for h in order])
        given = _groups([value.features[h % len(value.features)] for h in order])
        self.reading.key_heads = shared = len(set(groups))
        self._has_one_value = len(set(given)) == 1 < len(set(groups))
        op = core.combine if core.is_fused else core.scores[0]
        if len(set(given)) == shared and given != groups and not core.is_fused:
            words = f"the query heads use the values of heads {_listed(given)} and the keys of {_listed(groups)}"
            self._wrong("heads_tiled", "output", words, self._last_op(core.combine, _REPEATS) or core.combine)
            return
        if shared in (1, heads):
            if shared == heads > 1 and groups != list(range(heads)):
                self.reading.unknown.append(
                    "its heads take the features of the keys in another order than those of the queries"
                )
            return
        expected = [h * shared // heads for h in range(heads)]
        if groups == [h % shared for h in range(heads)]:
            words = f"query heads 0 to {heads - 1} use key heads {_listed(groups)}; expected {_listed(expected)}"
            self._wrong("heads_tiled", "scores", words, self._last_op(op, _REPEATS) or op)
        elif groups != expected:
            self.reading.unknown.append(f"its query heads use the key heads {_listed(groups)}")
        else:
            self.reading.kind.append(f"{heads} heads sharing {shared} key heads")

    def _positions(self, query: Root, key: Root, value: Root, core: Core) -> float:
        """Judge what happens between projection and product; return the factor that it puts on the scores."""
        factor = 1.0
        for root in (query, key):
            for form, op in root.steps:
                factor *= _factor_of(form, root.features.shape[1])
                self._broken(form, op)
        norms = [next((f for f, _ in root.steps if isinstance(f, Norm)), None) for root in (query, key)]
        if all(norms):
            self.reading.kind.append("queries and keys normed")
        elif norms[0] and any(
            re.search(r"(^|[._])(k|key)_?norm|norm_?(k|key)\b", name) for name in self._table_names()
        ):
            self._wrong(
                "norm_missing_on_keys", "scores", "only the queries are normed, though it has a norm for keys", None
            )
        elif any(norms):
            which = "queries" if norms[0] else "keys"
            self.reading.remarks.append(f"only the {which} are normed")
        turns = [next(((f, op) for f, op in root.steps if isinstance(f, Rotation)), None) for root in (query, key)]
        self._rotations(turns, query)
        for form, op in value.steps:
            if isinstance(form, Rotation) and self.expects.rotates_values:
                self.reading.kind.append("values rotated by their positions, as its name says")
            elif isinstance(form, Rotation | BrokenRotation | HeadRotation):
                self._wrong("rotary_on_values", "output", "the values are rotated by their positions too", op)
        return factor

    def _tables_are_given(self) -> bool:
        """Whether cosines and sines are arguments, whose layout was ours to choose."""
        given = [a for a in self.flow.plan.arguments if a.name in self.flow.inputs]
        return any(a.role in ("cos", "sin", "freqs") or "cos" in getattr(a, "form", "") for a in given)

    def _broken(self, form: object, op: int) -> None:
        if isinstance(form, BrokenRotation) and self._tables_are_given():
            self.reading.unknown.append("the rotary tables that I gave it may lie in another order than it wants")
        elif isinstance(form, BrokenRotation):
            other = "pairs" if form.layout == "halves" else "halves"
            self._wrong(
                "rotary_layouts_mixed",
                "scores",
                f"features are turned as {form.layout}, with the angles laid out for {other}: lengths are not kept",
                op,
            )
        elif isinstance(form, HeadRotation):
            self._wrong(
                "rotary_over_heads", "scores", "the angle of the rotation depends on the head, not on the position", op
            )

    def _rotations(self, turns: "list[tuple[Rotation, int] | None]", query: Root) -> None:
        ops = [op for turn in turns if turn is not None for op in turn[1:]]
        if ops:
            asks, answers = (None if turn is None else turn[0] for turn in turns)
            found = read_rotations(asks, answers, query.features.shape[1], self.expects.base)
            if found.is_mirrored and not self._promises_a_turn(ops[0]):
                self.reading.unknown.append(
                    "queries and keys are turned by minus their position: right for weights that were trained so, "
                    "wrong for those of others"
                )
            elif found.fault is not None:
                self._wrong(found.fault, "scores", found.words, ops[0])
            else:
                self.reading.kind.append(found.words)

    def _promises_a_turn(self, op: int) -> bool:
        """Whether the file has a helper whose name says how features are turned, as `rotate_half` does."""
        places = self.flow.ops[op].places
        return not places or any("def rotate_" in "".join(linecache.getlines(place.file)) for place in places)

    def _scores(self, core: Core, canon: Canon, other: Canon, factor: float, *, is_first: bool) -> None:
        flow, reading = self.flow, self.reading
        up_to_rows = not core.is_fused and flow.ops[core.softmax].name != "softmax"
        scaling = find_scaling(canon, other, self._tanhs(core, canon), up_to_rows=up_to_rows)
        op = core.softmax
        if is_first:
            reading.scaling = scaling
        if not scaling.is_known:
            scaling = self._beyond(core, canon) or scaling
        if not scaling.is_known:
            reading.unknown.append("something happens to the scores before the softmax that I do not know")
            return
        self._factor(scaling, factor, canon, core)
        self._cap(core, scaling, is_first=is_first)
        op = self._mask_op(core)
        pattern = find_pattern(scaling.hidden)
        reading.pattern = pattern if is_first else reading.pattern
        self._pattern(pattern, scaling, op, canon)
        added = (
            op
            if core.is_fused
            else self._last_op(core.softmax, frozenset(("add", "sub", "baddbmm")), core.scores[0] - 1)
        )
        self._bias(scaling, op if added is None else added, is_first=is_first)
        self._columns(core, canon, scaling, op, is_first=is_first)

    def _columns(self, core: Core, canon: Canon, scaling: Scaling, op: int, *, is_first: bool) -> None:
        """Judge what entered the softmax beside the keys of the tokens: parameters that are keys, or a sink."""
        reading = self.reading
        if canon.null_key is not None and is_first:
            self._null(canon, core)
        elif canon.extra is not None and is_first:
            reading.kind.append("a sink beside the keys")
            self._sink(canon, scaling, op)
            if canon.null_value is not None:
                self._wrong("sink_as_value", "output", "the sink stands among the values as well", core.combine)
        elif self.expects.has_sink and not core.is_fused:
            self._wrong(
                "sink_missing", "weights", "its sink does not stand beside the keys in the softmax", core.softmax
            )

    def _cap(self, core: Core, scaling: Scaling, *, is_first: bool) -> None:
        """Judge the soft cap of the scores."""
        if scaling.cap is not None:
            if scaling.cap_is_last:
                self._wrong(
                    "cap_after_mask",
                    "masked",
                    f"the soft cap comes after the mask: hidden scores are {scaling.fill:g}, not -inf",
                    self._op_named("tanh", core),
                )
            else:
                self.reading.kind.append(f"scores capped at {scaling.cap:g}") if is_first else None
        elif self.expects.cap is not None:
            self._wrong(
                "cap_missing", "scaled", f"no cap is laid, though it was made with {self.expects.cap:g}", core.softmax
            )

    def _beyond(self, core: Core, canon: Canon) -> Scaling | None:
        """Read scores that are more than scaled: mixed over the heads, or with a part that each query adds."""
        mixed = mixed_over_heads(self.flow, core, canon)
        if mixed is not None:
            self.reading.kind.append("heads mixed before the softmax")
            return mixed
        if canon.masked.shape[-1] == canon.masked.shape[-2]:
            mixed = mixed_over_heads(self.flow, core, replace(canon, masked=canon.masked.swapaxes(-1, -2)))
            if mixed is not None:
                self._wrong("scores_transposed", "scores", "queries and keys are exchanged in the scores", core.softmax)
                return mixed
        found = with_query_bias(self.flow, core, canon)
        if found is None:
            return None
        by, scaling = found.factor, found.scaling
        if by is not None and abs(by - scaling.factor[0]) > 1e-4 * abs(scaling.factor[0]):
            words = f"what each query adds is multiplied by {by:.4g}, its scores by {scaling.factor[0]:.4g}"
            self._wrong("scale_missing", "scaled", words, core.softmax)
        elif found.is_by_distance:
            self.reading.kind.append("a bias that each query makes for each distance")
        else:
            words = "with all tokens alike, what each query adds to its scores is no function of the distance"
            self._wrong("relative_bias_misplaced", "scaled", words, core.softmax)
        return scaling

    def _null(self, canon: Canon, core: Core) -> None:
        """A key that is a parameter has a value that is another one."""
        self.reading.kind.append("a key and a value that are parameters beside those of the tokens")
        key, value = canon.null_key, canon.null_value
        if key is not None and value is not None and key.shape == value.shape and not apart(key, value).any():
            self._wrong("key_as_value", "output", "the value that is a parameter is the key that is one", core.combine)

    def _sink(self, canon: Canon, scaling: Scaling, op: int) -> None:
        """The sink is a parameter as it stands: neither scaled nor capped with the scores."""
        assert canon.extra is not None
        with np.errstate(invalid="ignore"):  # a number that was taken off the whole row was taken off the sink, too
            off = canon.masked - scaling.factor[None, :, None, None] * canon.scores - scaling.bias
        off = np.where(scaling.hidden | ~np.isfinite(off), np.nan, off)
        extra = canon.extra if scaling.cap is not None else canon.extra - np.nanmean(off, -1, keepdims=True)
        if extra.shape[0] < 1 or not hasattr(self.flow.made, "named_parameters"):
            return
        given = extra.reshape(extra.shape[0], -1)
        for name, parameter in self.flow.made.named_parameters():
            raw = parameter.detach().double().numpy().reshape(-1)
            if "sink" not in name.lower() or raw.size < 2 or given.shape[1] % raw.size:
                continue
            row = given[0].reshape(raw.size, -1)[:, 0]
            slope = float((row * raw).sum() / (raw * raw).sum())
            if np.abs(row - slope * raw).max() < 1e-6 and abs(slope - 1) > 1e-3:
                words = f"the sink is multiplied by {slope:.4g}; it stands beside the scaled scores as it is"
                self._wrong("sink_scaled", "masked", words, op)

    def _mask_op(self, core: Core) -> int:
        """Return the first operation on the scores that hides something, or the softmax."""
        if core.is_fused:
            return core.combine
        for k in range(core.scores[0] + 1, core.softmax):
            value = self.flow.ops[k].value
            if value is None or value.dtype.kind != "f" or value.size != self.flow.ops[core.scores[0]].value.size:  # pyright: ignore[reportOptionalMemberAccess]
                continue
            if (~np.isfinite(value) | (value < -1e3)).any() and not self.flow.is_constant(k):
                return k
        return core.softmax

    def _last_op(self, before: int, names: frozenset[str], after: int = -1) -> int | None:
        """Return the last operation of one of these names between two others."""
        return next((k for k in range(before - 1, after, -1) if self.flow.ops[k].name in names), None)

    def _op_named(self, name: str, core: Core) -> int:
        return next((k for k in range(core.softmax, 0, -1) if self.flow.ops[k].name == name), core.softmax)

    def _tanhs(self, core: Core, canon: Canon) -> list[tuple[Array, Array]]:
        found = []
        size = canon.scores.size
        if core.is_fused:
            return []
        shape = self.flow.ops[core.scores[0]].value
        assert shape is not None
        for k in range(core.scores[0] + 1, core.softmax):
            op = self.flow.ops[k]
            if op.name == "tanh" and op.value is not None and op.value.size == size:
                with np.errstate(divide="ignore"):
                    before = np.arctanh(op.value)
                found.append((self._laid_like(before, core, canon), self._laid_like(op.value, core, canon)))
        return found

    def _laid_like(self, value: Array, core: Core, canon: Canon) -> Array:
        raw = self.flow.ops[core.scores[0]].value
        assert raw is not None
        order = np.argsort(raw, axis=None, kind="stable")
        target = np.argsort(canon.scores, axis=None, kind="stable")
        out = np.empty(canon.scores.size)
        out[target] = value.reshape(-1)[order]
        return out.reshape(canon.scores.shape)

    def _factor(self, scaling: Scaling, before: float, canon: Canon, core: Core) -> None:
        size = canon.q.shape[-1]
        widths = [a.shape[-1] for name, a in self.flow.inputs.items() if name == canon.query_argument]
        sizes = Sizes(
            size,
            canon.v.shape[-1],
            self.reading.heads,
            canon.q.shape[2],
            canon.k.shape[2],
            widths[0] if widths else None,
        )
        total = scaling.factor * before
        if np.abs(total - total.mean()).max() > 1e-4 * abs(total.mean()):
            if self._is_normed:
                self.reading.kind.append("a learned scale for each head")
            elif "only the queries are normed" in self.reading.remarks:
                words = "only the queries are normed, under a learned scale for each head"
                self._wrong("norm_missing_on_keys", "scores", words, core.combine if core.is_fused else core.scores[0])
            else:
                self.reading.unknown.append("each head has a scale of its own")
            return
        self._one_factor(float(total.mean()), sizes, core.combine if core.is_fused else self._scale_op(core))

    @property
    def _is_normed(self) -> bool:
        return any("normed" in words for words in self.reading.kind)

    def _one_factor(self, by: float, sizes: Sizes, op: int) -> None:
        """Name what the scores were multiplied with, where it is not what it should be."""
        usual = sizes.size**-0.5
        wanted = 1.0 if self.expects.is_unscaled else usual
        words = f"the scores are multiplied by {by:.4g}; 1/√d_k is {usual:.4g} (d_k = {sizes.size})"
        if abs(by - wanted) < 2e-4 * wanted:
            return
        if self._num_products > 1 and any(abs(by - size**-0.5) < 2e-4 * by for size in self._said_sizes()):
            self.reading.kind.append("keys that are kept as latents")  # the head's size is not that of a product
            return
        told = {name: of(sizes) for name, of in _FACTORS.items() if not (name == "scale_missing" and wanted == 1.0)}
        told = {name: value for name, value in told.items() if abs(value - wanted) > 1e-3 * wanted}
        name = next((name for name, value in told.items() if abs(by - value) < 2e-4 * value), "scale_hard_coded")
        if by < 0:
            self._wrong("scores_negated", "scaled", f"the scores are multiplied by {by:.4g}", op)
        elif self._is_normed and name not in ("scale_missing", "scale_multiplied"):
            self.reading.kind.append(f"scale {by:.4g} after the norms")
        else:
            self._wrong(name, "scaled", words, op)

    def _said_sizes(self) -> list[int]:
        """Return the sizes of a head that the layer says of itself."""
        own = getattr(self.flow.made, "__dict__", {})
        return [v for name, v in own.items() if isinstance(v, int) and v > 0 and re.search(r"head_?(dim|size)", name)]

    def _scale_op(self, core: Core) -> int:
        start = core.scores[0]
        for k in range(start + 1, core.softmax):
            if self.flow.ops[k].name in ("div", "mul", "rmul", "truediv", "rtruediv", "true_divide"):
                return k
        return start

    def _pattern(self, pattern: Pattern, scaling: Scaling, op: int, canon: Canon) -> None:
        reading, name = self.reading, pattern.name
        self._fill(scaling, op)
        if name == "diagonal_hidden" and any("share one projection" in remark for remark in reading.remarks):
            reading.kind.insert(0, "causal attention without the token itself")
        elif name in _WRONG_PATTERNS:
            fault, words = _WRONG_PATTERNS[name]
            self._wrong(fault, "masked", words, op)
        elif name == "other":
            reading.unknown.append("it hides some keys in a pattern that I do not know")
        elif not self._window(pattern, op, canon.k.shape[2]):
            if name == "nothing" and self.expects.is_causal:
                self._wrong("causal_missing", "masked", "nothing is hidden, though its name says causal", op)
            if name == "causal_start" and canon.q.shape[2] != canon.k.shape[2]:
                reading.remarks.append("with more keys than queries the first query sees the first key only")
            words = _in_words(pattern)
            if words and words not in reading.kind:
                reading.kind.insert(0, words)

    def _fill(self, scaling: Scaling, op: int) -> None:
        """A hidden score must lie below every real one."""
        fill = scaling.fill
        if not scaling.hidden.any() or not -1e3 < fill < np.inf or scaling.cap is not None:
            return
        if abs(fill) < 1e-6:
            self._wrong("mask_filled_with_zero", "masked", "hidden scores are set to 0, which is a score", op)
        elif fill > 0:
            self._wrong("mask_fill_positive", "masked", f"hidden scores are set to {fill:g}", op)
        else:
            words = f"hidden scores are set to {fill:g}; real scores go lower"
            self._wrong("mask_fill_too_small", "masked", words, op)

    def _window(self, pattern: Pattern, op: int, num_keys: int) -> bool:
        """Whether a window was promised and another, or none, was laid."""
        window = self.expects.window
        if self.expects.step is not None and self.expects.reach is not None:
            return self._dilated(pattern, self.expects.step, self.expects.reach, op, num_keys)
        if window is None:
            return False
        if pattern.name in ("window", "band") and pattern.size != window and not _is_meant(pattern, window):
            words = f"a query sees {pattern.size} keys back, its own included; the window is {window}"
            self._wrong("window_off_by_one", "masked", words, op)
            return True
        if pattern.name == "nothing" and not self.expects.is_causal and window < num_keys:
            words = f"it was made with a window of {window} and hides nothing; is that the side of a tile, given whole?"
            self.reading.unknown.append(words)
            return True
        if pattern.name in ("causal", "nothing") and window < num_keys:
            self._wrong("window_ignored", "masked", f"no window is laid, though it was made with {window}", op)
            return True
        return False

    def _dilated(self, pattern: Pattern, step: int, reach: int, op: int, num_keys: int) -> bool:
        """Whether another window with steps was promised than the one that was laid."""
        seen = min(reach, (num_keys - 1) // step)
        found = (pattern.step, pattern.size - 1, pattern.ahead - 1)
        if num_keys <= 2 * step or found == (step, seen, seen):
            return False
        words = f"it sees every {found[0]} keys, {found[1]} back and {found[2]} ahead; expected {step}, {seen}, {seen}"
        self._wrong("window_off_by_one", "masked", words, op)
        return True

    def _bias(self, scaling: Scaling, op: int, *, is_first: bool) -> None:
        is_relative = any("rel" in name.lower() for name in self._table_names())
        found = read_bias(scaling, is_causal=self.reading.pattern.name in _CAUSAL, is_relative=is_relative)
        if found.fault is not None:
            self._wrong(found.fault, "masked", found.words, op)
        elif found.words and is_first:
            self.reading.kind.append(found.words)

    def _table_names(self) -> list[str]:
        made = self.flow.made
        return [name for name, _ in made.named_parameters()] if hasattr(made, "named_parameters") else []

    def _weights(self, core: Core, canon: Canon, other: Canon) -> None:
        if core.is_fused:
            return
        normaliser = find_normaliser(canon)
        if not normaliser.is_known:
            self.reading.unknown.append("its weights are no softmax of its scores over the keys")
        elif normaliser.fault is not None:
            words = _NORMALISERS.get(normaliser.fault, "rows of the weights do not sum to 1")
            self._wrong(normaliser.fault, "weights", words, core.softmax)
        elif np.abs(np.nan_to_num(canon.used) - np.nan_to_num(canon.weights)).max() > 1e-6:
            self._changed_weights(core, canon, other)

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
            self._wrong(fault, "weights", _NORMALISERS[fault], core.combine)
        elif find_head_mix(canon.weights, canon.used) is not None:
            self.reading.kind.append("heads mixed after the softmax")
        else:
            self.reading.unknown.append("something happens to the weights before they meet the values")

    def _ending_fault(self, ending: Ending) -> tuple[str | None, int | None]:
        """Return what is wrong behind the heads, and where."""
        if ending.fault is not None:
            return ending.fault, ending.op
        is_projected = any(_is_one(self._weight(ending.added), own) for own in self._own_weights)
        if is_projected or (ending.is_of_normed and self.expects.has_residual):
            return "residual_of_projection", ending.added
        if ending.is_known and self.expects.has_residual and not ending.has_residual:
            return "residual_missing", ending.projection
        return None, None

    def _merged(self, ending: Ending) -> None:
        """Judge how the outputs of the heads become one."""
        fault, op = self._ending_fault(ending)
        if fault == "head_outputs_averaged" and self._has_one_value:
            self.reading.kind.append("the mean of its heads, which share their values")
        elif fault is not None:
            self._wrong(fault, "output", _ENDINGS.get(fault, _NOT_MERGED), op)
        elif not ending.is_known:
            self.reading.unknown.append("I cannot follow its output from the heads to what is returned")

    def _ending(self, ending: Ending, cores: Sequence[Core]) -> None:
        reading = self.reading
        if ending.projection is not None:
            weight = self._weight(ending.projection)
            if any(_is_one(weight, own) for own in self._own_weights):
                words = "the output goes through the matrix of the queries, keys or values"
                self._wrong("projection_shared", "output", words, ending.projection)
        self._merged(ending)
        if ending.beyond:
            reading.kind.append({"gated": "a gate on its output"}.get(ending.beyond, f"{ending.beyond} to the output"))
        if ending.has_residual:
            reading.remarks.append("the input is added to the output")
        others = [name for name in ending.tail if name in ("layer_norm", "rms_norm")]
        if others:
            reading.remarks.append("the output is normed")
        if ending.projection is None and reading.heads > 1 and self.expects.has_output_projection:
            reading.remarks.append("there is no output projection; the merged heads are returned as they are")
        if reading.heads > 1 and not any("heads sharing" in w for w in reading.kind):
            reading.kind.append(f"{reading.heads} heads")
