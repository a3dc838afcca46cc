"""Every argument is a claim: a mask hides, `is_causal` hides the future, a cache changes nothing. Each is tried.

An argument is given values, in every form that the target accepts, and what the target then really hid is read from
what entered its softmax. What could not be tried is said by name.
"""

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from attention_surgeon.calls.names import words_of
from attention_surgeon.witness.findings import Claim
from attention_surgeon.witness.flow import Plan
from attention_surgeon.witness.hiding import PADDING_FORMS, WINDOWS, Caller, taken_apart
from attention_surgeon.witness.masks import NO_SOFTMAX, Masks
from attention_surgeon.witness.record import Array
from attention_surgeon.witness.scores import find_pattern

_OF_NO_KEYS = re.compile(r"^(row|query|q|tgt|target)_mask|heads?_mask$", re.IGNORECASE)
"""A mask of queries or of whole heads, which hides no key."""


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


def _of_windows(plan: Plan, made: Any, says: str, claim: Claim, argument: Any) -> Claim:
    """Give a mask of two windows to twice as many sequences: pictures stand one after the other, each in windows."""
    kinds = [taken_apart(words)[1] for words in claim.tried]
    if not kinds:
        return claim
    try:
        found = Masks(Caller(plan, made, batch=2 * WINDOWS), says).claim_of_windows(argument, kinds[0])
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
    is_alone = sum(a.role in ("mask", "padding") for a in plan.arguments) == 1  # another one may have to be given, too
    is_said = claim.fault is not None or not is_alone
    is_more = other is not None and bool(other.tried) and (other.fault != "mask_ignored" or not is_said)
    return other if is_more else None


class _Trier:
    def __init__(self, plan: Plan, made: Any, says: str, **sizes: int) -> None:
        self.plan, self.caller = plan, Caller(plan, made, **sizes)
        self.masks = Masks(self.caller, says)
        self.plain, self.shape = self.caller.plain, self.caller.shape

    def claim(self, argument: Any) -> Claim | None:
        """Return what came of one argument, None for those that are part of every call."""
        tries: dict[str, Callable[[Any], Claim]] = {
            "mask": self.masks.claim_of_mask,
            "padding": self.masks.claim_of_padding,
            "lengths": self._lengths,
            "causal": self._causal,
        }
        if argument.role == "mask" and _OF_NO_KEYS.search(argument.name):
            return Claim(argument.name)
        if argument.role in tries:
            self.caller.fills.clear()
            found = tries[argument.role](argument)
            is_by_fill = found.fault is None or NO_SOFTMAX in found.sentence
            return self._filled(found) if is_by_fill and found.tried and self.caller.fills else found
        if argument.name in self.caller.inputs and getattr(argument, "required", False):
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
            seen = self.caller.hidden({one.argument: first, two.argument: second})
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
        form, kind = taken_apart(claim.tried[0])
        if form in PADDING_FORMS or kind not in ("boolean", "additive", "integer"):
            allowed = self.caller.allowed("b m")
        else:
            allowed = self.caller.allowed(form)
            allowed = allowed[..., ::-1].copy() if turned else allowed
            allowed[..., 0] = True
        return allowed, self.caller.as_value(~allowed if claim.meaning == "hide" else allowed, form, kind)

    def _filled(self, claim: Claim) -> Claim:
        """A hidden score must lie below every real one."""
        fill, place = self.caller.fills[0]
        if abs(fill) < 1e-6:
            name, words = "mask_filled_with_zero", "hidden scores are set to 0, which is a score"
        elif fill > 0:
            name, words = "mask_fill_positive", f"hidden scores are set to {fill:g}"
        else:
            name, words = "mask_fill_too_small", f"hidden scores are set to {fill:g}; real scores go lower"
        sentence = f"`{claim.argument}`: {words}"
        return replace(claim, fault=name, sentence=sentence, place=place, yours=None, expected=None)

    def _lengths(self, argument: Any) -> Claim:
        b, _, n, m = self.shape
        lengths = np.array([m - 1 - 2 * (i % 2) for i in range(b)])
        tried = []
        for words, value in (
            ("(b,)", lengths),
            ("(b, n_q)", np.stack([np.minimum(m, 1 + (np.arange(n) + i) % m) for i in range(b)])),
        ):
            given = torch.as_tensor(value) if self.plan.library == "torch" else value
            found = self.caller.given(argument, given)
            if found is None:
                continue
            self.caller.note_fill(found, "boolean")
            per_query = value[:, None] if value.ndim == 1 else value
            allowed = np.broadcast_to((np.arange(m)[None, None] < per_query[..., None])[:, None], self.shape)
            meaning = self.masks.meaning(found, allowed, "boolean")
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
            found = self.caller.given(argument, value)
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
