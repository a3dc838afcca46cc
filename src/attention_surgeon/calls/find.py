"""How a target is called: found by trying, and kept only where the target behaves as the layout says.

An attempt is made in `Attempt.run`; it counts as understood where the sequences of a batch keep to themselves and the
tokens of a sequence do not. What merely runs is kept for the case that nothing better is found: wrong code may
behave so.
"""

import dataclasses
import inspect
import itertools
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from attention_surgeon.calls.argument import TOKENS, Argument, Library, Sizes
from attention_surgeon.calls.arguments import (
    Layout,
    argument,
    forms,
    layouts,
    method_of,
    roles_of,
    signature_of,
    trains_by_default,
)
from attention_surgeon.calls.behaviour import Behaviour, behaviour_of
from attention_surgeon.calls.construct import Maker
from attention_surgeon.calls.draw import draw_parameters
from attention_surgeon.calls.example import plan_of_example
from attention_surgeon.calls.jax_names import run_with_numpy
from attention_surgeon.calls.names import Role
from attention_surgeon.calls.plan import Plan, Refusal
from attention_surgeon.calls.reasons import made_by, refusal, words_of_error
from attention_surgeon.calls.sizes import Proposal, proposals
from attention_surgeon.calls.source import Text, globals_of, is_installed, text_of
from attention_surgeon.calls.widths import FIRST_LENGTHS, OTHER_LENGTHS, PICTURE, lengths_of, widths_of

_USES: tuple[tuple[Library, str], ...] = (
    ("jax", r"\b(jnp|jax)\."),
    ("torch", r"\btorch\.|\bTensor\b|\bF\.|\bnn\."),
    ("numpy", r"\b(np|numpy)\."),
)
_STAGES = (  # numbers of tokens, whether in likely layouts, with tokens that may be left out, the usual other arguments
    (FIRST_LENGTHS, True, False, True),
    (FIRST_LENGTHS, True, True, True),
    (FIRST_LENGTHS, True, False, False),
    (FIRST_LENGTHS, False, False, True),
    (OTHER_LENGTHS, True, False, True),
    (FIRST_LENGTHS + OTHER_LENGTHS, False, False, False),
    (OTHER_LENGTHS, True, False, False),
)
_USUAL = 2  # of the combinations of arguments that are no tokens
_NO_NUMBERS = 2  # faults of a call that gives none: a mask of the wrong polarity hides everything
_ATTEMPTS = 400
_SECONDS = 2.0  # of CPU time
_WIDEST = 2048  # features of a layer at its author's own sizes
_TOLD = re.compile(r"size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\)")
_OF_SEQUENCES = re.compile(r"(keep|hide|add|one):b")  # a mask for each of several
_MIXES = "it attends over several axes of its input at once, or one softmax serves several sequences; I judge neither"
_LONGEST = 300  # tokens
_MUST = re.compile(r"\b(provide|must|required?|needs?|specify|give|either|missing)\b", re.IGNORECASE)
"""What an error says of a parameter that must be given."""


def find_plan(
    target: Any,
    *,
    name: str = "",
    source: str | None = None,
    example: Callable[[], Any] | None = None,
    hints: Mapping[str, Any] | None = None,
) -> Plan | Refusal:
    """Find how a target is made and called.

    Args:
        target: A class, function or object.
        name: Its name, where it is not its own.
        source: The text of its file, where Python cannot find it.
        example: Returns the object and its arguments, `(object, arguments)` or `(object, arguments, named)`.
        hints: Values of the constructor's parameters.

    Returns:
        The plan, or why there is none.
    """
    del name
    if example is not None:
        return plan_of_example(example, source)
    return _Search(target, text_of(target, source), dict(hints or {})).result()


_Made = tuple[dict[str, Any], Any, Proposal]


@dataclass
class _Search:
    target: Any
    text: Text
    hints: dict[str, Any]
    sizes: Mapping[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    library: Library = "torch"
    attempts: int = 0
    best: tuple[tuple[bool, bool, int], Plan] | None = None
    made: list[_Made] = field(default_factory=list)
    reached: int = 0
    told: set[tuple[int, int]] = field(default_factory=set)
    mixes: bool = False

    def result(self) -> Plan | Refusal:
        """Search, with warnings off and the state of gradients and of random numbers as before."""
        import torch

        self.end = time.process_time() + _SECONDS
        state = torch.random.get_rng_state(), np.random.get_state()  # noqa: NPY002  the target's own generator
        try:
            with warnings.catch_warnings(), torch.no_grad(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                return self._result()
        except LookupError as error:
            return self._refusal(str(error))
        finally:
            torch.random.set_rng_state(state[0])
            np.random.set_state(state[1])  # noqa: NPY002

    def _result(self) -> Plan | Refusal:
        if kind := made_by(self.target):
            return Refusal(f"{self.target.__name__} makes a {kind} and attends to nothing itself; judge {kind}")
        self.method = method_of(self.target)
        self.parameters = signature_of(self.target, self.method)
        is_mask = inspect.isroutine(self.target) and bool(re.search("mask|padding", self.target.__name__.lower()))
        self.roles = roles_of(self.parameters, is_mask=is_mask)
        self.maker = Maker(self.target, self.text, self.hints)
        self.required = self._given(with_optional=False)
        self.library = self._library()
        if self.library == "jax":
            self.target, self.library = run_with_numpy(self.target), "numpy"
        for plan in self._plans():
            if plan is not None:
                return plan
            if self.attempts >= _ATTEMPTS or time.process_time() > self.end:
                break
        if self.best is None and self.made:
            self._with_masks()
        if self.best is None and self.made:
            self._climb(*self.made[0])
        if self.best is not None:
            return self.best[1]
        return self._refusal(_MIXES if self.mixes else "")

    def _library(self) -> Library:
        """Return whose arrays it takes, by what its text uses, then by what its file imports."""
        import torch

        kind = self.target if inspect.isclass(self.target) else type(self.target)
        if issubclass(kind, torch.nn.Module):
            return "torch"
        for library, pattern in _USES:
            if re.search(pattern, self.text.code):
                return library
        parts = (globals_of(v) for v in self.text.names.values() if inspect.isclass(v) or inspect.isfunction(v))
        for names in (self.text.names, *filter(_is_own_file, parts)):  # then those that its file takes parts from
            imported = {v.__name__.split(".")[0] for v in names.values() if inspect.ismodule(v)}
            libraries: list[Library] = [library for library, _ in _USES if library in imported]
            if libraries:
                return libraries[0]
        return "torch"

    def _plans(self) -> Iterator[Plan | None]:
        """Yield what came of each attempt: first in likely layouts at all sizes, then in others."""
        made = self.made
        for lengths, is_likely, with_optional, is_usual in _STAGES:
            self.required = self._given(with_optional=with_optional)
            if with_optional and len(self.required) == len(self._given(with_optional=False)):
                continue
            before = self.attempts
            for one in list(made) or self._kept(made):
                for plan in self._calls(*one, lengths, is_likely=is_likely, is_usual=is_usual):
                    yield plan
                    if self.attempts - before > _ATTEMPTS // 4:  # what its comments say may be said of a helper
                        break
                if self.best is None:
                    yield from self._at_lengths_told(*one)
                if self.best is not None and (not is_usual or (not self.best[0][0] and self.best[0][2] < _NO_NUMBERS)):
                    return
                if self.attempts - before > _ATTEMPTS // 4:
                    break

    def _at_lengths_told(self, given: dict[str, Any], made: Any, proposal: Proposal) -> Iterator[Plan | None]:
        """Try as many tokens as an error says that a table of the layer is made for, and one less: a class token.

        A table is told of by an error that names the tokens that were given beside it.
        """
        given_tokens = {n + beside for pair in (*FIRST_LENGTHS, *PICTURE) for n in pair for beside in (0, 1)}
        pairs = [(int(a), int(b)) for words in self.errors for a, b in _TOLD.findall(words)]
        found = {n for pair in pairs for n, other in (pair, pair[::-1]) if other in given_tokens}
        for n in sorted(n for n in found if (id(made), n) not in self.told):
            self.told.add((id(made), n))
            lengths = [(m, m) for m in (n, n - 1) if 3 < m <= _LONGEST]
            yield from self._calls(given, made, proposal, lengths, is_likely=True, is_usual=True)

    def _kept(self, made: list[_Made]) -> Iterator[_Made]:
        for one in self._objects():
            made.append(one)
            yield one

    def _given(self, *, with_optional: bool) -> list[str]:
        """Return the arguments that a call gives: what must be given, tokens at least, a context of its own width."""
        must = [p.name for p in self.parameters if p.default is p.empty or trains_by_default(p)]
        tokens = [name for name, role in self.roles.items() if role in TOKENS]
        if with_optional or not self.parameters:
            return [*must, *(name for name in tokens if name not in must)]
        if not must:
            return [name for name in tokens if self.roles[name] != "context"]
        has_width = any(
            self.maker.roles[p.name] == "context_width" and p.default is p.empty for p in self.maker.parameters
        )
        return [*must, *(name for name in tokens if has_width and self.roles[name] == "context" and name not in must)]

    def _objects(self) -> Iterator[_Made]:
        """Yield what the constructor was given, and what it made of that, at each proposed size that it takes."""
        seen: list[Any] = []
        for proposal in proposals(self.sizes):
            try:
                given = self.maker.values(proposal)
            except LookupError as error:
                self._note(error)
                continue
            key = repr(given) if inspect.isclass(self.target) else (proposal.head_size, proposal.value_size)
            if key not in seen:
                seen.append(key)
                if proposal.keeps and self._is_huge(given):
                    continue
                made = self._made(given)
                if made is not None:
                    yield given, made, proposal

    def _is_huge(self, given: Mapping[str, Any]) -> bool:
        """Whether a layer at its author's own sizes is so wide that to make it takes longer than all other attempts."""
        names = [name for name, role in self.maker.roles.items() if role == "width"]
        values = {p.name: p.default for p in self.maker.parameters} | dict(given)
        found = [values[name] for name in names if name in values]
        for config, name in itertools.product(given.values(), names):  # a name may stand for another in it
            found.append(config.get(name) if isinstance(config, Mapping) else getattr(config, name, None))
        return any(isinstance(width, int) and width > _WIDEST for width in found)

    def _made(self, given: Mapping[str, Any]) -> Any:
        if not inspect.isclass(self.target):
            return self.target
        self.attempts += 1
        try:
            made = Plan(self.target, given, Sizes(), ()).bare()
        except Exception as error:  # noqa: BLE001  somebody else's code may raise anything
            self._note(error)
            self._give_norm(str(error))
            self._give_named(str(error))
            return None
        draw_parameters(made, 0, None)
        return made

    def _give_named(self, said: str) -> None:
        """Give from now on the sizes that are None by default and that an error says must be given."""
        named = {
            p.name
            for p in self.maker.parameters
            if p.default is None and p.name not in self.maker.asked and re.search(rf"\b{re.escape(p.name)}\b", said)
        }
        if named and _MUST.search(said):
            self.maker = dataclasses.replace(self.maker, asked=self.maker.asked | named)

    def _give_norm(self, said: str) -> None:
        """Give the class of a norm from now on, where an error says that it must be given."""
        from torch import nn

        for parameter in self.maker.parameters:
            is_asked = re.search(rf"\b{re.escape(parameter.name)}\b.*\b(must|required|needs?)\b", said)
            if is_asked and parameter.default is None and "norm" in parameter.name.lower():
                self.hints.setdefault(parameter.name, nn.LayerNorm)

    def _calls(
        self,
        given: Mapping[str, Any],
        made: Any,
        proposal: Proposal,
        lengths: Sequence[tuple[int, int]],
        *,
        is_likely: bool,
        is_usual: bool,
    ) -> Iterator[Plan | None]:
        for arguments, sizes, layout in self._argument_lists(made, proposal, lengths, is_likely, is_usual):
            plan = Plan(self.target, given, sizes, arguments, self.library, method=self.method)
            self.attempts += 1
            found = self._tried(plan, made, layout)
            if found is not None:
                yield self._finished(found)
            yield None

    def _tried(self, plan: Plan, made: Any, layout: Layout) -> Plan | None:
        """Return the plan with its output where the target behaves as the layout says."""
        try:
            seen = behaviour_of(plan, made)
        except Exception as error:  # noqa: BLE001  somebody else's code may raise anything
            self._note(error)
            self.reached = _line_reached(error, plan)
            return None
        self.reached = sys.maxsize
        plan = dataclasses.replace(plan, output=seen.output, output_axes=seen.axes)
        if seen.faults and any("s" in a.axes for a in plan.arguments):
            self.mixes = True
            return None
        is_grouped = any("g" in a.axes for a in plan.arguments)
        if seen.faults and layout.is_against:  # what runs in a layout that its text does not have proves nothing
            return None
        rank = not layout.is_said, is_grouped and seen.faults > 0, seen.faults
        if self.best is None or rank < self.best[0]:
            self.best = rank, self._finished(plan)
        return self.best[1] if seen.faults == 0 else None

    def _finished(self, plan: Plan) -> Plan:
        return dataclasses.replace(plan, notes=tuple(self.errors), switches=self._switched, finder=self._resized)

    def _note(self, error: Exception) -> None:
        words = words_of_error(error)
        self.errors[words] = self.errors.get(words, 0) + 1

    def _refusal(self, reason: str) -> Refusal:
        tried = sorted(self.errors, key=lambda words: -self.errors[words])
        return refusal(getattr(self.target, "__name__", type(self.target).__name__), tried, self.attempts, reason)

    def _with_masks(self) -> None:
        """Give the masks that may be left out by their defaults, where no call without them worked."""
        masks = [p.name for p in self.parameters if p.default is None and self.roles[p.name] in ("mask", "padding")]
        if not masks:
            return
        self.required = [*self._given(with_optional=False), *masks]
        end = time.process_time() + _SECONDS / 2
        for one in self.made[:2]:
            for is_usual in (True, False):
                for _ in self._calls(*one, FIRST_LENGTHS, is_likely=True, is_usual=is_usual):
                    if (self.best is not None and self.best[0][2] == 0) or time.process_time() > end:
                        return

    def _climb(self, given: Mapping[str, Any], made: Any, proposal: Proposal) -> None:
        """Change one argument at a time and keep what gets further down the text, where all at once are too many."""
        self.required = self._given(with_optional=False)
        others = [p for p in self.parameters if p.name in self.required and self.roles[p.name] not in TOKENS]
        lists = self._argument_lists(made, proposal, FIRST_LENGTHS, True, True)
        for arguments, sizes, layout in itertools.islice(lists, 0, 3 * _USUAL, _USUAL):
            reached = -1
            for _ in range(2):
                for parameter in others:
                    for form in forms(parameter, self.roles[parameter.name], self.roles, self.text)[:12]:
                        tried = tuple(
                            dataclasses.replace(a, form=form) if a.name == parameter.name else a for a in arguments
                        )
                        plan = Plan(self.target, given, sizes, tried, self.library, method=self.method)
                        self.attempts += 1
                        if self._tried(plan, made, layout) is not None or time.process_time() > self.end + _SECONDS:
                            return
                        if self.reached > reached:
                            reached, arguments = self.reached, tried

    # What is given.

    def _argument_lists(
        self, made: Any, proposal: Proposal, some: Sequence[tuple[int, int]], is_likely: bool, is_usual: bool
    ) -> Iterator[tuple[tuple[Argument, ...], Sizes, Layout]]:
        others = [p for p in self.parameters if p.name in self.required and self.roles[p.name] not in TOKENS]
        options = [forms(p, self.roles[p.name], self.roles, self.text) for p in others]
        ranked = _by_rank(options, [self.roles[p.name] for p in others])
        combinations = ranked[:_USUAL] if is_usual else ranked[_USUAL:]
        is_function = inspect.isroutine(self.target)
        is_picture = _has_picture_layers(made)
        tokens = [p for p in self.parameters if self.roles[p.name] in TOKENS]
        has_tokens = any(p.name in self.required for p in tokens)
        kinds = list(layouts(self.roles, self.required, self.text, is_function=is_function, is_picture=is_picture))
        if not has_tokens:
            kinds = [Layout("nd", "md", "md", is_equal=True, is_likely=True)]
        kinds = [kind for kind in kinds if kind.is_likely == is_likely]
        for lengths, layout in lengths_of(kinds, some, self.roles):
            for sizes, widths in widths_of(made, self.maker, proposal, layout, lengths, self.roles):
                for combination in combinations:
                    if "b" not in layout.query and any(_OF_SEQUENCES.match(form) for form in combination):
                        continue
                    chosen = dict(zip((p.name for p in others), combination, strict=True))
                    yield (
                        tuple(self._argument(p, layout, widths, chosen) for p in self.parameters),
                        sizes,
                        layout,
                    )

    def _argument(
        self, parameter: inspect.Parameter, layout: Layout, widths: Mapping[Role, int], chosen: Mapping[str, str]
    ) -> Argument:
        role = self.roles[parameter.name]
        if role in TOKENS:
            axes = layout.axes(role, has_query="query" in self.roles.values() or "x" in self.roles.values())
            if layout.is_equal:
                axes = axes.replace("m", "n") if role not in ("key", "value", "context") else axes
            return argument(parameter, role, "tokens" if parameter.name in self.required else "", axes, widths[role])
        form = chosen.get(parameter.name, "")
        return argument(parameter, role, form if parameter.name in self.required else "")

    # Others of the same target.

    def _switched(self, plan: Plan) -> Iterator[Plan]:
        for given in self._flips(plan.constructor):
            changed = dataclasses.replace(plan, constructor=given)
            try:
                made = changed.make()
                if _is_quantised(made):
                    continue
                behaviour_of(changed, made)
            except Exception:  # noqa: BLE001  a switch that is refused is left out
                continue
            yield changed

    def _flips(self, given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        for parameter in self.maker.parameters:
            value = given.get(parameter.name, parameter.default)
            if isinstance(value, bool):
                yield {**given, parameter.name: not value}
            elif isinstance(value, str):
                for choice in self.text.choices(parameter.name):
                    if choice != value:
                        yield {**given, parameter.name: choice}
            elif self.maker.roles.get(parameter.name) == "config" and parameter.name in given:
                yield from ({**given, parameter.name: other} for other in self._config_flips(parameter.name, value))

    def _config_flips(self, name: str, config: Any) -> Iterator[Any]:
        from attention_surgeon.calls.plan import fresh

        for key in self.text.fields(name):
            value = config.get(key) if isinstance(config, Mapping) else getattr(config, key, None)
            others = (
                [not value]
                if isinstance(value, bool)
                else [c for c in self.text.choices(key) if c != value]
                if isinstance(value, str)
                else []
            )
            for other in others:
                changed = fresh(config)
                try:
                    if isinstance(changed, dict):
                        changed[key] = other
                    else:
                        setattr(changed, key, other)
                except Exception:  # noqa: BLE001  frozen
                    continue
                yield changed

    def _resized(self, **sizes: int) -> Plan | Refusal:
        return _Search(self.target, self.text, self.hints, sizes).result()


def _by_rank(options: Sequence[Sequence[str]], roles: Sequence[Role], most: int = 60) -> list[tuple[str, ...]]:
    """Return the combinations of options, those that differ least from all first ones first; cos and sin lie alike."""
    if not options:
        return [()]
    cut = [list(enumerate(option))[: max(4, 40 // len(options))] for option in options]
    tables = [place for place, role in enumerate(roles) if role in ("cos", "sin")]
    sides = [place for place, role in enumerate(roles) if role in ("rows", "columns")]
    alike = (
        c
        for c in itertools.product(*cut)
        if all(len({c[place][0] for place in places}) < 2 for places in (tables, sides))
    )
    found = sorted(itertools.islice(alike, 5000), key=lambda c: sum(rank for rank, _ in c))
    return [tuple(form for _, form in combination) for combination in found[:most]]


def _line_reached(error: BaseException, plan: Plan) -> int:
    """Return the line of the method that is called at which it raised; 0 where it raised before it began."""
    name = plan.method or ("forward" if hasattr(plan.target, "forward") else getattr(plan.target, "__name__", ""))
    place, found = error.__traceback__, 0
    while place is not None:
        found = place.tb_lineno if place.tb_frame.f_code.co_name == name else found
        place = place.tb_next
    return found


def _is_quantised(made: Any) -> bool:
    """Whether a layer keeps a matrix in whole numbers, which nobody can draw for it."""
    held = made.parameters() if hasattr(made, "parameters") else ()
    return any(p.ndim > 1 and not (p.is_floating_point() or p.is_complex()) for p in held)


def _is_own_file(names: Mapping[str, Any]) -> bool:
    """Whether these are the names of a file of the user's own, and not of an installed package or of ours."""
    package = str(names.get("__name__", "")).partition(".")[0]
    return package != "attention_surgeon" and not is_installed(str(names.get("__file__", "")))


def _has_picture_layers(made: Any) -> bool:
    return hasattr(made, "modules") and any(type(m).__name__ == "Conv2d" for m in made.modules())


__all__ = ["Behaviour", "find_plan"]
