"""All that the second witness says of a target: what it is, what is wrong where, what was tried and what never was."""

import contextlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attention_surgeon.calls.names import size_of
from attention_surgeon.errors import UnjudgedError
from attention_surgeon.testing.steadiness import random_state_kept
from attention_surgeon.testing.words import prose_of
from attention_surgeon.witness.caches import try_cache
from attention_surgeon.witness.canon import MIXED
from attention_surgeon.witness.canonical import canonical
from attention_surgeon.witness.claims import try_arguments
from attention_surgeon.witness.core import find_cores
from attention_surgeon.witness.findings import Claim, Expected, Finding, Reading
from attention_surgeon.witness.flow import Flow, apart
from attention_surgeon.witness.learned import mixes_sequences, with_learned_queries
from attention_surgeon.witness.options import try_options, with_batch
from attention_surgeon.witness.pooled import with_mean_query, without_mean
from attention_surgeon.witness.reading import read
from attention_surgeon.witness.record import Array, Op, Trace, record, to_numbers
from attention_surgeon.witness.unscaled import may_be_unscaled, promises_no_scale, speaks_of_no_scale

_STEPS = (1e-3, 1e-5)  # of a difference; the small one where scores are steep
_OTHERS = ("context", "key", "value")  # roles of what is attended to
_LONG = 40  # tokens; past a tile of 32 and with a ragged tail


@dataclass(frozen=True)
class Observation:
    """What was read of a target.

    Attributes:
        verdict: `right`, `wrong`, or `unjudged` where something in it could not be read.
        kind: What it is, in words.
        findings: What is wrong, in the order of the pipeline.
        unknown: What could not be read.
        remarks: True and worth knowing.
        tried: What was called: sizes, arguments, modes, in words.
        untried: The arguments that were never given a value, by name.
        reading: The reading of the plain call.
    """

    verdict: str
    kind: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    unknown: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    tried: tuple[str, ...] = ()
    untried: tuple[str, ...] = ()
    reading: Reading | None = field(default=None, repr=False)


def observe(
    plan: Any, *, name: str = "", says: str = "", is_unscaled: bool = False, is_quick: bool = False
) -> Observation:
    """Read a target in every way that its plan allows.

    Args:
        plan: How it is made and called (`calls.Plan`).
        name: Of the class or function; a name that says causal is taken at its word.
        says: Its docstring and comments.
        is_unscaled: Whether no scale is wanted.
        is_quick: Leave out the other sizes, which take most of the time.

    Raises:
        UnjudgedError: there is no softmax attention in it that can be read.
    """
    try:
        found = _Observer(plan, name, says, is_unscaled, is_quick).observation()
        asking = with_mean_query(plan) if MIXED.format(name="queries") in found.unknown else None
        if asking is None:
            return found
        what = "the mean of the tokens"
    except UnjudgedError:
        asking, what = with_learned_queries(plan), "a parameter"
        if asking is None:
            raise
    if mixes_sequences(plan):
        raise UnjudgedError(f"its queries are {what}, and two sequences at once give another output than each alone")
    found = _Observer(asking, name, says, is_unscaled, is_quick).observation()
    findings = tuple(replace(each, sentence=each.sentence.replace("`inner.", "`")) for each in found.findings)
    given = {f"`inner.{argument.name}`" for argument in asking.arguments}
    remarks = tuple(words.replace("`inner.", "`") for words in found.remarks if not any(g in words for g in given))
    kind = (f"queries that are {what}", *found.kind)
    tried = tuple(without_mean(words) for words in found.tried)
    return replace(found, kind=kind, findings=findings, remarks=remarks, tried=tried)


def expectations(plan: Any, name: str, says: str, *, is_unscaled: bool = False) -> Expected:
    """Return what a target's names promise."""
    made, given = plan.make(seed=0), {key.lower(): value for key, value in _flat(plan.constructor)}
    switches = [
        value != bool(_NEGATED.search(key))
        for key, value in (_defaults(plan.target) | given).items()
        if "causal" in key and isinstance(value, bool)
    ]
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    is_masked = any(
        a.role in ("mask", "causal") for a in plan.arguments
    )  # what a decoder hides may be said in each call
    signs = ("causal", "masked") if is_masked else ("causal", "masked", "decoder")
    is_said = not is_masked and bool(_CAUSAL_WORDS.search(prose_of(says)))
    is_named = any(word.lower() in signs for word in words) or is_said or _keeps_a_triangle(made)
    whole = any(isinstance(v, str) and v.lower() in ("global", "full", "full_attention") for v in given.values())
    caps = [v for k, v in given.items() if "cap" in k and isinstance(v, int | float) and v and v is not True]
    windows = [
        value for key, value in given.items() if "window" in key and isinstance(value, int) and value is not True
    ]
    half = _half_said(given | _defaults(plan.target), says)
    return Expected(
        is_causal=switches[0] if switches else True if is_named and "masked" not in name.lower() else None,
        window=windows[0]
        if len(windows) == 1 and windows[0] and not whole and not _is_tile(plan, made, windows[0])
        else None,
        cap=caps[0] if len(caps) == 1 else None,
        has_sink=any("sink" in key for key in _parameter_names(made)),
        step=_one_number(given, r"dilat") if half is None else 1,
        reach=_one_number(given, r"one_sided|radius|reach|half_window|window_side") if half is None else half,
        base=_one_number(_defaults(plan.target) | given, r"(rope_?|rotary_?)?(theta|base)$"),
        is_local=any(
            isinstance(v, str)
            and re.search(r"local|sliding", v)
            and re.search(rf"[=!]= *[\"']{re.escape(v)}[\"']", says)
            for v in given.values()
        ),
        has_plain_bias=any(
            re.match(r"scale_(pos|rel|bias)", key) and value is False
            for key, value in (_defaults(plan.target) | given).items()
        ),
        has_residual=bool(_RESIDUAL.search(prose_of(says))) and not _NOT_HERE.search(prose_of(says)),
        is_unscaled=is_unscaled or promises_no_scale(name),
        may_be_unscaled=speaks_of_no_scale(says) or may_be_unscaled(plan.target, made, name, says),
        has_output_projection="multihead" in name.lower().replace("_", ""),
        rotates_values=bool(
            re.search(r"(rotary|rope|pos\w*)_?values?|values?_?(pe|rotary|rope|pos)", name, re.IGNORECASE)
        ),
    )


_CAUSAL_WORDS = re.compile(r"(?:^|[\"'#.,(]\s*)causal\b(?!\s+(?:or|if|mask|only|when|switch|flag|[:=]))", re.IGNORECASE)
"""What a text says of a layer that hides the future: a sentence, or part of one, that begins with the word."""

_RESIDUAL = re.compile(
    r"\b(x|inputs?|residual)\s*\+\s*\w[\w.]*(\(|\s*\*)|\)\s*\+\s*(x|inputs?|residual)\b", re.IGNORECASE
)
_NOT_HERE = re.compile(
    r"caller|outside|elsewhere|added (by|in|around)|block adds|adds? it|\bnot\b|without|\bno\b", re.IGNORECASE
)
"""What a text says of a layer that adds its input to its output: `LayerNorm(x + Dropout(attention(x)))`."""


def _keeps_a_triangle(made: Any) -> bool:
    """Whether the layer, or a part of it, registers a square buffer of ones below or above the diagonal."""
    buffers = list(made.buffers()) if isinstance(made, nn.Module) else []
    squares = [b.reshape(-1, *b.shape[-2:])[0].double() for b in buffers if b.ndim >= 2 and b.shape[-1] == b.shape[-2]]
    return any(
        len(square) > 2
        and set(square.unique().tolist()) == {0.0, 1.0}
        and any(torch.equal(square, part) for part in _triangles(len(square)))
        for square in squares
    )


def _triangles(size: int) -> list[Tensor]:
    ones = torch.ones(size, size, dtype=torch.float64)
    return [ones.tril(), ones.triu(1), ones.tril(-1), ones.triu()]


def _defaults(target: Any) -> dict[str, Any]:
    """Return what a class gives its own parameters where nothing else is said."""
    try:
        parameters = inspect.signature(target).parameters.values() if inspect.isclass(target) else ()
    except (TypeError, ValueError):
        return {}
    return {p.name.lower(): p.default for p in parameters if p.default is not p.empty}


def _lacks_context(plan: Any) -> bool:
    """Whether a layer was made without the width of a context, which it may be made with: then it takes none."""
    widths = {name for name in _defaults(plan.target) if size_of(name) == "context_width"}
    return any(dict(_flat(plan.constructor)).get(name) is None for name in widths)


def _is_tile(plan: Any, made: Any, window: int) -> bool:
    """Whether a window is a piece of a picture that is given whole, as Swin's, and none that slides over the keys."""
    tables = any(re.search(r"rel\w*_pos|pos\w*_(bias|table|index)", name) for name in _state_names(made))
    in_picture = any("y" in a.axes for a in plan.arguments)
    return in_picture or (tables and plan.sizes.n_q in (window, window * window))


def _half_said(given: Mapping[str, Any], says: str) -> int | None:
    """Return how many keys to each side are seen, where the text says that it is half of a number: `window // 2`."""
    found = re.search(r"\b(\w+) ?// ?2`* (tokens |keys |positions )?(to|on) (each|either|both)", prose_of(says))
    value = None if found is None else given.get(found[1].lower())
    return value // 2 if isinstance(value, int) and value > 1 else None


def _one_number(given: Mapping[str, Any], pattern: str) -> Any:
    """Return the one number that was given under such a name, None where there is none or several."""
    found = [v for k, v in given.items() if re.search(pattern, k) and isinstance(v, int | float) and v is not True]
    return found[0] if len(found) == 1 else None


_NEGATED = re.compile(r"disable|without|(^|_)(no|non|not|skip)_|bidirectional")
"""What turns the sense of a switch round: `disable_causal_mask`."""


def _parameter_names(made: Any) -> list[str]:
    return [name for name, _ in made.named_parameters()] if isinstance(made, nn.Module) else []


def _state_names(made: Any) -> list[str]:
    return [*_parameter_names(made), *(name for name, _ in made.named_buffers())] if isinstance(made, nn.Module) else []


def _flat(given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in given.items():
        if isinstance(value, int | float | str | bool | type(None)):
            yield str(key), value
        elif isinstance(value, Mapping):
            yield from _flat(value)
        elif hasattr(value, "__dict__") and not isinstance(value, nn.Module | type):
            yield from _flat(vars(value))


class _Observer:
    def __init__(self, plan: Any, name: str, says: str, is_unscaled: bool, is_quick: bool) -> None:
        self.plan, self.name, self.says, self.is_quick = plan, name, says, is_quick
        self.expects = expectations(plan, name, says, is_unscaled=is_unscaled)
        self.findings: list[Finding] = []
        self.unknown: list[str] = []
        self.tried: list[str] = []
        self.untried: list[str] = []
        self.given: set[str] = set()
        self.remarks: list[str] = []
        self.hiding: frozenset[str] = frozenset()

    def observation(self) -> Observation:
        plan = self.plan
        made = plan.make(seed=0)
        flow = Flow(plan, made, plan.draw(seed=0), plan.draw(seed=1))
        self.remarks += flow.left_out
        if plan.library == "numpy" and re.search(r"\b(jnp|jax)\.", self.says):
            self.remarks.append("it was run with NumPy's functions in the place of JAX's")
        if not self._is_steady(flow):
            verdict = "wrong" if self.findings else "unjudged"
            tried = (_sizes_in_words(flow),)
            return Observation(verdict, (), tuple(self.findings), tuple(self.unknown), tried=tried)
        reading = self._with_told_scale(read(flow, expects=self.expects))
        self._add(reading, "")
        self.tried.append(_sizes_in_words(flow))
        if not reading.unknown and not self._is_structural(reading):
            self._around(flow, reading)
        order = ("projections", "scores", "scaled", "masked", "weights", "output")
        findings = sorted(self.findings, key=lambda f: order.index(f.step) if f.step in order else 9)
        verdict = "wrong" if findings else "unjudged" if self.unknown else "right"
        return Observation(
            verdict,
            tuple(reading.kind),
            tuple(findings),
            tuple(dict.fromkeys(self.unknown)),
            tuple(dict.fromkeys([*reading.remarks, *self.remarks])),
            tuple(self.tried),
            tuple(dict.fromkeys(name for name in self.untried if name not in self.given)),
            reading,
        )

    def _with_told_scale(self, reading: Reading) -> Reading:
        """Take back that a scale is a constant where it is 1/√(2 d_k), or of more parts, at every size of the heads.

        So are the scores of DeBERTa divided, which are a sum of as many products (He et al. 2021).
        """
        constant = [finding for finding in reading.findings if finding.fault == "scale_hard_coded"]
        if not constant or reading.factor is None:
            return reading
        parts = _parts_of(reading.factor)
        sizes = ({"head_size": 2 * self.plan.sizes.head_size}, {"heads": reading.heads + 1})
        if parts < _SUMMED or any(self._parts_at(**size) != parts for size in sizes):
            return reading
        words = f"the scores are divided by √({parts} d_k), as those are that are a sum of {parts} products"
        findings = [finding for finding in reading.findings if finding not in constant]
        return replace(reading, findings=findings, unknown=[*reading.unknown, words])

    def _parts_at(self, **sizes: int) -> int:
        plan = self.plan.resized(**sizes)
        if plan is None:
            return 0
        try:
            found = read(Flow(plan, plan.make(seed=0), plan.draw(seed=0), plan.draw(seed=1)), expects=self.expects)
        except Exception:  # noqa: BLE001  a size that is refused is no fault
            return 0
        return 0 if found.factor is None else _parts_of(found.factor)

    def _is_structural(self, reading: Reading) -> bool:
        return reading.scaling is None

    def _add(self, reading: Reading, where: str, argument: str = "") -> None:
        known = {(f.fault, f.step) for f in self.findings}
        for finding in reading.findings:
            if (finding.fault, finding.step) not in known:
                sentence = f"{where}: {finding.sentence}" if where else finding.sentence
                self.findings.append(replace(finding, sentence=sentence, argument=argument))
        self.unknown += [f"{where}: {words}" if where else words for words in reading.unknown]

    def _around(self, flow: Flow, reading: Reading) -> None:
        self._returned(flow)
        self._contexts()
        self._arguments(reading)
        if not self.is_quick:
            self._other_sizes()
        self._switches()
        self._batch()
        self._slopes(reading)
        self._modes(flow)

    def _arguments(self, reading: Reading) -> None:
        claims = try_arguments(self.plan, self.plan.make(seed=0), says=self.says)
        self.hiding = frozenset(claim.argument for claim in claims if claim.meaning == "hide")
        is_causal = reading.pattern.is_causal
        cache = try_cache(self.plan, is_causal=is_causal, says=self.says, hiding=self.hiding)
        is_no_softmax = any(finding.step == "weights" for finding in reading.findings)
        for claim in [*claims, *([cache] if cache else [])]:
            is_of_softmax = claim.fault == "mask_misread" and "softmax" in claim.sentence
            if not (is_no_softmax and is_of_softmax):  # what is said already
                self._claim(claim)
        for claim in {claim.argument: claim for claim in try_options(self.plan)}.values():
            self._claim(claim)
        roles = {a.role: a.name for a in self.plan.arguments}
        if "need_weights" in roles:
            self._need_weights(roles["need_weights"])

    def _contexts(self) -> None:
        """Give the tokens that may be left out: another sequence to attend to."""
        names = [a.name for a in self.plan.arguments if a.axes and a.role in _OTHERS and not a.required]
        if not names:
            return
        if not self._given(names) and (len(names) == 1 or not any([self._given([name]) for name in names])):
            self.untried += names

    def _given(self, names: list[str]) -> bool:
        """Whether the tokens of these arguments could be given together."""
        plan, words = self.plan.giving(*names), " and ".join(f"`{name}`" for name in names)
        try:
            flow = Flow(plan, plan.make(seed=0), plan.draw(seed=0), plan.draw(seed=1))
            found = read(flow, expects=self.expects)
        except Exception:  # noqa: BLE001  somebody else's code may raise anything
            return False
        is_refused = any(f.fault == "context_ignored" for f in found.findings) and _lacks_context(plan)
        if is_refused or (found.unknown and not found.findings):
            return False
        self._add(found, f"with {words} given")
        self.tried.append(f"{words} given")
        return True

    def _claim(self, claim: Claim) -> None:
        if claim.fault is not None:
            step = "output" if "cache" in claim.fault else "masked"
            shown = claim.place, claim.yours, claim.expected, claim.argument
            self.findings.append(Finding(claim.fault, step, claim.sentence, *shown))
        if claim.unknown:
            self.unknown.append(claim.unknown)
        if claim.tried:
            self.given.add(claim.argument)
            meaning = {"hide": ", True hides", "keep": ", True may attend", "additive": ", added"}.get(
                claim.meaning, ""
            )
            self.tried.append(f"{claim.argument}: {', '.join(claim.tried)}{meaning}")
        elif claim.fault is None:
            self.untried.append(claim.argument)

    def _is_new(self, fault: str | None) -> bool:
        return fault is not None and all(finding.fault != fault for finding in self.findings)

    def _need_weights(self, name: str) -> None:
        for value in (True, False):
            try:
                flow = Flow(
                    self.plan,
                    self.plan.make(seed=0),
                    self.plan.draw(seed=0) | {name: value},
                    self.plan.draw(seed=1) | {name: value},
                )
            except Exception:  # noqa: BLE001  somebody else's code may raise anything
                self.untried.append(name)
                return
            self._returned(flow, are_asked_for=value)
        self.tried.append(f"{name}: True, False")

    def _other_sizes(self) -> None:
        for sizes in (
            {"batch": 1, "n_q": 1, "n_k": 1},
            {"batch": 1, "n_q": _LONG, "n_k": _LONG + 5},
            {"batch": 3, "n_q": 9, "n_k": 11},
        ):
            try:
                flow = Flow(
                    self.plan, self.plan.make(seed=0), self.plan.draw(**sizes, seed=2), self.plan.draw(**sizes, seed=3)
                )
            except UnjudgedError:
                continue
            except Exception:  # noqa: BLE001  a size that is refused is no fault
                continue
            if sizes["n_q"] == 1:
                self._one_token(flow)
                continue
            try:
                self._add(read(flow, expects=self.expects), f"with {sizes['n_q']} tokens")
            except UnjudgedError as error:
                self.unknown.append(f"with {sizes['n_q']} tokens: {error}")
            self.tried.append(_sizes_in_words(flow))

    def _one_token(self, flow: Flow) -> None:
        """One token attends to itself with weight 1, whatever the numbers."""
        output = to_numbers(self.plan.arrays(flow.base.returned)[max(self.plan.output, 0)])
        if not np.isfinite(output).all():
            self.findings.append(Finding("nan_rows", "output", "one token alone gives NaN"))
        self.tried.append("one token")

    def _batch(self) -> None:
        """Give a function of two axes several sequences, where its text speaks of them: each must keep to itself."""
        plan = with_batch(self.plan, self.says)
        if plan is None:
            return
        try:
            flow = Flow(plan, plan.make(seed=0), plan.draw(seed=0), plan.draw(seed=1))
            found = read(flow, expects=self.expects)
        except Exception:  # noqa: BLE001  a size that is refused is no fault
            return
        if found.findings:
            self._add(replace(found, unknown=[]), "with several sequences")

    def _switches(self) -> None:
        for plan in self.plan.switched():
            changed = {k: v for k, v in _flat(plan.constructor) if dict(_flat(self.plan.constructor)).get(k, "") != v}
            words = ", ".join(f"{k}={v!r}" for k, v in changed.items())
            expects = expectations(plan, self.name, self.says, is_unscaled=self.expects.is_unscaled)
            if any("scale" in k.lower() and "norm" not in k.lower() and v is False for k, v in changed.items()):
                expects = replace(expects, is_unscaled=True)
            try:
                flow = Flow(plan, plan.make(seed=0), plan.draw(seed=0), plan.draw(seed=1))
                if _OTHER_KIND.search(words) or _draws(flow.base):
                    self.untried.append(words)
                    continue
                if not self._is_steady(flow):
                    continue
                found = read(flow, expects=expects)
            except Exception:  # noqa: BLE001
                self.untried.append(words)
                continue
            if found.unknown and not found.findings:
                self.untried.append(words)
                continue
            self._add(found, f"with {words}", next(iter(changed), ""))
            self.tried.append(words)
            is_causal = found.pattern.is_causal
            cache = try_cache(plan, is_causal=is_causal, says=self.says, hiding=self.hiding)
            if cache is not None and cache.tried and (cache.argument not in self.given or self._is_new(cache.fault)):
                self._claim(replace(cache, sentence=f"with {words}: {cache.sentence}"))

    def _slopes(self, reading: Reading) -> None:
        """The slopes of ALiBi are given for a power of two of heads; one rotated pair says nothing of frequencies."""
        if "ALiBi" in reading.kind and reading.heads & (reading.heads - 1):
            self._resized("with 4 heads", heads=4)
        if any(re.search(r"rotary positions \(\w+, [24] of", words) for words in reading.kind):
            self._resized("with heads of 32 features", head_size=32)

    def _resized(self, words: str, **sizes: int) -> None:
        plan = self.plan.resized(**sizes)
        if plan is None:
            return
        try:
            flow = Flow(plan, plan.make(seed=0), plan.draw(seed=0), plan.draw(seed=1))
            found = read(flow, expects=expectations(plan, self.name, self.says))
            self._add(found, words)
            if any(" positions (" in kind and "2 of 32" in kind for kind in found.kind):
                sentence = (
                    f"{words}: one pair of features turns, the others keep their angle; the frequencies must fall"
                )
                self.findings.append(Finding("rotary_positions_wrong", "scores", sentence))
        except Exception:  # noqa: BLE001  a size that is refused is no fault
            return

    def _returned(self, flow: Flow, *, are_asked_for: bool = False) -> None:
        """Whether the weights that are returned are those that were used."""
        if any(finding.step == "weights" for finding in self.findings):
            return  # those that are returned may be right
        arrays = self.plan.arrays(flow.base.returned)
        try:
            cores = find_cores(flow)
            canons = [canonical(flow, core) for core in cores]
        except Exception:  # noqa: BLE001  read elsewhere
            return
        if len(canons) > 1:
            return
        canon, op = canons[0], flow.ops[cores[0].softmax]
        beside = [to_numbers(array) for place, array in enumerate(arrays) if place != max(self.plan.output, 0)]
        has_weights = any(numbers.shape == canon.weights.shape and _same(numbers, canon.weights) for numbers in beside)
        for numbers in beside:
            fault = _returned_fault(numbers, canon.weights, canon.masked, canon.scores)
            if fault == "scores_returned" and (
                has_weights or not (are_asked_for or re.search(r"return [^\n,]+,\s*\w*(weight|attn|prob)", self.says))
            ):
                self.remarks.append("the scores come back beside the output")
            elif fault is not None:
                sentence = {
                    "weights_returned_transposed": "the weights come back with queries and keys exchanged",
                    "scores_returned": "the scores come back in the place of the weights",
                    "weights_returned_differ": "the weights that come back are not those that were used",
                }[fault]
                self.findings.append(Finding(fault, "weights", sentence, op.place))

    def _modes(self, flow: Flow) -> None:
        """Dropout after the softmax in training; gradients that are derivatives; nothing of the caller changed."""
        if self._changes_inputs(flow):
            self.findings.append(
                Finding("mutates_inputs", "output", "after the call the caller's tensor holds other numbers")
            )
        self._unused(flow)
        if isinstance(flow.made, nn.Module):
            self._training(flow)
        if self.plan.library == "torch":
            self._gradient(flow)
        drops = re.search(r"[Dd]rop", self.says) and isinstance(flow.made, nn.Module)
        if drops and not any(finding.fault == "cuts_gradient" for finding in self.findings):
            self._training_gradient(flow)

    def _unused(self, flow: Flow) -> None:
        """Find parameters that change nothing: a bias that is never added, a projection that is never applied."""
        before = to_numbers(self.plan.arrays(flow.base.returned)[max(self.plan.output, 0)])
        own = vars(self.plan.bare()) if not isinstance(flow.made, nn.Module) and hasattr(flow.made, "__dict__") else {}
        for name, bumped in _bumped_parameters(flow.made, own):
            with bumped:
                after = to_numbers(self.plan.arrays(flow.run().returned)[max(self.plan.output, 0)])
            if _PROJECTION.search(name) and before.shape == after.shape and not apart(before, after).any():
                words = f"its projection `{name}` changes nothing in the output"
                self.findings.append(Finding("projection_unused", "projections", words))
                continue
            if apart(before, after).any() or (name.endswith("bias") and self._is_key_bias(name)):
                continue
            self.remarks.append(f"its parameter `{name}` changes nothing in the output")

    def _is_key_bias(self, name: str) -> bool:
        """A bias of the keys adds the same to every score of a row, and the softmax takes it off again."""
        return any(
            part.lower() in ("k", "key", "wk", "w_k", "k_proj", "to_k", "k_linear", "keys", "key_proj")
            for part in name.split(".")
        )

    def _is_steady(self, flow: Flow) -> bool:
        """Whether two calls with the same numbers give the same."""
        runs = [flow.run(with_places=True) for _ in range(2)]
        one, two = (to_numbers(self.plan.arrays(trace.returned)[max(self.plan.output, 0)]) for trace in runs)
        if not apart(one, two).any():
            return True
        first = next((a for a, b in zip(*(trace.ops for trace in runs), strict=False) if _differ(a, b)), None)
        dropouts = [first] if first and ("dropout" in first.name or first.options.get("dropout_p")) else []
        is_random = not dropouts and self._is_random(flow)
        is_own_dropout = is_random and isinstance(flow.made, nn.Module) and "drop" in self.says.lower()
        if is_random and not is_own_dropout:
            self.unknown.append("each call draws other random numbers, as dropout does that nothing turns off")
            return False
        fault = "dropout_in_eval" if dropouts or is_own_dropout else "shares_state"
        words = "the same call gives another answer the second time"
        if dropouts or is_own_dropout:
            words = "weights are dropped in evaluation too"
        self.findings.append(Finding(fault, "weights", words, dropouts[0].place if dropouts else None))
        return False

    def _is_random(self, flow: Flow) -> bool:
        """Whether two calls that begin with the same seed give the same."""
        answers = []
        with random_state_kept():
            for _ in range(2):
                torch.manual_seed(0)
                np.random.seed(0)  # noqa: NPY002  the target may draw from the old global source
                answers.append(to_numbers(self.plan.arrays(flow.run().returned)[max(self.plan.output, 0)]))
        return not apart(*answers).any()

    def _changes_inputs(self, flow: Flow) -> bool:
        given = {name: value.clone() if isinstance(value, Tensor) else value for name, value in flow.inputs.items()}
        if self.plan.library != "torch":
            return False
        with torch.no_grad():
            self.plan.call(flow.made, given)
        return any(
            isinstance(value, Tensor)
            and not value.is_complex()
            and value.shape == flow.inputs[name].shape
            and not torch.equal(torch.nan_to_num(value.double()), torch.nan_to_num(flow.inputs[name].double()))
            for name, value in given.items()
            if isinstance(flow.inputs[name], Tensor)
        )

    def _training(self, flow: Flow) -> None:
        made: nn.Module = flow.made
        made.train()
        try:
            given = {name: value.clone() if isinstance(value, Tensor) else value for name, value in flow.inputs.items()}
            state = torch.random.get_rng_state()
            trace = record(lambda: self.plan.call(made, given), with_places=True)
            torch.random.set_rng_state(state)
        except Exception:  # noqa: BLE001  somebody else's code may raise anything
            return
        finally:
            made.eval()
        softs = [k for k, op in enumerate(trace.ops) if op.name in ("softmax", "exp", "sdpa")]
        drops = [k for k, op in enumerate(trace.ops) if "dropout" in op.name]
        core = find_cores(flow)[0]
        if core.is_fused or not softs:
            return
        shape = flow.ops[core.softmax].value
        assert shape is not None
        scores = next(
            (k for k in range(softs[0], 0, -1) if trace.ops[k].name in ("matmul", "bmm", "einsum", "baddbmm")), 0
        )
        for k in drops:
            value = trace.ops[k].value
            if scores < k < softs[0] and value is not None and value.shape == shape.shape:
                self.findings.append(
                    Finding(
                        "dropout_before_softmax",
                        "weights",
                        "in training, scores are set to 0 before the softmax; a score of 0 hides nothing",
                        trace.ops[k].place,
                    )
                )
                return
        self.tried.append("in training")

    def _training_gradient(self, flow: Flow) -> None:
        """The same with dropout: with one seed it drops the same weights in every call."""
        made: nn.Module = flow.made
        made.train()
        try:
            self._gradient(flow, "in training ")
        finally:
            made.eval()

    def _gradient(self, flow: Flow, when: str = "") -> None:
        """Compare the derivative along one direction with a difference of two calls."""
        name = next(iter(flow.arguments), None)
        value = flow.inputs.get(name) if name else None
        if not isinstance(value, Tensor) or value.dtype != torch.float64:
            return
        direction = torch.as_tensor(np.random.default_rng(8).normal(size=tuple(value.shape)))
        weigh: list[Tensor] = []

        def total(x: Tensor) -> Tensor:
            given = {k: v.clone() if isinstance(v, Tensor) else v for k, v in flow.inputs.items()} | {name: x}
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                output = self.plan.arrays(self.plan.call(flow.made, given))[max(self.plan.output, 0)]
            if not weigh:
                weigh.append(torch.cos(torch.arange(output.numel(), dtype=output.dtype)).reshape(output.shape))
            return (output * weigh[0]).sum()

        def slope_by(step: float) -> float:
            return float((total(value + step * direction) - total(value - step * direction)) / (2 * step))

        try:
            with torch.enable_grad():
                x = value.clone().requires_grad_()
                answer = total(x * 1)
                slope = float((torch.autograd.grad(answer, x)[0] * direction).sum()) if answer.requires_grad else None
            with torch.no_grad():
                wanted = min((slope_by(step) for step in _STEPS), key=lambda found: abs(found - (slope or 0.0)))
        except Exception:  # noqa: BLE001  a gradient that is refused is a fact about that call
            self.untried.append(f"gradients {when}".strip())
            return
        if any(a.role in ("cache", "use_cache") or "pos" in a.name for a in self.plan.arguments) and (
            slope is None or abs(slope - wanted) > 1e-2 * max(1.0, abs(wanted))
        ):
            self.remarks.append("no gradient reaches the keys and values that it keeps")
        elif slope is None:
            self.findings.append(Finding("cuts_gradient", "output", "no gradient reaches the input"))
        elif np.isfinite(wanted) and abs(slope - wanted) > 1e-2 * max(1.0, abs(wanted)):
            self.findings.append(
                Finding(
                    "cuts_gradient",
                    "output",
                    f"{when}the gradient is not the derivative: {slope:.4g} in a direction, by difference {wanted:.4g}",
                )
            )
        elif not when:
            self.tried.append("gradients")


_SUMMED = 2  # products at least, of scores that are a sum


def _parts_of(factor: tuple[float, int]) -> int:
    """Return k where scores are divided by √(k d), of a factor and d; 0 where k is no whole number."""
    by, size = factor
    parts = 1 / (by * by * size) if by > 0 else 0.0
    return round(parts) if abs(parts - round(parts)) < 1e-3 else 0


_OTHER_KIND = re.compile(r"invert|revers|sigmoid|linear", re.IGNORECASE)
"""Words of a switch that makes another mechanism of it, on purpose."""


def _draws(trace: Trace) -> bool:
    """Whether random numbers are drawn on purpose: Gumbel noise, random features; dropout is none."""
    return any(re.search(r"rand|gumbel|exponential|uniform|normal_?$|bernoulli", op.name) for op in trace.ops)


def _differ(one: Op, two: Op) -> bool:
    """Whether one operation gave two results."""
    return one.value is not None and two.value is not None and bool(apart(one.value, two.value).any())


_PROJECTION = re.compile(
    r"(?:^|[._])(?:w_?[qkvo]|[qkvo](?:_?proj)?|query|key|value|out(?:put)?(?:_?proj)?|proj(?:_[a-z])?|[qk]_?norm)(?:\.weight)?$",
    re.IGNORECASE,
)


def _bumped_parameters(
    made: Any, own: Mapping[str, Any]
) -> Iterator[tuple[str, contextlib.AbstractContextManager[None]]]:
    """Yield every parameter by name with a context in which it holds other numbers.

    Args:
        made: The object.
        own: What a fresh one holds, if it is no module: what a call leaves in it is no parameter.
    """
    held = dict(made.named_parameters()) if isinstance(made, nn.Module) else {name: vars(made)[name] for name in own}
    for name, value in held.items():
        if isinstance(value, Tensor | np.ndarray) and to_numbers(value).dtype.kind == "f":
            yield name, _bumped(value)


@contextlib.contextmanager
def _bumped(value: Any) -> Iterator[None]:
    change = np.random.default_rng(2).normal(size=tuple(value.shape))
    with torch.no_grad():
        kept = value.clone() if isinstance(value, Tensor) else value.copy()
        value += torch.as_tensor(change).to(value.dtype) if isinstance(value, Tensor) else change.astype(value.dtype)
    try:
        yield
    finally:
        with torch.no_grad():
            value[...] = kept


def _returned_fault(given: Array, weights: Array, masked: Array, scores: Array) -> str | None:
    """Return what is wrong with weights that came back: of each head, of heads folded into the batch, or the mean."""
    b, h, n, m = weights.shape
    ways: dict[tuple[int, ...], Callable[[Array], Array]] = {
        (b, h, n, m): lambda x: x,
        (b * h, n, m): lambda x: x.reshape(b * h, n, m),
        (b, n, m): lambda x: x.mean(1),
        (n, m): lambda x: x[0].mean(0),
    }
    for shape, laid in ways.items():
        if given.shape == shape and _same(given, laid(weights)):
            return None
    for shape, laid in ways.items():
        turned = laid(weights).swapaxes(-1, -2)
        if given.shape == turned.shape and _same(given, turned):
            return "weights_returned_transposed"
        sums = given.sum(-1) if given.shape == shape else np.zeros(1)
        if (
            given.shape == shape
            and (given >= 0).all()
            and (np.abs(sums - 1) < 1e-5).all() | _same(given, h * laid(weights))
        ):
            return "weights_returned_differ"
        if given.shape == shape and (_same(given, laid(masked)) or _same(given, laid(scores))):
            return "scores_returned"
    return None


def _same(one: Array, two: Array) -> bool:
    with np.errstate(invalid="ignore"):
        return bool(((np.abs(one - two) < 1e-5) | (one == two) | np.isnan(two)).all())


def _sizes_in_words(flow: Flow) -> str:
    return ", ".join(f"{name} {tuple(flow.inputs[name].shape)}" for name in flow.arguments)
