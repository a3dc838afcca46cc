"""Read where the rows of queries, keys and values come from, and what happens to them before they meet."""

import itertools
import linecache
import re
from collections.abc import Sequence
from typing import final

import numpy as np
from torch import Tensor

from attention_surgeon.testing.words import prose_of
from attention_surgeon.witness.canon import Canon
from attention_surgeon.witness.core import Core
from attention_surgeon.witness.findings import Notes, is_one
from attention_surgeon.witness.forms import BrokenRotation, Factor, HeadRotation, Norm, Rotation
from attention_surgeon.witness.positions import read_rotations
from attention_surgeon.witness.record import Array, to_numbers
from attention_surgeon.witness.roots import Root

_TURNED_BACK = re.compile(
    r"\bby -theta|\bminus (theta|the position|its position)|(opposite|negative) (direction\b|sign|angle|convention)"
    r"|transpose of the (textbook|usual|standard)",
    re.IGNORECASE,
)
"""What a text says of vectors that are turned by minus their position on purpose."""
_PATTERNS = re.compile(r"[\"'][^\"'\n]*->[^\"'\n]*[\"']")
_TILED = re.compile(r"->[^\"']*\((r|g|rep|repeats?|groups?) \w*h\w*\)")
"""A pattern of einops that writes the copies outside, `b kvh n d -> b (r kvh) n d`: so it is meant."""
_AS_TRAINED = "right for weights that were trained so, wrong for those of others"
_REPEATS = frozenset(("repeat", "tile", "repeat_interleave", "expand", "cat", "concat", "concatenate"))
"""What makes several heads of one."""


def _factor_of(form: object, size: int) -> float | Array:
    """Return what a form puts on the scores; a norm with gains puts nothing there that could be told from them."""
    if isinstance(form, Norm) and form.by_head:
        return np.array(form.by_head)
    if isinstance(form, Norm):
        return form.by * size**0.5 if form.kind == "l2" else 1.0
    return form.by if isinstance(form, Factor | Rotation) else 1.0


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


@final
class RowReader:
    """The part of a reading from the arguments to the product of queries and keys."""

    def __init__(self, notes: Notes) -> None:
        """Go on with these notes."""
        self.notes, self.flow, self.expects, self.reading = notes, notes.flow, notes.expects, notes.reading

    def read(self, roots: "dict[str, Root | None]", canon: Canon, core: Core) -> float | Array:
        """Judge where queries (`q`), keys (`key_rows`) and values (`v`) come from; None: that was not found.

        Returns:
            The factor that positions and norms put on the scores, of each head where they differ.
        """
        words = {"q": "queries", "key_rows": "keys", "v": "values"}
        for name, root in roots.items():
            if root is None:
                self.reading.unknown.append(f"I cannot see which projection the {words[name]} come from")
            elif not root.is_known and not (name != "v" and core.scores and self.notes.norm(core)):
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
            self.notes.wrong("heads_strided", "scores", words, core.combine if core.is_fused else core.scores[0])

    def _shared(self, query: Root, key: Root, value: Root, canon: Canon, core: Core) -> None:
        """Whether the three come from three projections, and the right tokens."""
        op = core.combine if core.is_fused else core.scores[0]
        self._matrices({"queries": query, "keys": key, "values": value})
        if query.op is not None:
            self._projections(query, key, value, op)
        self._sources(canon, core, op)

    def _matrices(self, roots: dict[str, Root]) -> None:
        """Two projections that are two calls may still be of one matrix."""
        weights = {name: self.notes.weight(root.op) for name, root in roots.items()}
        self.notes.own_weights = [weight for weight in weights.values() if weight is not None]
        self._turned(roots)
        for one, two in itertools.combinations(sorted(roots), 2):
            if roots[one].op != roots[two].op and is_one(weights[one], weights[two]):
                self.notes.wrong(
                    "projection_shared", "projections", f"{one} and {two} are made with one matrix", roots[two].op
                )
                return
        names = {name: self._parameter_of(weight) for name, weight in weights.items() if weight is not None}
        said = {name: _said_of(parameter) for name, parameter in names.items()}
        if said.get("keys") == "values" and said.get("values") == "keys":
            words = f"keys are made with `{names['keys']}` and values with `{names['values']}`"
            self.notes.wrong("key_value_swapped", "projections", words, roots["keys"].op)

    def _turned(self, roots: dict[str, Root]) -> None:
        """A function that is given its matrices takes all of them as (out, in), or all as (in, out)."""
        ways: dict[str, bool] = {}
        for name, root in roots.items():
            weight = self.notes.weight(root.op)
            if weight is None or root.op is None or weight.ndim != 2:
                continue
            applied = weight.T if self.flow.ops[root.op].name == "linear" else weight
            for given in map(to_numbers, (v for v in self.flow.inputs.values() if hasattr(v, "ndim") and v.ndim == 2)):
                if is_one(given, applied) or is_one(given.T, applied):
                    ways[name] = is_one(given, applied)
        if len(set(ways.values())) > 1:
            odd = min(ways, key=lambda name: list(ways.values()).count(ways[name]))
            words = f"the matrix of the {odd} is used as ({'in, out' if ways[odd] else 'out, in'}), the others are not"
            self.notes.wrong("projection_transposed", "projections", words, roots[odd].op)

    def _parameter_of(self, weight: Array) -> str:
        """Return the name under which the layer keeps a matrix; empty where it keeps none like it."""
        made = self.flow.made
        kept = dict(made.named_parameters()) if hasattr(made, "named_parameters") else {}
        kept |= {name: value for name, value in getattr(made, "__dict__", {}).items() if isinstance(value, Tensor)}
        for name, value in kept.items():
            numbers = value.detach().double().numpy()
            if is_one(numbers, weight) or is_one(numbers.T, weight):
                return name
        return ""

    def _projections(self, query: Root, key: Root, value: Root, op: int) -> None:
        """Two of the three may be the same features of one projection."""
        if _is_same(query, key) and any("qk" in n.lower() and "qkv" not in n.lower() for n in self.notes.table_names()):
            self.reading.remarks.append("queries and keys share one projection, as its name says")
        elif _is_same(query, key):
            fault = "projection_shared" if _is_same(key, value) else "query_as_key"
            self.notes.wrong(fault, "projections", "queries and keys are made by one projection", op)
        elif _is_same(key, value) and self.notes.is_latent:
            self.reading.remarks.append("keys and values are one latent, of which each head makes its own")
        elif _is_same(key, value):
            self.notes.wrong("key_as_value", "projections", "keys and values are made by one projection", op)
        elif _is_same(query, value):
            self.notes.wrong("query_as_value", "projections", "queries and values are made by one projection", op)

    def _sources(self, canon: Canon, core: Core, op: int) -> None:
        """Each of the three must come from the argument that its name says."""
        roles = {a.name: a.role for a in self.flow.plan.arguments}
        asks, answers, gives = (
            roles.get(name, "") for name in (canon.query_argument, canon.key_argument, canon.value_argument)
        )
        has_context = any(roles.get(name) in ("context", "key", "value") for name in self.flow.arguments)
        if has_context and canon.key_argument == canon.query_argument:
            words = f"keys come from `{canon.key_argument}`, as the queries do; the context is not used"
            self.notes.wrong("context_ignored", "projections", words, op)
        elif has_context and canon.value_argument == canon.query_argument:
            words = f"values come from `{canon.value_argument}`, as the queries do"
            self.notes.wrong("query_as_value", "projections", words, core.combine)
        elif asks in ("key", "value", "context") and answers in ("x", "query"):
            self.notes.wrong("query_key_swapped", "projections", "queries come from the context and keys from x", op)
        elif (answers, gives) == ("value", "key"):
            self.notes.wrong("key_value_swapped", "projections", "keys serve as values and values as keys", op)
        elif gives == "key" and "value" in roles.values():
            self.notes.wrong("key_as_value", "output", "the weights are multiplied with the keys", core.combine)

    def _key_heads(self, canon: Canon, key: Root, value: Root, core: Core) -> None:
        heads = canon.q.shape[1]
        order = (
            range(heads) if self.notes.order is None else self.notes.order
        )  # of the heads by the features that they take
        groups = _groups([key.features[int(canon.key_heads[h]) % len(key.features)] for h in order])
        given = _groups([value.features[h % len(value.features)] for h in order])
        self.reading.key_heads = shared = len(set(groups))
        self.notes.has_one_value = len(set(given)) == 1 < len(set(groups))
        op = core.combine if core.is_fused else core.scores[0]
        if len(set(given)) == shared and given != groups:
            words = f"the query heads use the values of heads {_listed(given)} and the keys of {_listed(groups)}"
            self.notes.wrong("heads_tiled", "output", words, self.notes.last_op(core.combine, _REPEATS) or core.combine)
            return
        if shared in (1, heads):
            if shared == heads > 1 and groups != list(range(heads)):
                self.reading.unknown.append(
                    "its heads take the features of the keys in another order than those of the queries"
                )
            return
        expected = [h * shared // heads for h in range(heads)]
        if groups == [h % shared for h in range(heads)]:
            words = f"query heads 0 to {heads - 1} use key heads {_listed(groups)}"
            place = self.notes.last_op(op, _REPEATS) or op
            if self._is_said(_TILED, place):
                self.reading.unknown.append(f"{words}: {_AS_TRAINED}")
            else:
                self.notes.wrong("heads_tiled", "scores", f"{words}; expected {_listed(expected)}", place)
        elif groups != expected:
            self.reading.unknown.append(f"its query heads use the key heads {_listed(groups)}")
        else:
            self.reading.kind.append(f"{heads} heads sharing {shared} key heads")

    def _positions(self, query: Root, key: Root, value: Root, core: Core) -> float | Array:
        """Judge what happens between projection and product; return the factor that it puts on the scores."""
        factor: float | Array = 1.0
        for root in (query, key):
            for form, op in root.steps:
                factor = factor * _factor_of(form, root.features.shape[1])
                self._broken(form, op)
        norms = [next((f for f, _ in root.steps if isinstance(f, Norm)), None) for root in (query, key)]
        if all(norms):
            self.reading.kind.append("queries and keys normed")
        elif norms[0] and any(
            re.search(r"(^|[._])(k|key)_?norm|norm_?(k|key)\b", name) for name in self.notes.table_names()
        ):
            self.notes.wrong(
                "norm_missing_on_keys", "scores", "only the queries are normed, though it has a norm for keys", None
            )
        elif any(norms):
            which = "queries" if norms[0] else "keys"
            self.reading.remarks.append(f"only the {which} are normed")
        turns = [next(((f, op) for f, op in root.steps if isinstance(f, Rotation)), None) for root in (query, key)]
        if query.is_known and key.is_known:  # what was not read may be a rotation
            self._rotations(turns, query)
        for form, op in value.steps:
            if isinstance(form, Rotation) and self.expects.rotates_values:
                self.reading.kind.append("values rotated by their positions, as its name says")
            elif isinstance(form, Rotation | BrokenRotation | HeadRotation):
                self.notes.wrong("rotary_on_values", "output", "the values are rotated by their positions too", op)
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
            self.notes.wrong(
                "rotary_layouts_mixed",
                "scores",
                f"features are turned as {form.layout}, with the angles laid out for {other}: lengths are not kept",
                op,
            )
        elif isinstance(form, HeadRotation):
            self.notes.wrong(
                "rotary_over_heads", "scores", "the angle of the rotation depends on the head, not on the position", op
            )

    def _rotations(self, turns: "list[tuple[Rotation, int] | None]", query: Root) -> None:
        ops = [op for turn in turns if turn is not None for op in turn[1:]]
        if ops:
            asks, answers = (None if turn is None else turn[0] for turn in turns)
            found = read_rotations(asks, answers, query.features.shape[1], self.expects.base)
            if found.is_mirrored and self._is_said(_TURNED_BACK, ops[0]):
                self.reading.kind.append("rotary positions, turned by minus the position as its text says")
            elif found.is_mirrored and not self._promises_a_turn(ops[0]):
                self.reading.unknown.append(f"queries and keys are turned by minus their position: {_AS_TRAINED}")
            elif found.fault is not None:
                self.notes.wrong(found.fault, "scores", found.words, ops[0])
            else:
                self.reading.kind.append(found.words)

    def _is_said(self, pattern: re.Pattern[str], op: int) -> bool:
        """Whether a comment, a docstring or a pattern of einops, in the files of an operation, matches."""
        texts = ("".join(linecache.getlines(place.file)) for place in self.flow.ops[op].places)
        return any(pattern.search(" ".join((prose_of(text), *_PATTERNS.findall(text)))) for text in texts)

    def _promises_a_turn(self, op: int) -> bool:
        """Whether the file has a helper whose name says how features are turned, as `rotate_half` does."""
        places = self.flow.ops[op].places
        return not places or any("def rotate_" in "".join(linecache.getlines(place.file)) for place in places)
