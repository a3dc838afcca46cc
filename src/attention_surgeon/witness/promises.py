"""What a target's name, its parameters and its text promise of it."""

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from attention_surgeon.calls.names import size_of
from attention_surgeon.testing.words import prose_of
from attention_surgeon.witness.findings import Expected
from attention_surgeon.witness.unscaled import may_be_unscaled, promises_no_scale, speaks_of_no_scale


def expectations(plan: Any, name: str, says: str, *, is_unscaled: bool = False) -> Expected:
    """Return what a target's names promise."""
    made, given = plan.make(seed=0), {key.lower(): value for key, value in flat(plan.constructor)}
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
        may_be_unscaled=speaks_of_no_scale(says)
        or any(_SCALE_SWITCH.search(key) and value is False for key, value in (_defaults(plan.target) | given).items())
        or may_be_unscaled(plan.target, made, name, says),
        has_output_projection="multihead" in name.lower().replace("_", ""),
        rotates_values=bool(
            re.search(r"(rotary|rope|pos\w*)_?values?|values?_?(pe|rotary|rope|pos)", name, re.IGNORECASE)
        ),
    )


_CAUSAL_WORDS = re.compile(
    r"(?:(?:^|[\"'#.(]\s*)causal\b|,\s*causal\b(?!\s*[,)]))(?!\s+(?:or|if|mask|only|when|switch|flag|[:=]))",
    re.IGNORECASE,
)
"""What a text says of a layer that hides the future: a sentence, or part of one, that begins with the word.

In a list of arguments, `mask, dropout, causal, scale`, it says nothing.
"""

_SCALE_SWITCH = re.compile(r"(^|use_|with_|is_|apply_)scal(e|ed|ing)(_attn.*|_scores?|_weights?)?$")
"""Switches of a constructor which, off, leave the scores undivided."""

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


def lacks_context(plan: Any) -> bool:
    """Whether a layer was made without the width of a context, which it may be made with: then it takes none."""
    widths = {name for name in _defaults(plan.target) if size_of(name) == "context_width"}
    return any(dict(flat(plan.constructor)).get(name) is None for name in widths)


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


def flat(given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the plain values by name that a constructor was given, those inside a configuration too."""
    for key, value in given.items():
        if isinstance(value, int | float | str | bool | type(None)):
            yield str(key), value
        elif isinstance(value, Mapping):
            yield from flat(value)
        elif hasattr(value, "__dict__") and not isinstance(value, nn.Module | type):
            yield from flat(vars(value))
