"""What a mask means to a target, over all its forms: True hides or may attend, numbers are added, or it is misread."""

import ast
import re
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, final

import numpy as np

from attention_surgeon.calls.names import words_of
from attention_surgeon.testing.words import declared_polarity
from attention_surgeon.witness.canon import softmax
from attention_surgeon.witness.findings import Claim
from attention_surgeon.witness.hiding import PADDING_FORMS, WINDOWS, Caller, Hidden, taken_apart
from attention_surgeon.witness.record import Array
from attention_surgeon.witness.scores import find_pattern

_MASK_FORMS = ("n m", "b 1 n m", "b n m", "b h n m", "1 1 n m", "1 n m", "B n m", "b m", "b 1 1 m", "b 1 m")
_SEQUENCE_FIRST = ("n m b", "n m 1")  # of layers whose tokens lie so, too
_OF_ANY_MASK = frozenset(("mask", "masks", "attention", "attn", "key", "padding", "pad", "bias"))
"""Words in the name of a mask that do not say whose it is."""
NO_SOFTMAX = "the weights are no softmax over the keys that are seen"
_OTHER_BATCH = 4  # sequences: no other size of a plain call is this
_NUMBERS = re.compile(r"\bfloat(ing|s)?\b(?!\()[^\n(]{0,20}mask|mask[^\n]{0,30}\bfloats?\b(?!\()", re.IGNORECASE)
"""What a text says of a mask of numbers."""
_YES_OR_NO = re.compile(r"\b(Byte|Bool)Tensor\b|\bbinary\b|\bboolean\b|\bby 1s\b", re.IGNORECASE)
"""What a text says of a mask of yes and no."""


@final
class Masks:
    """Masks that are given to one target.

    Attributes:
        caller: What calls it.
        says: The text around it, in which a polarity may be declared.
    """

    def __init__(self, caller: Caller, says: str) -> None:
        """Begin with no mask given."""
        self.caller, self.says = caller, says
        self.plan, self.plain, self.shape = caller.plan, caller.plain, caller.shape

    def claim_of_mask(self, argument: Any) -> Claim:
        """Return what came of a mask of queries and keys, or of keys alone where its name says so."""
        if "pad" in argument.name.lower():
            return self._over_forms(argument, PADDING_FORMS)
        is_sequence_first = any(a.axes.startswith("nb") for a in self.plan.arguments if a.name in self.caller.inputs)
        return self._over_forms(argument, (*_MASK_FORMS, *(_SEQUENCE_FIRST if is_sequence_first else ())))

    def claim_of_windows(self, argument: Any, kind: str) -> Claim:
        """Return what came of a mask `(windows, n, m)` of a kind that is understood in other forms."""
        allowed, words = self.caller.allowed("w n m"), f"(w, n, m) {kind}"
        found = self.caller.given(argument, self.caller.as_value(allowed, "w n m", kind))
        if found is None:
            return Claim(argument.name)
        if self.meaning(found, allowed, kind) is None:
            return self._wrong(argument, found, allowed, words, "w n m")
        return Claim(argument.name, (words,))

    def claim_of_padding(self, argument: Any) -> Claim:
        """Return what came of a mask of keys."""
        return self._over_forms(argument, (*PADDING_FORMS, "n m", "b 1 n m"))

    def _over_forms(self, argument: Any, forms: Sequence[str]) -> Claim:
        """Give masks in every form and dtype, and compare what was hidden with what they say."""
        meanings: dict[str, list[str]] = {}
        misread: list[tuple[Hidden, Array, str, str]] = []
        understood: set[str] = set()
        as_numbers: list[str] = []
        for form in forms:
            if form == "B n m" and self.shape[1] == 1:
                continue
            allowed = self.caller.allowed(form)
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
        form, kind = taken_apart(words)
        if "b" not in form:
            return True
        try:
            other = Caller(self.plan, self.caller.made, **{**self.caller.sizes, "batch": _OTHER_BATCH})
        except Exception:  # noqa: BLE001  a size that is refused says nothing of the mask
            return True
        return other.given(argument, other.as_value(other.allowed(form), form, kind)) is not None

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
        whose = set(words_of(name)) - _OF_ANY_MASK
        return any(
            a.name in (of, f"{of}s") or (a.role == "context" and whose & set(words_of(a.name)))
            for a in self.plan.arguments
            if of and a.name not in self.caller.inputs
        )

    def _adds(self, argument: Any, words: str) -> bool:
        """Whether a small number in a mask that is added only lowers a score."""
        form, _ = taken_apart(words)
        allowed = self.caller.allowed(form)
        lowered = self.caller.as_value(np.where(allowed, 0.0, -0.7), form, "added")
        found = self.caller.given(argument, lowered)
        if found is None or self.caller.has_extra:
            return True
        with np.errstate(invalid="ignore"):
            change = np.where(self.plain.cells, np.nan, found.masked - self.plain.masked)
            right = np.where(self.plain.cells, np.nan, np.where(allowed, 0.0, -0.7))
            gap = (change - np.nanmean(change, -1, keepdims=True)) - (right - np.nanmean(right, -1, keepdims=True))
        return not bool((np.abs(gap) > 1e-3).any())

    def _renormalised(self, argument: Any, tried: tuple[str, ...], meaning: str) -> Claim:
        """Whether, with a mask, the weights that are used are the softmax over the keys that are seen."""
        form, kind = taken_apart(tried[0])
        found = self.caller.given(argument, self.caller.as_value(self.caller.allowed(form), form, kind))
        if found is None:
            return Claim(argument.name, tried, meaning=meaning)
        scores = np.where(self.plain.cells, found.masked, self.plain.masked)  # a mask may stand for the causal one
        plain = np.where(np.isfinite(scores), scores, 0.0)
        expected = softmax(np.where(found.cells, -np.inf, plain))
        allowed = self.caller.allowed(form)
        rows = ~(found.cells.all(-1) | self._blank(found, ~allowed if meaning == "hide" else allowed))
        if (
            not np.isfinite(found.used).all()
            or np.abs(found.used - expected)[rows].max() < 1e-4
            or self.caller.has_extra
        ):
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
            name, sentence = "mask_misread", NO_SOFTMAX
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
            found = self.caller.given(argument, self.caller.as_value(allowed, form, kind))
            if found is None:
                continue
            self.caller.note_fill(found, kind)
            meaning, words = self.meaning(found, allowed, kind), f"({', '.join(form.split())}) {kind}"
            if meaning is None:
                wrong.append((found, words))
            elif meaning != "ignored" or not valid:
                valid.append((meaning, words))
        understood = [pair for pair in valid if pair[0] != "ignored"]
        return understood or ([] if wrong else valid), wrong

    def meaning(self, found: Hidden, allowed: Array, kind: str) -> str | None:
        """Return what a mask was taken for: `keep`, `hide`, `additive` or `ignored`; None where it was misread."""
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
        if fault == "mask_misread" and np.isnan(found.masked).any() and not np.isnan(self.plain.masked).any():
            sentence = "scores become NaN, and so do the weights of their rows"
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
        if form in PADDING_FORMS and n == m:
            others.append(
                ("mask_hides_queries", "rows of queries are hidden, not columns of keys", allowed.swapaxes(-1, -2))
            )
        if form == "w n m":
            words = "each mask serves for neighbours, not for the same window of every picture"
            others.append(("mask_batch_order", words, np.repeat(allowed[:WINDOWS], b // WINDOWS, 0)))
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
