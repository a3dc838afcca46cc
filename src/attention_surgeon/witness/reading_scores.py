"""Read what happens to the scores before the softmax: scale, cap, mask, bias, sink."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from torch import nn

from attention_surgeon.witness.canon import Canon
from attention_surgeon.witness.core import Core
from attention_surgeon.witness.findings import Notes
from attention_surgeon.witness.flow import apart
from attention_surgeon.witness.mixing import mixed_over_heads, with_query_bias
from attention_surgeon.witness.positions import read_bias
from attention_surgeon.witness.record import Array
from attention_surgeon.witness.scores import Pattern, Scaling, find_pattern, find_scaling

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


@dataclass(frozen=True)
class _Sizes:
    """What a scale may have been taken from."""

    size: int
    value_size: int
    heads: int
    n_q: int
    n_k: int
    width: int | None


_WRONG_PATTERNS = {
    "reversed": ("causal_reversed", "the past is hidden, the future is seen"),
    "reversed_without_diagonal": ("causal_reversed", "the past and the token itself are hidden"),
    "diagonal_hidden": ("mask_diagonal_hidden", "no position sees itself"),
    "one_ahead": ("mask_off_by_one", "each query sees one key too many: the next one"),
    "window_ahead": ("causal_reversed", "the window lies ahead of the query"),
}


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


@final
class ScoreReader:
    """The part of a reading from the product of queries and keys to the softmax."""

    def __init__(self, notes: Notes) -> None:
        """Go on with these notes."""
        self.notes, self.flow, self.expects, self.reading = notes, notes.flow, notes.expects, notes.reading

    def read(self, core: Core, canon: Canon, other: Canon, factor: float | Array, *, is_first: bool) -> None:
        """Judge what becomes of the scores up to the softmax.

        Args:
            core: Where they are.
            canon: Their numbers in one layout.
            other: The same of another run.
            factor: What positions and norms have put on them.
            is_first: Whether this is the first attention of the target, which says what it is.
        """
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
            else self.notes.last_op(core.softmax, frozenset(("add", "sub", "baddbmm")), core.scores[0] - 1)
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
                self.notes.wrong("sink_as_value", "output", "the sink stands among the values as well", core.combine)
        elif self.expects.has_sink and not core.is_fused:
            self.notes.wrong(
                "sink_missing", "weights", "its sink does not stand beside the keys in the softmax", core.softmax
            )

    def _cap(self, core: Core, scaling: Scaling, *, is_first: bool) -> None:
        """Judge the soft cap of the scores."""
        if scaling.cap is not None:
            if scaling.cap_is_last:
                self.notes.wrong(
                    "cap_after_mask",
                    "masked",
                    f"the soft cap comes after the mask: hidden scores are {scaling.fill:g}, not -inf",
                    self._op_named("tanh", core),
                )
            else:
                self.reading.kind.append(f"scores capped at {scaling.cap:g}") if is_first else None
        elif self.expects.cap is not None:
            self.notes.wrong(
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
                self.notes.wrong(
                    "scores_transposed", "scores", "queries and keys are exchanged in the scores", core.softmax
                )
                return mixed
        found = with_query_bias(self.flow, core, canon)
        if found is None:
            return None
        by, scaling = found.factor, found.scaling
        is_plain = self.expects.has_plain_bias and by is not None and abs(by - 1.0) < 1e-4
        if by is not None and abs(by - scaling.factor[0]) > 1e-4 * abs(scaling.factor[0]) and not is_plain:
            words = f"what each query adds is multiplied by {by:.4g}, its scores by {scaling.factor[0]:.4g}"
            self.notes.wrong("scale_missing", "scaled", words, core.softmax)
        elif found.is_by_distance:
            self.reading.kind.append("a bias that each query makes for each distance")
        elif canon.null_key is not None:
            words = "I cannot read what each query adds to its scores beside keys that are no tokens"
            self.reading.unknown.append(words)
        else:
            words = "with all tokens alike, what each query adds to its scores is no function of the distance"
            self.notes.wrong("relative_bias_misplaced", "scaled", words, core.softmax)
        return scaling

    def _null(self, canon: Canon, core: Core) -> None:
        """A key that is a parameter has a value that is another one; with a key of zeros goes a value of zeros."""
        key, value = canon.null_key, canon.null_value
        if key is not None and value is not None and not key.any() and not value.any():
            self.reading.kind.append("a key and a value of zeros beside those of the tokens")
            return
        self.reading.kind.append("a key and a value that are parameters beside those of the tokens")
        if key is not None and value is not None and key.shape == value.shape and not apart(key, value).any():
            self.notes.wrong(
                "key_as_value", "output", "the value that is a parameter is the key that is one", core.combine
            )

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
                self.notes.wrong("sink_scaled", "masked", words, op)

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

    def _factor(self, scaling: Scaling, before: float | Array, canon: Canon, core: Core) -> None:
        size = canon.q.shape[-1]
        widths = [a.shape[-1] for name, a in self.flow.inputs.items() if name == canon.query_argument]
        sizes = _Sizes(
            size,
            canon.v.shape[-1],
            self.reading.heads,
            canon.q.shape[2],
            canon.k.shape[2],
            widths[0] if widths else None,
        )
        total = scaling.factor * before
        begins = self._learned(total, (size**-0.5, 1.0))
        if begins == size**-0.5:
            self.reading.kind.append("a learned scale that begins at 1/√d_k")
            return
        if begins is not None and not self.notes.is_normed:
            self.reading.unknown.append("its scores are under a learned scale that begins at 1")
            return
        if np.abs(total - total.mean()).max() > 1e-4 * abs(total.mean()):
            if self.notes.is_normed:
                self.reading.kind.append("a learned scale for each head")
            elif "only the queries are normed" in self.reading.remarks:
                words = "only the queries are normed, under a learned scale for each head"
                self.notes.wrong(
                    "norm_missing_on_keys", "scores", words, core.combine if core.is_fused else core.scores[0]
                )
            else:
                self.reading.unknown.append("each head has a scale of its own")
            return
        self.reading.factor = float(total.mean()), size
        self._one_factor(float(total.mean()), sizes, core.combine if core.is_fused else self._scale_op(core))

    def _learned(self, total: float | Array, values: Sequence[float]) -> float | None:
        """Return at which of some values a scale begins that is a parameter: of one number, or one for each head.

        Parameters are drawn anew for a reading, so such a scale no longer is what it was.
        """
        made, factors = self.flow.made, np.broadcast_to(total, self.reading.heads)
        if not isinstance(made, nn.Module) or np.abs(factors / values[0] - 1).max() < 1e-4:
            return None
        numbers = [(name, p) for name, p in made.named_parameters() if p.numel() in (1, len(factors))]
        first = dict(self.flow.plan.bare().named_parameters()) if numbers else {}
        for name, parameter in numbers:
            if nn.parameter.is_lazy(first[name]):
                continue
            now, was = (each.detach().double().numpy().reshape(-1) for each in (parameter, first[name]))
            if not was.all() or (now == was).all():
                continue
            for begins, value in itertools.product((factors * was / now, factors * now / was), values):
                if np.abs(begins - value).max() < 1e-4 * value:
                    return value
        return None

    def _one_factor(self, by: float, sizes: _Sizes, op: int) -> None:
        """Name what the scores were multiplied with, where it is not what it should be."""
        usual = sizes.size**-0.5
        wanted = 1.0 if self.expects.is_unscaled else usual
        words = f"the scores are multiplied by {by:.4g}; 1/√d_k is {usual:.4g} (d_k = {sizes.size})"
        if abs(by - wanted) < 2e-4 * wanted:
            return
        if self.expects.may_be_unscaled and abs(by - 1) < 2e-4:
            self.reading.kind.append("scores that nothing divides")
            return
        is_latent = self.notes.num_products > 1 or self.notes.is_latent
        if is_latent and any(abs(by - size**-0.5) < 2e-4 * by for size in self._said_sizes()):
            self.reading.kind.append("keys that are kept as latents")  # the head's size is not that of a product
            return
        told = {name: of(sizes) for name, of in _FACTORS.items() if not (name == "scale_missing" and wanted == 1.0)}
        told = {name: value for name, value in told.items() if abs(value - wanted) > 1e-3 * wanted}
        name = next((name for name, value in told.items() if abs(by - value) < 2e-4 * value), "scale_hard_coded")
        if name == "scale_hard_coded" and sizes.heads > 1 and abs(by * (sizes.heads * sizes.size) ** 0.5 - 1) < 2e-4:
            name = "scale_by_model_width"  # of all heads together, where the tokens have another
        if by < 0:
            self.notes.wrong("scores_negated", "scaled", f"the scores are multiplied by {by:.4g}", op)
        elif self.notes.is_normed and name not in ("scale_missing", "scale_multiplied"):
            self.reading.kind.append(f"scale {by:.4g} after the norms")
        else:
            self.notes.wrong(name, "scaled", words, op)

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
            self.notes.wrong(fault, "masked", words, op)
        elif name == "other":
            reading.unknown.append("it hides some keys in a pattern that I do not know")
        elif not self._window(pattern, op, canon.k.shape[2]):
            if name == "nothing" and self.expects.is_causal:
                self.notes.wrong("causal_missing", "masked", "nothing is hidden, though its name says causal", op)
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
            self.notes.wrong("mask_filled_with_zero", "masked", "hidden scores are set to 0, which is a score", op)
        elif fill > 0:
            self.notes.wrong("mask_fill_positive", "masked", f"hidden scores are set to {fill:g}", op)
        else:
            words = f"hidden scores are set to {fill:g}; real scores go lower"
            self.notes.wrong("mask_fill_too_small", "masked", words, op)

    def _window(self, pattern: Pattern, op: int, num_keys: int) -> bool:
        """Whether a window was promised and another, or none, was laid."""
        window = self.expects.window
        if self.expects.step is not None and self.expects.reach is not None:
            return self._dilated(pattern, self.expects.step, self.expects.reach, op, num_keys)
        if window is None:
            return False
        if pattern.name in ("window", "band") and pattern.size != window and not _is_meant(pattern, window):
            words = f"a query sees {pattern.size} keys back, its own included; the window is {window}"
            self.notes.wrong("window_off_by_one", "masked", words, op)
            return True
        may_be_tile = not (self.expects.is_causal or self.expects.is_local)
        if pattern.name == "nothing" and may_be_tile and window < num_keys:
            words = f"it was made with a window of {window} and hides nothing; is that the side of a tile, given whole?"
            self.reading.unknown.append(words)
            return True
        if pattern.name in ("causal", "nothing") and window < num_keys:
            self.notes.wrong("window_ignored", "masked", f"no window is laid, though it was made with {window}", op)
            return True
        return False

    def _dilated(self, pattern: Pattern, step: int, reach: int, op: int, num_keys: int) -> bool:
        """Whether another window with steps was promised than the one that was laid."""
        seen = min(reach, (num_keys - 1) // step)
        found = (pattern.step, pattern.size - 1, pattern.ahead - 1)
        is_too_short = num_keys <= 2 * step or (pattern.name == "nothing" and num_keys <= 2 * step * reach + 1)
        if is_too_short or found == (step, seen, seen):
            return False
        words = f"it sees {found[1]} keys back and {found[2]} ahead; expected {seen} and {seen}"
        if step > 1:
            words = (
                f"it sees every {found[0]} keys, {found[1]} back and {found[2]} ahead; expected {step}, {seen}, {seen}"
            )
        self.notes.wrong("window_off_by_one", "masked", words, op)
        return True

    def _bias(self, scaling: Scaling, op: int, *, is_first: bool) -> None:
        is_relative = any("rel" in name.lower() for name in self.notes.table_names())
        found = read_bias(scaling, is_causal=self.reading.pattern.is_causal, is_relative=is_relative)
        if found.fault is not None:
            self.notes.wrong(found.fault, "masked", found.words, op)
        elif found.words and is_first:
            self.reading.kind.append(found.words)
