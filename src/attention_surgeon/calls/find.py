"""How a target is called: found by trying, and kept only where the target behaves as the layout says.

An attempt is made in `Attempt.run`; it counts as understood where the sequences of a batch keep to themselves and the
tokens of a sequence do not. What merely runs is kept for the case that nothing better is found: wrong code may behave so.
"""

import dataclasses
import importlib.util
import inspect
import itertools
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from attention_surgeon.calls.arguments import Layout, argument, forms, layouts, method_of, roles_of, signature_of
from attention_surgeon.calls.behaviour import Behaviour, behaviour_of
from attention_surgeon.calls.construct import Maker, Proposal, proposals
from attention_surgeon.calls.draw import draw_parameters
from attention_surgeon.calls.names import Role
from attention_surgeon.calls.plan import TOKENS, Argument, Plan, Refusal, Sizes
from attention_surgeon.calls.source import Text, text_of

_ATTEMPTS = 400
_SECONDS = 2.0  # of CPU time
_LENGTHS = ((5, 7), (6, 6), (9, 9), (8, 8), (64, 64))


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
    del name, example
    return _Search(target, text_of(target, source), dict(hints or {})).result()


@dataclass
class _Search:
    target: Any
    text: Text
    hints: dict[str, Any]
    sizes: Mapping[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    attempts: int = 0
    best: tuple[tuple[bool, int, bool], Plan] | None = None

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
        self.method = method_of(self.target)
        self.parameters = signature_of(self.target, self.method)
        self.roles = roles_of(self.parameters, is_mask="mask" in getattr(self.target, "__name__", "").lower())
        self.required = [p.name for p in self.parameters if p.default is p.empty]
        if not self.required and self.parameters and not TOKENS & {self.roles[n] for n in self.required}:
            self.required = [p.name for p in self.parameters if self.roles[p.name] in ("x", "query", "key", "value")]
        self.maker = Maker(self.target, self.text, self.hints)
        self.library = self._library()
        if self.library == "jax" and importlib.util.find_spec("jax") is None:
            raise LookupError("it takes JAX arrays, and jax is not installed")
        for plan in self._plans():
            if plan is not None:
                return plan
            if self.attempts >= _ATTEMPTS or time.process_time() > self.end:
                break
        if self.best is not None:
            return self.best[1]
        return self._refusal("")

    def _library(self) -> str:
        import torch

        if inspect.isclass(self.target) and issubclass(self.target, torch.nn.Module) or isinstance(self.target, torch.nn.Module):
            return "torch"
        words = self.text.source
        names = self.text.names
        uses = {name for name, value in names.items() if inspect.ismodule(value) and value.__name__.split(".")[0] == "torch"}
        if any(f"{name}." in words for name in uses) or "torch" in words:
            return "torch"
        if "jnp" in words or "jax" in words:
            return "jax"
        is_numpy = any(inspect.ismodule(v) and v.__name__ == "numpy" for v in names.values())
        return "numpy" if is_numpy and not any(inspect.ismodule(v) and v.__name__ == "torch" for v in names.values()) else "torch"

    def _plans(self) -> Iterator[Plan | None]:
        seen: list[Any] = []
        for proposal in proposals(self.sizes):
            try:
                given = self.maker.values(proposal)
            except LookupError as error:
                self._note(error)
                continue
            key = repr(given) if inspect.isclass(self.target) else (proposal.head_size, proposal.value_size)
            if key in seen:
                continue
            seen.append(key)
            made = self._made(given)
            if made is None:
                yield None
                continue
            yield from self._calls(given, made, proposal)
            if self.best is not None:
                return

    def _made(self, given: Mapping[str, Any]) -> Any:
        if not inspect.isclass(self.target):
            return self.target
        self.attempts += 1
        try:
            made = Plan(self.target, given, Sizes(), ())._bare()  # noqa: SLF001
        except Exception as error:  # noqa: BLE001  somebody else's code may raise anything
            self._note(error)
            return None
        draw_parameters(made, 0, None)
        return made

    def _calls(self, given: Mapping[str, Any], made: Any, proposal: Proposal) -> Iterator[Plan | None]:
        for arguments, sizes, is_said in self._argument_lists(made, proposal):
            plan = Plan(self.target, given, sizes, arguments, self.library, method=self.method)  # pyright: ignore[reportArgumentType]
            self.attempts += 1
            found = self._tried(plan, made, is_said=is_said)
            if found is not None:
                yield self._finished(found)
            yield None

    def _tried(self, plan: Plan, made: Any, *, is_said: bool) -> Plan | None:
        """Return the plan with its output where the target behaves as the layout says."""
        try:
            seen = behaviour_of(plan, made)
        except Exception as error:  # noqa: BLE001  somebody else's code may raise anything
            self._note(error)
            return None
        plan = dataclasses.replace(plan, output=seen.output, output_axes=seen.axes)
        rank = not is_said, seen.faults, any("g" in a.axes for a in plan.arguments)
        if self.best is None or rank < self.best[0]:
            self.best = rank, self._finished(plan)
        return self.best[1] if seen.faults == 0 else None

    def _finished(self, plan: Plan) -> Plan:
        return dataclasses.replace(plan, notes=tuple(self.errors), switches=self._switched, finder=self._resized)

    def _note(self, error: Exception) -> None:
        words = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:160] if str(error).strip() else ''}"
        self.errors[words] = self.errors.get(words, 0) + 1

    def _refusal(self, reason: str) -> Refusal:
        tried = tuple(sorted(self.errors, key=lambda words: -self.errors[words]))
        where = f"{getattr(self.target, '__name__', type(self.target).__name__)}"
        reason = reason or f"none of {self.attempts} calls of {where} worked" + (f": {tried[0]}" if tried else "")
        return Refusal(reason, tried, "add a function example() that returns the object and its arguments: return layer, (x,)")

    # What is given.

    def _argument_lists(self, made: Any, proposal: Proposal) -> Iterator[tuple[tuple[Argument, ...], Sizes, bool]]:
        others = [p for p in self.parameters if p.name in self.required and self.roles[p.name] not in TOKENS]
        options = [forms(p, self.roles[p.name], self.roles, self.text) for p in others]
        combinations = _by_rank(options)
        is_function = inspect.isroutine(self.target)
        is_picture = _has_picture_layers(made)
        tokens = [p for p in self.parameters if self.roles[p.name] in TOKENS]
        has_tokens = any(p.name in self.required for p in tokens)
        kinds = list(layouts(self.roles, self.required, self.text, is_function=is_function, is_picture=is_picture))
        if not has_tokens:
            kinds = [Layout("nd", "md", "md", is_equal=True)]
        for lengths, layout in self._shapes(kinds):
            for sizes, widths in self._widths(made, proposal, layout, lengths):
                for combination in combinations:
                    chosen = dict(zip((p.name for p in others), combination, strict=True))
                    yield tuple(self._argument(p, layout, widths, chosen) for p in self.parameters), sizes, layout.is_said

    def _shapes(self, kinds: Sequence[Layout]) -> Iterator[tuple[tuple[int, int], Layout]]:
        first = ((12, 12),) if "rows" in self.roles.values() else ()
        for lengths in first + _LENGTHS:
            for layout in kinds:
                if "y" in layout.query:
                    yield (6, 7) if lengths == (5, 7) else lengths, layout
                elif lengths[0] != lengths[1] or layout.is_equal:
                    yield lengths, layout
            

    def _widths(self, made: Any, proposal: Proposal, layout: Layout, lengths: tuple[int, int]) -> Iterator[tuple[Sizes, dict[Role, int]]]:
        n_q, n_k = lengths
        if layout.is_equal:
            n_k = n_q
        is_class = inspect.isclass(self.target)
        kinds = set(self.maker.roles.values())
        heads = self.maker.size("heads", proposal) if is_class and "heads" in kinds else None
        if not is_class:
            heads = (6 if "g" in layout.key else 3) if proposal.heads == 6 else proposal.heads
            proposal = dataclasses.replace(proposal, width=heads * proposal.head_size)
        kv = self.maker.size("kv_heads", proposal) if "kv_heads" in kinds else None
        if "g" in layout.key:
            kv = proposal.kv_heads
        head = proposal.head_size
        sizes = Sizes(2, n_q, n_k, None, None, heads, kv, head, proposal.value_size if not is_class or "value_size" in kinds else head)
        has_heads_axis = "h" in layout.query or (inspect.isroutine(self.target) and "heads" not in self.roles.values() and "weights" not in self.roles.values())
        if inspect.isroutine(self.target) and has_heads_axis:
            yield dataclasses.replace(sizes, width=None), {"x": head, "query": head, "key": head, "value": sizes.value_size, "context": head}
            if sizes.value_size != head:
                yield dataclasses.replace(sizes, value_size=head), dict.fromkeys(TOKENS, head)
            return
        candidates = _module_widths(made)
        main = [proposal.width if not is_class else self.maker.size("width", proposal) if "width" in kinds else 0, *candidates["query"], *candidates["all"], head]
        beside = [*candidates["key"], self.maker.size("context_width", proposal) if "context_width" in kinds else 0, *candidates["all"]]
        pairs = _pairs([m for m in dict.fromkeys(main) if m], [m for m in dict.fromkeys(beside) if m])
        for width, other in pairs:
            yield (
                dataclasses.replace(sizes, width=width, context_width=other if other != width else None),
                {"x": width, "query": width, "key": other, "value": candidates["value"][0] if candidates["value"] else other, "context": other},
            )

    def _argument(self, parameter: inspect.Parameter, layout: Layout, widths: Mapping[Role, int], chosen: Mapping[str, str]) -> Argument:
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
                behaviour_of(changed, changed.make())
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
            others = [not value] if isinstance(value, bool) else [c for c in self.text.choices(key) if c != value] if isinstance(value, str) else []
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


def _by_rank(options: Sequence[Sequence[str]], most: int = 60) -> list[tuple[str, ...]]:
    """Return the combinations of options, those that differ least from all first ones first."""
    if not options:
        return [()]
    cut = [list(enumerate(option))[: max(4, 40 // len(options))] for option in options]
    found = sorted(itertools.islice(itertools.product(*cut), 5000), key=lambda c: sum(rank for rank, _ in c))
    return [tuple(form for _, form in combination) for combination in found[:most]]


def _pairs(main: Sequence[int], beside: Sequence[int]) -> list[tuple[int, int]]:
    """Return widths of queries and of what they look at, the likely ones first."""
    found = [(m, b) for m in main[:3] for b in dict.fromkeys([*beside[:2], m])]
    return list(dict.fromkeys(found))[:6] or [(24, 24)]


def _module_widths(made: Any) -> dict[str, list[int]]:
    """Return the input widths of a module's layers, those of queries, keys and values apart as far as names tell."""
    found: dict[str, list[int]] = {"query": [], "key": [], "value": [], "all": []}
    if not hasattr(made, "named_modules"):
        for value in getattr(made, "__dict__", {}).values():
            if getattr(value, "ndim", 0) == 2:
                found["all"] += [int(value.shape[0]), int(value.shape[1])]
        return found
    for name, module in made.named_modules():
        width = getattr(module, "in_features", None) or getattr(module, "in_channels", None)
        if not isinstance(width, int):
            continue
        found["all"].append(width)
        last = name.lower().rsplit(".", 1)[-1]
        for kind, letter in (("key", "k"), ("value", "v"), ("query", "q")):
            if last.replace("to_", "").replace("w_", "").replace("w", "")[:1] == letter or f"_{letter}" in last:
                found["query" if "qkv" in last else kind].append(width)
    if not found["all"]:
        own = [value for value in vars(made).values() if hasattr(value, "ndim") and hasattr(value, "dtype")]
        for parameter in [*made.parameters(), *own]:
            if parameter.ndim >= 2:  # noqa: PLR2004
                found["all"] += [int(size) for size in parameter.shape[-2:]]
    return found


def _has_picture_layers(made: Any) -> bool:
    return hasattr(made, "modules") and any(type(m).__name__ == "Conv2d" for m in made.modules())


__all__ = ["Behaviour", "find_plan"]
