"""All that the second witness says of a target: what it is, what is wrong where, what was tried and what never was."""

import re
from dataclasses import replace
from typing import Any

import numpy as np

from attention_surgeon.errors import UnjudgedError
from attention_surgeon.witness.caches import try_cache
from attention_surgeon.witness.canon import MIXED
from attention_surgeon.witness.claims import try_arguments
from attention_surgeon.witness.findings import Claim, Finding, Reading
from attention_surgeon.witness.flow import Flow
from attention_surgeon.witness.learned import mixes_sequences, with_learned_queries
from attention_surgeon.witness.modes import Modes
from attention_surgeon.witness.observation import Account, Observation
from attention_surgeon.witness.options import try_options, with_batch
from attention_surgeon.witness.pooled import with_mean_query, without_mean
from attention_surgeon.witness.promises import expectations, flat, lacks_context
from attention_surgeon.witness.reading import read
from attention_surgeon.witness.record import Trace, to_numbers
from attention_surgeon.witness.returned import compare_returned

_OTHERS = ("context", "key", "value")  # roles of what is attended to
_LONG = 40  # tokens; past a tile of 32 and with a ragged tail


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


class _Observer:
    def __init__(self, plan: Any, name: str, says: str, is_unscaled: bool, is_quick: bool) -> None:
        self.plan, self.name, self.says, self.is_quick = plan, name, says, is_quick
        self.expects = expectations(plan, name, says, is_unscaled=is_unscaled)
        self.account = Account()
        self.modes = Modes(plan, says, self.account)
        self.given: set[str] = set()
        self.hiding: frozenset[str] = frozenset()

    def observation(self) -> Observation:
        plan = self.plan
        made = plan.make(seed=0)
        flow = Flow(plan, made, plan.draw(seed=0), plan.draw(seed=1))
        self.account.remarks += flow.left_out
        if plan.library == "numpy" and re.search(r"\b(jnp|jax)\.", self.says):
            self.account.remarks.append("it was run with NumPy's functions in the place of JAX's")
        if not self.modes.is_steady(flow):
            verdict = "wrong" if self.account.findings else "unjudged"
            tried = (_sizes_in_words(flow),)
            return Observation(verdict, (), tuple(self.account.findings), tuple(self.account.unknown), tried=tried)
        reading = self._with_told_scale(read(flow, expects=self.expects))
        self._add(reading, "")
        self.account.tried.append(_sizes_in_words(flow))
        if not reading.unknown and not self._is_structural(reading):
            self._around(flow, reading)
        order = ("projections", "scores", "scaled", "masked", "weights", "output")
        findings = sorted(self.account.findings, key=lambda f: order.index(f.step) if f.step in order else 9)
        verdict = "wrong" if findings else "unjudged" if self.account.unknown else "right"
        return Observation(
            verdict,
            tuple(reading.kind),
            tuple(findings),
            tuple(dict.fromkeys(self.account.unknown)),
            tuple(dict.fromkeys([*reading.remarks, *self.account.remarks])),
            tuple(self.account.tried),
            tuple(dict.fromkeys(name for name in self.account.untried if name not in self.given)),
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
        known = {(f.fault, f.step) for f in self.account.findings}
        for finding in reading.findings:
            if (finding.fault, finding.step) not in known:
                sentence = f"{where}: {finding.sentence}" if where else finding.sentence
                self.account.findings.append(replace(finding, sentence=sentence, argument=argument))
        self.account.unknown += [f"{where}: {words}" if where else words for words in reading.unknown]

    def _around(self, flow: Flow, reading: Reading) -> None:
        compare_returned(self.plan, flow, self.account, says=self.says)
        self._contexts()
        self._arguments(reading)
        if not self.is_quick:
            self._other_sizes()
        self._switches()
        self._batch()
        self._slopes(reading)
        self.modes.try_each(flow)

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
            self.account.untried += names

    def _given(self, names: list[str]) -> bool:
        """Whether the tokens of these arguments could be given together."""
        plan, words = self.plan.giving(*names), " and ".join(f"`{name}`" for name in names)
        try:
            flow = Flow(plan, plan.make(seed=0), plan.draw(seed=0), plan.draw(seed=1))
            found = read(flow, expects=self.expects)
        except Exception:  # noqa: BLE001  somebody else's code may raise anything
            return False
        is_refused = any(f.fault == "context_ignored" for f in found.findings) and lacks_context(plan)
        if is_refused or (found.unknown and not found.findings):
            return False
        self._add(found, f"with {words} given")
        self.account.tried.append(f"{words} given")
        return True

    def _claim(self, claim: Claim) -> None:
        if claim.fault is not None:
            step = "output" if "cache" in claim.fault else "masked"
            shown = claim.place, claim.yours, claim.expected, claim.argument
            self.account.findings.append(Finding(claim.fault, step, claim.sentence, *shown))
        if claim.unknown:
            self.account.unknown.append(claim.unknown)
        if claim.tried:
            self.given.add(claim.argument)
            meaning = {"hide": ", True hides", "keep": ", True may attend", "additive": ", added"}.get(
                claim.meaning, ""
            )
            self.account.tried.append(f"{claim.argument}: {', '.join(claim.tried)}{meaning}")
        elif claim.fault is None:
            self.account.untried.append(claim.argument)

    def _is_new(self, fault: str | None) -> bool:
        return fault is not None and all(finding.fault != fault for finding in self.account.findings)

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
                self.account.untried.append(name)
                return
            compare_returned(self.plan, flow, self.account, says=self.says, are_asked_for=value)
        self.account.tried.append(f"{name}: True, False")

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
                self.account.unknown.append(f"with {sizes['n_q']} tokens: {error}")
            self.account.tried.append(_sizes_in_words(flow))

    def _one_token(self, flow: Flow) -> None:
        """One token attends to itself with weight 1, whatever the numbers."""
        output = to_numbers(self.plan.arrays(flow.base.returned)[max(self.plan.output, 0)])
        if not np.isfinite(output).all():
            self.account.findings.append(Finding("nan_rows", "output", "one token alone gives NaN"))
        self.account.tried.append("one token")

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
            changed = {k: v for k, v in flat(plan.constructor) if dict(flat(self.plan.constructor)).get(k, "") != v}
            words = ", ".join(f"{k}={v!r}" for k, v in changed.items())
            expects = expectations(plan, self.name, self.says, is_unscaled=self.expects.is_unscaled)
            is_off = any("scale" in k.lower() and "norm" not in k.lower() and v is False for k, v in changed.items())
            if is_off:
                expects = replace(expects, is_unscaled=True)
            try:
                flow = Flow(plan, plan.make(seed=0), plan.draw(seed=0), plan.draw(seed=1))
                if _OTHER_KIND.search(words) or _draws(flow.base):
                    self.account.untried.append(words)
                    continue
                if not self.modes.is_steady(flow):
                    continue
                found = read(flow, expects=expects)
            except Exception:  # noqa: BLE001
                self.account.untried.append(words)
                continue
            if found.unknown and not found.findings:
                self.account.untried.append(words)
                continue
            if is_off and _is_scaled(found):
                self.account.remarks.append(f"with {words} the scores are divided all the same")
                continue
            self._add(found, f"with {words}", next(iter(changed), ""))
            self.account.tried.append(words)
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
                self.account.findings.append(Finding("rotary_positions_wrong", "scores", sentence))
        except Exception:  # noqa: BLE001  a size that is refused is no fault
            return


_SUMMED = 2  # products at least, of scores that are a sum


def _is_scaled(reading: Reading) -> bool:
    """Whether the scores are divided by the root of the head's size."""
    return reading.factor is not None and abs(reading.factor[0] * reading.factor[1] ** 0.5 - 1) < 2e-4


def _parts_of(factor: tuple[float, int]) -> int:
    """Return k where scores are divided by √(k d), of a factor and d; 0 where k is no whole number."""
    by, size = factor
    parts = 1 / (by * by * size) if by > 0 else 0.0
    return round(parts) if abs(parts - round(parts)) < 1e-3 else 0


_OTHER_KIND = re.compile(r"invert|revers|sigmoid|linear|shuffl|(^|_)mix(?!ed)", re.IGNORECASE)
"""Words of a switch that makes another mechanism of it, on purpose."""


def _draws(trace: Trace) -> bool:
    """Whether random numbers are drawn on purpose: Gumbel noise, random features; dropout is none."""
    return any(re.search(r"rand|gumbel|exponential|uniform|normal_?$|bernoulli", op.name) for op in trace.ops)


def _sizes_in_words(flow: Flow) -> str:
    return ", ".join(f"{name} {tuple(flow.inputs[name].shape)}" for name in flow.arguments)
