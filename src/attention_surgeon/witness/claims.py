"""Every argument is a claim: a mask hides, `is_causal` hides the future, a cache changes nothing. Each is tried.

An argument is given values, in every form that the target accepts, and what the target then really hid is read from
what entered its softmax. What could not be tried is said by name.
"""

import ast
import itertools
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from attention_surgeon.calls.names import words_of
from attention_surgeon.errors import UnjudgedError
from attention_surgeon.testing.words import declared_polarity
from attention_surgeon.verdict import Location
from attention_surgeon.witness.canon import Canon, Structure, softmax
from attention_surgeon.witness.canonical import canonical
from attention_surgeon.witness.core import Core, find_cores, same_core
from attention_surgeon.witness.flow import Flow, Plan
from attention_surgeon.witness.record import Array
from attention_surgeon.witness.scores import find_pattern, find_scaling


@dataclass(frozen=True)
class Claim:
    """What came of trying one argument.

    Attributes:
        argument: Its name.
        tried: How it was given, in words: `(n, n) boolean, True = may attend`; empty where it could not be tried.
        fault: What is wrong, by its name in the catalogue; None for nothing.
        sentence: What was seen.
        meaning: For a mask: `keep`, `hide` or `additive`.
        place: The line that shows it.
        unknown: What about it is for its author to say.
    """

    argument: str
    tried: tuple[str, ...] = ()
    fault: str | None = None
    sentence: str = ""
    meaning: str = ""
    place: Location | None = None
    yours: Array | None = field(default=None, repr=False)
    expected: Array | None = field(default=None, repr=False)
    unknown: str = ""


MASK_FORMS = ("n m", "b 1 n m", "b n m", "b h n m", "1 1 n m", "1 n m", "B n m", "b m", "b 1 1 m", "b 1 m")
_PADDING_FORMS = ("b m", "b 1 1 m", "b 1 m")


@dataclass(frozen=True)
class Hidden:
    """What a call hid, in one layout, and what it added."""

    cells: Array
    bias: Array
    fill: float
    place: Location | None
    output: tuple[int, ...]
    masked: Array = field(repr=False)
    used: Array = field(repr=False)


_OF_NO_KEYS = re.compile(r"^(row|query|q|tgt|target)_mask|heads?_mask$", re.IGNORECASE)
"""A mask of queries or of whole heads, which hides no key."""
_NUMBERS = re.compile(r"\bfloat(ing|s)?\b(?!\()[^\n(]{0,20}mask|mask[^\n]{0,30}\bfloats?\b(?!\()", re.IGNORECASE)
"""What a text says of a mask of numbers."""
_YES_OR_NO = re.compile(r"\b(Byte|Bool)Tensor\b|\bbinary\b|\bboolean\b|\bby 1s\b", re.IGNORECASE)
"""What a text says of a mask of yes and no."""


def _taken_apart(words: str) -> tuple[str, str]:
    """Return the form and the kind in the words for a mask: `b 1 m` and `boolean` of `(b, 1, m) boolean`."""
    form, _, kind = words.rpartition(" ")
    return form.strip("()").replace(",", ""), kind


def try_arguments(plan: Plan, made: Any, *, says: str = "") -> list[Claim]:
    """Try every optional argument of a call.

    Args:
        plan: How the target is called.
        made: The object.
        says: The text around it (docstring, comments), in which a polarity may be declared.
    """
    trier = _Trier(plan, made, says)
    found: list[Claim] = []
    beside: list[Claim] = []  # said of calls with a context, which the others are not compared with
    for argument in plan.arguments:
        if argument.axes and argument.role in ("x", "query", "key", "value", "context"):
            continue
        claim = trier.claim(argument)
        if claim is not None and not claim.tried and argument.role in ("mask", "padding", "lengths"):
            claim = _where_square(plan, made, says, argument) or claim
        if claim is not None and argument.role == "mask" and claim.fault is None and _OF_WINDOWS.search(says):
            claim = _of_windows(plan, made, says, claim, argument)
        if claim is not None and argument.role in ("mask", "padding") and claim.fault in (None, "mask_ignored"):
            other = _with_context(plan, made, says, argument, claim)
            if other is not None:
                beside.append(other)
                continue
        if claim is not None:
            found.append(claim)
    both = trier.together([claim for claim in found if claim.meaning and claim.fault is None])
    return [*found, *beside, *both]


def _where_square(plan: Plan, made: Any, says: str, argument: Any) -> Claim | None:
    """Try an argument that every call refused once more with as many keys as queries: it may be laid the wrong way."""
    if plan.sizes.n_q == plan.sizes.n_k:
        return None
    try:
        return _Trier(plan, made, says, n_q=plan.sizes.n_k, n_k=plan.sizes.n_k).claim(argument)
    except Exception:  # noqa: BLE001  a size that is refused is no fault
        return None


_OF_WINDOWS = re.compile(r"\b(num(ber)?_?(of)?_?w(in(dow)?s)?|nW)\b", re.IGNORECASE)
"""What a text says of a mask that has one part for each window of a picture."""
_WINDOWS = 2
_OTHER_BATCH = 4  # sequences: no other size of a plain call is this


def _of_windows(plan: Plan, made: Any, says: str, claim: Claim, argument: Any) -> Claim:
    """Give a mask of two windows to twice as many sequences: pictures stand one after the other, each in windows."""
    kinds = [_taken_apart(words)[1] for words in claim.tried]
    if not kinds:
        return claim
    try:
        found = _Trier(plan, made, says, batch=2 * _WINDOWS).claim_of_windows(argument, kinds[0])
    except Exception:  # noqa: BLE001  a size that is refused is no fault
        return claim
    if found.fault is None and found.tried:
        return replace(claim, tried=(*claim.tried, *found.tried))
    return found if found.tried else claim


def _with_context(plan: Plan, made: Any, says: str, argument: Any, claim: Claim) -> Claim | None:
    """Try a mask that hid nothing once more beside the tokens that a plain call leaves out: it may be theirs.

    Returns:
        What came of it; None where it was not tried, or says no more.
    """
    names = [a.name for a in plan.arguments if a.axes and a.role in ("context", "key", "value") and not a.required]
    names = [name for name in names if set(words_of(name)) & set(words_of(argument.name))] or names
    if not names or (claim.tried and claim.fault is None):
        return None
    try:
        other = _Trier(plan.giving(*names), made, says).claim(argument)
    except Exception:  # noqa: BLE001  somebody else's code may raise anything
        return None
    return other if other is not None and other.tried and other.fault != "mask_ignored" else None


def _is_of_one_kind(says: str, name: str) -> bool:
    """Whether only layers of one kind ask for an argument: `if self.kind == LOCAL and local_mask is not None`."""
    try:
        tree = ast.parse(textwrap.dedent(says))
    except SyntaxError:
        return False
    asked = [node for node in ast.walk(tree) if isinstance(node, ast.If) and name in _names_in(node.test)]
    return bool(asked) and all(
        any(
            isinstance(part, ast.Compare)
            and isinstance(part.ops[0], ast.Eq)
            and isinstance(part.left, ast.Attribute)
            and name not in _names_in(part)
            for part in ast.walk(node.test)
        )
        for node in asked
    )


def _is_said_to_be_a_switch(says: str, name: str) -> bool:
    """Whether a text asks of a mask only that it is there, and elsewhere cuts it as a table of positions is cut.

    `is_causal=mask is not None` alone may forget what is padding; `mask[:n, :n]` beside it is of no sequence's padding.
    """
    try:
        tree = ast.parse(textwrap.dedent(says))
    except SyntaxError:
        return False
    causal = [node.value for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "is_causal"]
    cuts = [node.slice for node in ast.walk(tree) if isinstance(node, ast.Subscript) and name in _names_in(node.value)]
    is_asked = any(f"{name} is not None" in ast.unparse(value) for value in causal)
    return is_asked and any(
        isinstance(cut, ast.Tuple)
        and len(cut.elts) == 2
        and all(isinstance(part, ast.Slice) and part.upper is not None for part in cut.elts)
        and ast.dump(cut.elts[0]) == ast.dump(cut.elts[1])
        for cut in cuts
    )


def _names_in(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


class _Trier:
    def __init__(self, plan: Plan, made: Any, says: str, **sizes: int) -> None:
        self.plan, self.made, self.says, self.sizes = plan, made, says, sizes
        self.inputs, self.others = plan.draw(seed=0, **sizes), plan.draw(seed=1, **sizes)
        self.flow = Flow(plan, made, self.inputs, self.others)
        self.core = find_cores(self.flow)[0]
        self.has_extra = not self.core.is_fused and canonical(self.flow, self.core).extra is not None
        self.plain = self._hidden({}) or self._nothing()
        self.fills: list[tuple[float, Location | None]] = []

    def _nothing(self) -> Hidden:
        raise UnjudgedError("its scores cannot be read")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """`(batch, heads, n_q, n_k)` of the calls."""
        return self.plain.cells.shape  # pyright: ignore[reportReturnType]

    def claim(self, argument: Any) -> Claim | None:
        """Return what came of one argument, None for those that are part of every call."""
        tries: dict[str, Callable[[Any], Claim]] = {
            "mask": self._mask,
            "padding": self._padding,
            "lengths": self._lengths,
            "causal": self._causal,
        }
        if argument.role == "mask" and _OF_NO_KEYS.search(argument.name):
            return Claim(argument.name)
        if argument.role in tries:
            self.fills.clear()
            found = tries[argument.role](argument)
            return self._filled(found) if found.fault is None and found.tried and self.fills else found
        if argument.name in self.inputs and getattr(argument, "required", False):
            return None
        if argument.role in ("need_weights", "use_cache", "cache"):
            return None  # looked at elsewhere
        return Claim(argument.name)

    def together(self, claims: Sequence[Claim]) -> list[Claim]:
        """Give every two masks at once: what each of them hides must be hidden; of each pair, that it was tried."""
        found = []
        for one, two in itertools.combinations(claims, 2):
            (allowed, first), (other, second) = (
                self._meant_value(one, turned=False),
                self._meant_value(two, turned=True),
            )
            seen = self._hidden({one.argument: first, two.argument: second})
            if seen is None or seen.cells.shape != self.plain.cells.shape:
                continue
            found.append(Claim(f"{one.argument} and {two.argument}", ("at once",)))
            for ignored, kept, hidden in ((two, one, ~allowed), (one, two, ~other)):
                if (seen.cells == (self.plain.cells | hidden)).all():
                    words = f"with `{kept.argument}` given, `{ignored.argument}` hides nothing"
                    found.append(Claim(ignored.argument, (), "mask_ignored", words, place=seen.place))
        return found

    def _meant_value(self, claim: Claim, *, turned: bool) -> tuple[Array, Any]:
        """Return who may attend, and a mask that says so in the way that the target was seen to understand."""
        form, kind = _taken_apart(claim.tried[0])
        if form in _PADDING_FORMS or kind not in ("boolean", "additive", "integer"):
            allowed = self._allowed("b m")
        else:
            allowed = self._allowed(form)
            allowed = allowed[..., ::-1].copy() if turned else allowed
            allowed[..., 0] = True
        return allowed, self._as_value(~allowed if claim.meaning == "hide" else allowed, form, kind)

    def _filled(self, claim: Claim) -> Claim:
        """A hidden score must lie below every real one."""
        fill, place = self.fills[0]
        if abs(fill) < 1e-6:
            name, words = "mask_filled_with_zero", "hidden scores are set to 0, which is a score"
        elif fill > 0:
            name, words = "mask_fill_positive", f"hidden scores are set to {fill:g}"
        else:
            name, words = "mask_fill_too_small", f"hidden scores are set to {fill:g}; real scores go lower"
        return replace(claim, fault=name, sentence=f"`{claim.argument}`: {words}", place=place)

    def _hidden(self, extra: dict[str, Any], cut: Any = None) -> Hidden | None:
        """Return what a call hides; None where it raises or cannot be read."""
        one = {**self.inputs, **extra}
        two = {**self.others, **extra}
        try:
            flow, first, canons = self._echoed(one, two)
            if np.isnan(canons[0].masked).any():  # as of `mask.float() * torch.finfo(q.dtype).min`, in float64 alone
                flow, first, canons = self._echoed(one, two, is_wide=False)
        except Structure:
            return None
        except Exception:  # noqa: BLE001  somebody else's code may raise anything
            return None
        is_written_out = not first.is_fused and flow.ops[first.softmax].name != "softmax"
        scaling = find_scaling(canons[0], canons[1], [], up_to_rows=is_written_out)
        cells, bias = scaling.hidden.copy(), scaling.bias
        used = np.nan_to_num(canons[0].used)
        cells |= (used == 0) & np.isfinite(canons[0].masked) & (canons[0].masked > -700)  # hidden after the softmax
        output = tuple(flow.plan.arrays(flow.base.returned)[max(flow.plan.output, 0)].shape)
        place = flow.ops[first.softmax].place
        return Hidden(cells, bias, scaling.fill, place, output, canons[0].masked, used)

    def _echoed(
        self, one: dict[str, Any], two: dict[str, Any], *, is_wide: bool = True
    ) -> tuple[Flow, Core, list[Canon]]:
        """Return a call like the plain one with other arguments, where its attention stands, and what that is."""
        held = [p.dtype for p in self.made.parameters()] if isinstance(self.made, nn.Module) else []
        try:
            flow = self.flow.echo(one, two, is_wide=is_wide)
            first = same_core(self.core, self.flow, flow)
            return flow, first, [canonical(flow, first), canonical(flow, first, flow.other)]
        finally:
            if held:
                self.made.to(held[0])

    def _given(self, argument: Any, value: Any) -> Hidden | None:
        found = self._hidden({argument.name: value})
        if found is None or found.output != self.plain.output or found.cells.shape != self.plain.cells.shape:
            return None
        return found

    def _mask(self, argument: Any) -> Claim:
        is_padding = "pad" in argument.name.lower()
        return self._over_forms(argument, _PADDING_FORMS if is_padding else MASK_FORMS)

    def claim_of_windows(self, argument: Any, kind: str) -> Claim:
        """Return what came of a mask `(windows, n, m)` of a kind that is understood in other forms."""
        allowed, words = self._allowed("w n m"), f"(w, n, m) {kind}"
        found = self._given(argument, self._as_value(allowed, "w n m", kind))
        if found is None:
            return Claim(argument.name)
        if self._meaning(found, allowed, kind) is None:
            return self._wrong(argument, found, allowed, words, "w n m")
        return Claim(argument.name, (words,))

    def _padding(self, argument: Any) -> Claim:
        return self._over_forms(argument, (*_PADDING_FORMS, "n m", "b 1 n m"))

    def _over_forms(self, argument: Any, forms: Sequence[str]) -> Claim:
        """Give masks in every form and dtype, and compare what was hidden with what they say."""
        meanings: dict[str, list[str]] = {}
        misread: list[tuple[Hidden, Array, str, str]] = []
        understood: set[str] = set()
        as_numbers: list[str] = []
        for form in forms:
            if form == "B n m" and self.shape[1] == 1:
                continue
            allowed = self._allowed(form)
            valid, wrong = self._kinds(argument, form, allowed)
            understood |= {words.rpartition(" ")[2] for meaning, words in valid if meaning != "ignored"}
            for meaning, words in valid:
                meanings.setdefault(meaning, []).append(words)
            as_numbers += [words for _, words in wrong if words.endswith("boolean")]
            if not valid and wrong:
                misread.append((wrong[0][0], allowed, wrong[0][1], form))
        if (
            as_numbers
            and "additive" in meanings
            and declared_polarity(self._said_of(argument.name))
            and not {"keep", "hide"} & set(meanings)
        ):
            sentence = f"`{argument.name}`: True and False are added to the scores as 1 and 0; nothing is hidden"
            return Claim(argument.name, (as_numbers[0],), "mask_added_as_zero_one", sentence, place=self.plain.place)
        meant = [seen for seen in misread if not understood or seen[2].rpartition(" ")[2] in understood]
        if meant and self._is_a_switch(misread):
            if _is_said_to_be_a_switch(self.says, argument.name):
                return Claim(argument.name, ("given, hides the future whatever it holds",))
            words = f"`{argument.name}` hides the future whatever it holds; is that what it is for?"
            return Claim(argument.name, (meant[0][2],), unknown=words)
        meant = [seen for seen in meant if self._is_taken_elsewhere(argument, seen[2])]
        if meant:
            return self._beside(self._wrong(argument, *meant[0]), meanings)
        return self._meant(argument, meanings) if meanings else Claim(argument.name)

    def _is_taken_elsewhere(self, argument: Any, words: str) -> bool:
        """Whether a mask of this form is taken with another number of sequences, too.

        One that is refused then fits by chance: its sequences stand in an axis of groups or heads, of which there are
        as many.
        """
        form, kind = _taken_apart(words)
        if "b" not in form:
            return True
        try:
            other = _Trier(self.plan, self.made, self.says, **{**self.sizes, "batch": _OTHER_BATCH})
        except Exception:  # noqa: BLE001  a size that is refused says nothing of the mask
            return True
        return other._given(argument, other._as_value(other._allowed(form), form, kind)) is not None

    def _beside(self, claim: Claim, meanings: dict[str, list[str]]) -> Claim:
        """Return what came of a mask that was misread in one form, with what the other forms were taken for."""
        taken = {meaning: words for meaning, words in meanings.items() if meaning != "ignored"}
        senses = [meaning for meaning in taken if meaning != "additive"]
        if not taken or len(senses) > 1:
            return claim
        words = tuple(each for given in taken.values() for each in given)
        return replace(claim, tried=(*words, *claim.tried), meaning=next(iter(senses), "additive"))

    def _is_a_switch(self, seen: Sequence[tuple[Hidden, Array, str, str]]) -> bool:
        """Whether a mask that is given, however filled, hides the future, and only that."""
        cells = [found.cells for found, *_ in seen]
        return not self.plain.cells.any() and all(find_pattern(one).name in ("causal", "causal_start") for one in cells)

    def _said_of(self, name: str) -> str:
        """Return what the text says of one argument: from its name and a colon to the next such."""
        found = re.search(rf"\b{re.escape(name)}:(.*?)(?=\b\w+:|$)", self.says, re.DOTALL)
        return found[1] if found else ""

    def _meant(self, argument: Any, meanings: dict[str, list[str]]) -> Claim:
        """Say what a mask means to the target: one thing in every form, and what its text says."""
        tried = tuple(words for given in meanings.values() for words in given)
        both = {"keep", "hide"} & meanings.keys()
        if set(meanings) == {"ignored"}:
            if all(words.endswith("additive") for words in tried) and _YES_OR_NO.search(self.says):
                return Claim(argument.name)  # numbers to add are none of its masks, and those that are were refused
            if _is_of_one_kind(self.says, argument.name) or self._is_of_what_is_not_given(argument.name):
                return Claim(argument.name)
            sentence = f"`{argument.name}` changes nothing: no key is hidden"
            return Claim(argument.name, tried, "mask_ignored", sentence, place=self.plain.place)
        if len(both) == 2:
            sentence = f"`{argument.name}` hides where it is True in one form and keeps in another"
            return Claim(argument.name, tried, "mask_inverted", sentence, place=self.plain.place)
        meaning = next(iter(both), "additive")
        declared = declared_polarity(self.says)
        if declared is not None and both and meaning != declared:
            does = {"hide": "hides", "keep": "may attend"}
            sentence = f"True in `{argument.name}` {does[meaning]}; its text says that True {does[declared]}"
            return Claim(argument.name, tried, "mask_inverted", sentence, place=self.plain.place)
        understood = tuple(words for what, given in meanings.items() if what != "ignored" for words in given)
        added = next((words for words in meanings.get("additive", ()) if words.endswith("additive")), "")
        is_number = not both or bool(
            _NUMBERS.search(self.says)
        )  # a boolean mask that is handed over as numbers still hides
        if added and is_number and not self._adds(argument, added):
            sentence = f"`{argument.name}`: numbers in it are not added to the scores, they hide"
            return Claim(argument.name, understood, "mask_misread", sentence, place=self.plain.place)
        return self._renormalised(argument, understood, meaning)

    def _is_of_what_is_not_given(self, name: str) -> bool:
        """Whether a mask is that of another argument, `mem_mask` of `mem`, which a plain call leaves out."""
        of = re.sub(r"_?mask$", "", name)
        return any(a.name in (of, f"{of}s") and a.name not in self.inputs for a in self.plan.arguments if of)

    def _adds(self, argument: Any, words: str) -> bool:
        """Whether a small number in a mask that is added only lowers a score."""
        form, _ = _taken_apart(words)
        allowed = self._allowed(form)
        lowered = self._as_value(np.where(allowed, 0.0, -0.7), form, "added")
        found = self._given(argument, lowered)
        if found is None or self.has_extra:
            return True
        with np.errstate(invalid="ignore"):
            change = np.where(self.plain.cells, np.nan, found.masked - self.plain.masked)
            right = np.where(self.plain.cells, np.nan, np.where(allowed, 0.0, -0.7))
            gap = (change - np.nanmean(change, -1, keepdims=True)) - (right - np.nanmean(right, -1, keepdims=True))
        return not bool((np.abs(gap) > 1e-3).any())

    def _renormalised(self, argument: Any, tried: tuple[str, ...], meaning: str) -> Claim:
        """Whether, with a mask, the weights that are used are the softmax over the keys that are seen."""
        form, kind = _taken_apart(tried[0])
        found = self._given(argument, self._as_value(self._allowed(form), form, kind))
        if found is None:
            return Claim(argument.name, tried, meaning=meaning)
        scores = np.where(self.plain.cells, found.masked, self.plain.masked)  # a mask may stand for the causal one
        plain = np.where(np.isfinite(scores), scores, 0.0)
        expected = softmax(np.where(found.cells, -np.inf, plain))
        allowed = self._allowed(form)
        rows = ~(found.cells.all(-1) | self._blank(found, ~allowed if meaning == "hide" else allowed))
        if not np.isfinite(found.used).all() or np.abs(found.used - expected)[rows].max() < 1e-4 or self.has_extra:
            return Claim(argument.name, tried, meaning=meaning)
        cut = np.where(found.cells, 0.0, softmax(np.where(self.plain.cells, -np.inf, plain)))
        columns = cut / np.maximum(cut.sum(-2, keepdims=True), 1e-30)
        if np.abs(found.used - cut).max() < 1e-4:
            name, sentence = (
                "mask_after_softmax",
                "weights are set to 0 after the softmax; their rows no longer sum to 1",
            )
        elif np.abs(found.used - columns).max() < 1e-4:
            name, sentence = "renormalised_over_queries", "masked weights are divided by the sums of the columns"
        else:
            name, sentence = "mask_misread", "the weights are no softmax over the keys that are seen"
        return Claim(
            argument.name,
            tried,
            name,
            f"`{argument.name}`: {sentence}",
            place=found.place,
            yours=found.used[0, 0],
            expected=expected[0, 0],
        )

    def _kinds(
        self, argument: Any, form: str, allowed: Array
    ) -> tuple[list[tuple[str, str]], list[tuple[Hidden, str]]]:
        """Give one form as booleans, as numbers to add and as 0 and 1: what each was taken for, and what was misread.

        A mask to be added is no boolean one, and the other way round: where one is understood, no other is meant.
        """
        valid, wrong = [], []
        for kind in ("boolean", "additive", "integer"):
            found = self._given(argument, self._as_value(allowed, form, kind))
            if found is None:
                continue
            self._note_fill(found, kind)
            meaning, words = self._meaning(found, allowed, kind), f"({', '.join(form.split())}) {kind}"
            if meaning is None:
                wrong.append((found, words))
            elif meaning != "ignored" or not valid:
                valid.append((meaning, words))
        understood = [pair for pair in valid if pair[0] != "ignored"]
        return understood or ([] if wrong else valid), wrong

    def _note_fill(self, found: Hidden, kind: str) -> None:
        """Remember a fill that is no hiding; what is to be added was filled by us."""
        if kind != "additive" and found.cells.any() and -1e3 < found.fill < np.inf and found.fill > self.plain.fill:
            self.fills.append((found.fill, found.place))

    def _allowed(self, form: str) -> Array:
        """Return who may attend, `(batch, heads, n_q, n_k)`, as this form can say it; every query sees a key."""
        b, h, n, m = self.shape
        source = np.random.default_rng(5)
        if form in _PADDING_FORMS:
            lengths = [m - 1 - 2 * (i % 2) for i in range(b)]
            allowed = np.broadcast_to((np.arange(m)[None, :] < np.array(lengths)[:, None])[:, None, None], self.shape)
            return allowed.copy()
        if form == "w n m":
            allowed = np.tile(self._allowed("b n m")[:_WINDOWS], (b // _WINDOWS, 1, 1, 1))
            return np.broadcast_to(allowed, self.shape).copy()
        size = {"n m": (1, 1), "1 1 n m": (1, 1), "1 n m": (1, 1), "b h n m": (b, h)}.get(form, (b, 1))
        allowed = source.random((*size, n, m)) < 0.55
        seen = ~np.asarray(self.plain.cells.any((0, 1)))  # what the target itself leaves visible
        for i in range(n):
            free = np.flatnonzero(seen[i])
            allowed[..., i, free[(i * 2) % len(free)] if len(free) else 0] = True
        return np.broadcast_to(allowed, self.shape).copy()

    def _as_value(self, allowed: Array, form: str, kind: str) -> Any:
        h = self.shape[1]
        shaped = {
            "n m": lambda a: a[0, 0],
            "1 1 n m": lambda a: a[:1, :1],
            "1 n m": lambda a: a[0, :1],
            "b 1 n m": lambda a: a[:, :1],
            "b n m": lambda a: a[:, 0],
            "b h n m": lambda a: a,
            "w n m": lambda a: a[:_WINDOWS, 0],
            "B n m": lambda a: np.repeat(a[:, 0], h, 0),
            "b m": lambda a: a[:, 0, 0],
            "b 1 1 m": lambda a: a[:, :1, :1],
            "b 1 m": lambda a: a[:, 0, :1],
        }[form](allowed)
        if kind == "additive":
            shaped = np.where(shaped, 0.0, -1e9)
        elif kind == "integer":
            shaped = shaped.astype(np.int64)
        return torch.as_tensor(shaped.copy()) if self.plan.library == "torch" else shaped.copy()

    def _meaning(self, found: Hidden, allowed: Array, kind: str) -> str | None:
        base = self.plain.cells
        visible = ~base
        nothing = np.zeros_like(base)  # a mask may take the place of the causal one
        for always in (base, nothing):
            if self._hides(found, always, allowed):
                return "additive" if kind == "additive" else "keep"
            if kind != "additive" and self._hides(found, always, ~allowed):
                return "hide"
        if (found.cells == base).all() and not (found.bias - self.plain.bias)[visible.any(0)].any():
            return "ignored"
        return None

    def _hides(self, found: Hidden, always: Array, allowed: Array) -> bool:
        """Whether what is hidden is what a mask says, in rows where something is visible."""
        expected = always | ~allowed
        rows = ~(expected.all(-1) | self._blank(found, allowed))
        return bool((found.cells == expected)[rows].all())

    def _blank(self, found: Hidden, allowed: Array) -> Array:
        """Which rows, `(batch, heads, query)`, are of queries that are padding themselves, and look at all alike.

        A mask over the tokens of one sequence may hide them as queries, too: nobody reads what comes out of them.
        """
        if self.shape[2] != self.shape[3] or (allowed != allowed[..., :1, :]).any():
            return np.zeros(self.shape[:3], dtype=bool)
        return ~allowed[..., 0, :] & (np.ptp(found.used, axis=-1) < 1e-9)

    def _wrong(self, argument: Any, found: Hidden, allowed: Array, words: str, form: str) -> Claim:
        fault, sentence = self._name(found, allowed, form)
        return Claim(
            argument.name,
            (words,),
            fault,
            f"`{argument.name}` given as {words}: {sentence}",
            place=found.place,
            yours=(~found.cells[0, 0]).astype(float),
            expected=(allowed & ~self.plain.cells)[0, 0].astype(float),
        )

    def _name(self, found: Hidden, allowed: Array, form: str) -> tuple[str, str]:
        base = self.plain.cells
        b, h, n, m = self.shape
        others: list[tuple[str, str, Array]] = []
        if n == m:
            others.append(("mask_transposed", "queries and keys are exchanged", allowed.swapaxes(-1, -2)))
        others.append(
            (
                "mask_first_only",
                "the mask of the first sequence serves for all",
                np.broadcast_to(allowed[:1], allowed.shape),
            )
        )
        folded = np.tile(allowed[:, 0], (h, 1, 1)).reshape(b, h, n, m)
        others.append(
            (
                "mask_batch_order",
                "the masks of the sequences are repeated in another order than heads and sequences are folded",
                folded,
            )
        )
        if form in _PADDING_FORMS and n == m:
            others.append(
                ("mask_hides_queries", "rows of queries are hidden, not columns of keys", allowed.swapaxes(-1, -2))
            )
        if form == "w n m":
            words = "each mask serves for neighbours, not for the same window of every picture"
            others.append(("mask_batch_order", words, np.repeat(allowed[:_WINDOWS], b // _WINDOWS, 0)))
        shifted = np.concatenate([allowed[..., :1], allowed[..., :-1]], -1)
        others.append(("mask_off_by_one", "it is shifted by one key", shifted))
        others.append(
            ("mask_off_by_one", "it is shifted by one key", np.concatenate([allowed[..., 1:], allowed[..., -1:]], -1))
        )
        for name, sentence, seen in sorted(others, key=lambda o: o[0] != "mask_hides_queries"):
            for turned in (seen, ~seen):
                if (found.cells == (base | ~turned)).all():
                    return name, sentence
        return "mask_misread", "what is hidden is not what it says"

    def _lengths(self, argument: Any) -> Claim:
        b, _, n, m = self.shape
        lengths = np.array([m - 1 - 2 * (i % 2) for i in range(b)])
        tried = []
        for words, value in (
            ("(b,)", lengths),
            ("(b, n_q)", np.stack([np.minimum(m, 1 + (np.arange(n) + i) % m) for i in range(b)])),
        ):
            given = torch.as_tensor(value) if self.plan.library == "torch" else value
            found = self._given(argument, given)
            if found is None:
                continue
            self._note_fill(found, "boolean")
            per_query = value[:, None] if value.ndim == 1 else value
            allowed = np.broadcast_to((np.arange(m)[None, None] < per_query[..., None])[:, None], self.shape)
            meaning = self._meaning(found, allowed, "boolean")
            if meaning != "keep":
                by_rows = np.broadcast_to((np.arange(n)[None, :, None] < lengths[:, None, None])[:, None], self.shape)
                sentence = "what is hidden is not what lies beyond the lengths"
                name = "mask_misread"
                if meaning == "ignored":
                    name, sentence = "mask_ignored", "no key is hidden"
                elif meaning == "hide":
                    name, sentence = "mask_inverted", "the first keys are hidden, not those beyond the lengths"
                elif (found.cells == (self.plain.cells | ~by_rows)).all():
                    name, sentence = "mask_hides_queries", "rows of queries are hidden, not columns of keys"
                elif (
                    value.ndim == 1
                    and (
                        found.cells
                        == (
                            self.plain.cells
                            | ~np.broadcast_to((np.arange(m)[None] <= lengths[:, None])[:, None, None], self.shape)
                        )
                    ).all()
                ):
                    name, sentence = "padding_off_by_one", "one key too many counts"
                return Claim(
                    argument.name,
                    (words,),
                    name,
                    f"`{argument.name}` given as {words}: {sentence}",
                    place=found.place,
                    yours=(~found.cells[0, 0]).astype(float),
                    expected=(allowed & ~self.plain.cells)[0, 0].astype(float),
                )
            tried.append(words)
        return Claim(argument.name, tuple(tried))

    def _causal(self, argument: Any) -> Claim:
        default = getattr(argument, "default", None)
        tried, place = [], self.plain.place
        for value in (True, False):
            if value is default:
                continue
            found = self._given(argument, value)
            if found is None:
                continue
            tried.append(str(value))
            pattern = find_pattern(found.cells).name if value else "causal"
            if value and pattern not in ("causal", "causal_start"):
                fault = {
                    "nothing": "causal_ignored",
                    "reversed": "causal_reversed",
                    "diagonal_hidden": "mask_diagonal_hidden",
                    "one_ahead": "mask_off_by_one",
                    "reversed_without_diagonal": "causal_reversed",
                }.get(pattern, "mask_misread")
                words = {"causal_ignored": "nothing is hidden", "causal_reversed": "the past is hidden"}.get(
                    fault, "what is hidden is not the future"
                )
                expected = np.tri(*found.cells.shape[-2:])
                return Claim(
                    argument.name,
                    ("True",),
                    fault,
                    f"`{argument.name}=True`: {words}",
                    place=found.place or place,
                    yours=(~found.cells[0, 0]).astype(float),
                    expected=expected,
                )
            if not value and (found.cells == self.plain.cells).all() and self.plain.cells.any():
                return Claim(
                    argument.name,
                    ("False",),
                    "none_mask_is_causal",
                    f"`{argument.name}=False` hides the future all the same",
                    place=place,
                )
        return Claim(argument.name, tuple(tried))
