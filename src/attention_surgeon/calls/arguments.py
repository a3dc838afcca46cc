"""What each parameter of a call may be given, in the order in which it is worth trying.

Tokens get a layout each, all of one family: `Layout`. Every other parameter that the signature requires gets a list of
forms by its role; those that may be left out are left out of the plain call.
"""

import dataclasses
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from attention_surgeon.calls.argument import TOKENS, Argument
from attention_surgeon.calls.names import Role, role_of
from attention_surgeon.calls.source import Text

METHODS = (
    "forward",
    "__call__",
    "call",
    "attend",
    "attention",
    "compute",
    "apply",
    "compute_attention",
    "run",
    "self_attention",
    "self_attend",
    "predict",
)
_BESIDE = ("bsnd", "bnsd", "nsbd")  # sequences in two axes; one argument of four axes has no heads of its own
_NUM_WHOLE = 2
"""So many of them are the whole of an object; the others may be a step of it."""

_PADDINGS = ("bm", "b11m", "b1m")
_MASKS = ("nm", "b1nm", "bnm", "11nm", "bhnm", "bm", "b11m", "1nm")


@dataclass(frozen=True)
class Layout:
    """The axes of queries and of keys, and whether there are as many keys as queries."""

    query: str
    key: str
    value: str
    is_equal: bool = False
    is_said: bool = False
    is_against: bool = False
    is_likely: bool = False

    def axes(self, role: Role, *, has_query: bool) -> str:
        """Return the axes of an argument by its role."""
        if role in ("x", "query"):
            return self.query
        return self.value if role == "value" else self.key if has_query or role == "context" else self.query


def method_of(target: Any) -> str:
    """Return the method that is called; empty for what is called itself.

    What can be called itself is: a step of it, `attend`, may stand in a subclass and what calls it in the base.

    Raises:
        LookupError: nothing in it can be called.
    """
    if inspect.isroutine(target):
        return ""
    kind = target if inspect.isclass(target) else type(target)
    bases = [base for base in kind.__mro__ if base.__module__.split(".")[0] not in ("torch", "builtins")]
    for names in (METHODS[:_NUM_WHOLE], METHODS):
        for base in bases:
            own = [name for name in names if inspect.isroutine(vars(base).get(name))]
            if own and (names is METHODS or signature_of(target, own[0])):
                is_called = own[0] == "__call__" or (
                    own[0] == "forward" and any("__call__" in vars(one) for one in kind.__mro__)
                )
                return "" if is_called else own[0]
    raise LookupError(f"{kind.__name__} has no method that I know to call: {', '.join(METHODS[:4])}")


def signature_of(target: Any, method: str) -> list[inspect.Parameter]:
    """Return the parameters of the call, without `self`, `*args` and `**kwargs`."""
    if inspect.isroutine(target):
        found = list(inspect.signature(target).parameters.values())
    else:
        kind = target if inspect.isclass(target) else type(target)
        name = method or ("forward" if hasattr(kind, "forward") else "__call__")
        function = inspect.getattr_static(kind, name)
        found = list(inspect.signature(getattr(kind, name)).parameters.values())
        if not isinstance(function, staticmethod | classmethod):
            found = found[1:]
    return [p for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def roles_of(parameters: list[inspect.Parameter], *, is_mask: bool = False) -> dict[str, Role]:
    """Return the role of each parameter of a call, by its name, its annotation and its company."""
    roles: dict[str, Role] = {p.name: _role(p) for p in parameters}
    required = [p.name for p in parameters if p.default is p.empty]
    taken = set(roles.values())
    if is_mask and not {"query", "key", "value"} <= taken:
        return {name: "ids" if role in TOKENS else role for name, role in roles.items()}
    if (
        "query" in taken
        and not {"key", "value", "context"} & taken
        and len([n for n in required if roles[n] == "x"]) == 0
    ):
        roles |= {name: "x" for name, role in roles.items() if role == "query"}
    if "query" in taken and "key" in taken and "value" not in taken and "x" not in taken:
        is_pair = sum(role == "key" for role in roles.values()) == 1
        roles |= {name: "context" for name, role in roles.items() if role == "key" and is_pair}
    if not TOKENS & set(roles.values()):
        name = next((n for n in required if roles[n] in ("other", "switch")), None)
        if name is not None:
            roles[name] = "x"
    contexts = [name for name in required if roles[name] == "context"]
    if contexts and not {"x", "query"} & set(roles.values()):
        roles[contexts[0]] = "x"
    return _told_apart(roles, required)


def _told_apart(roles: dict[str, Role], required: list[str]) -> dict[str, Role]:
    """Make the second of two arguments called alike the context of the first; and `h, w` beside tokens a picture's."""
    xs = [name for name in required if roles[name] == "x"]
    if len(xs) > 1:
        roles |= {name: "context" for name in xs[1:]}
    if "columns" in roles.values():
        rows = next((n for n in roles if n.lower() in ("h", "hp", "height") and n in required), None)
        if rows is not None:
            roles[rows] = "rows"
        else:
            roles |= {name: "x" for name, role in roles.items() if role == "columns"}
    return roles


def _role(parameter: inspect.Parameter) -> Role:
    role, note = role_of(parameter.name), str(parameter.annotation)
    name = parameter.name
    if name in ("h", "H") and "int" not in note and "heads" in role:
        role = "heads" if parameter.default is not parameter.empty or "int" in note else "x" if name == "h" else "heads"
    is_array = "Tensor" in note or "ndarray" in note or "Array" in note
    if is_array and role in ("other", "switch", "length", "width", "heads", "columns", "rows", "start", "blocks"):
        return "x" if parameter.default is parameter.empty else "other"
    if "bool" in note and role in ("x", "query", "key", "value", "context", "other"):
        return "switch"
    if isinstance(parameter.default, bool) and role not in ("causal", "need_weights", "use_cache", "mask"):
        return "switch"
    return "causal" if role == "mask" and isinstance(parameter.default, bool) else role


def layouts(
    roles: Mapping[str, Role], required: list[str], text: Text, *, is_function: bool, is_picture: bool
) -> Iterator[Layout]:
    """Yield the layouts to try, what the text says first."""
    said = _said(roles, required, text)
    has_keys = any(role in ("key", "value", "context") for name, role in roles.items() if name in required)
    families = (
        ["bnd", "nbd", "nd", "bhnd", "bnhd", "hnd"]
        if is_function
        else ["bnd", "nbd", "nd", "bdn", "bhnd", "bnhd", "bdyx", "byxd", *_BESIDE]
        if has_keys
        else ["bnd", "nbd", "nd", "bdn", *_BESIDE, "bhnd", "bnhd", "bdyx", "byxd"]
    )
    if "bounds" in roles.values():
        families = ["thd", "td"]
    if is_picture:
        families = ["bdyx", "byxd", *families]
    fitting = [family for family in families if _fits(family, said)]
    if {"query", "key", "value"} <= set(roles.values()) and not _TURNS.search(text.source):
        for family, key in (("bhnd", "bhdm"), ("bnd", "bdm")):
            yield Layout(family, key, family.replace("n", "m"), is_likely=True)
    for family in [*fitting, *(f for f in families if f not in fitting)]:
        for is_equal in (False, True) if has_keys else (True,):
            for layout in _of_family(family, is_equal, has_keys):
                is_fitting = family in fitting
                likely = is_fitting if said and fitting else family in families[:4]
                yield dataclasses.replace(
                    layout,
                    is_said=bool(said) and is_fitting,
                    is_against=bool(said) and not is_fitting,
                    is_likely=likely,
                )


_TURNS = re.compile(r"transpose|permute|swapaxes|moveaxis|rearrange|einsum|addbmm|scaled_dot_product|\.m?[TH]\b")
"""What turns keys for the product with queries; a text without it may be given keys that are turned already."""


def _of_family(family: str, is_equal: bool, has_keys: bool) -> Iterator[Layout]:
    if has_keys and "h" in family:
        yield _grouped(family, is_equal)
    yield _layout(family, is_equal)
    if has_keys and family == "bdyx":
        yield Layout("bdyx", "bmd", "bmd", is_equal)


def _grouped(family: str, is_equal: bool) -> Layout:
    """Return the layout with fewer key heads than query heads."""
    layout = _layout(family, is_equal)
    return Layout(layout.query, layout.key.replace("h", "g"), layout.value.replace("h", "g"), is_equal)


def _layout(family: str, is_equal: bool) -> Layout:
    key = family.replace("n", "m").replace("t", "u")
    return Layout(family, key, key, is_equal)


def _said(roles: Mapping[str, Role], required: list[str], text: Text) -> list[str]:
    found = []
    for name in required:
        if roles[name] in TOKENS:
            found += [text.unpacked(name), text.declared(name) or (text.declared("x") if roles[name] == "x" else "")]
            found.append(text.in_einsum(name))
    return [axes for axes in found if axes]


def _fits(family: str, said: list[str]) -> bool:
    """Whether a layout is what the text says, as far as it says something."""
    for axes in said:
        plain = axes.replace("m", "n")
        if plain.endswith("*"):  # `b, c, *rest = x.shape`
            plain = plain[:-1] + family[len(plain) - 1 :]
        if len(plain) == len(family) and all(
            a in ("?", b) or {a, b} <= {"y", "x", "n"} or {a, b} <= {"h", "d", "x"}
            for a, b in zip(plain, family, strict=True)
        ):
            return True
    return False


def trains_by_default(parameter: inspect.Parameter) -> bool:
    """Whether a call drops weights unless this switch says that it is no training.

    >>> trains_by_default(inspect.Parameter("is_training", inspect.Parameter.KEYWORD_ONLY, default=True))
    True
    """
    name, default = parameter.name.lower(), parameter.default
    pattern = {True: _TRAINS, False: _EVALUATES}.get(default) if isinstance(default, bool) else None
    return pattern is not None and bool(pattern.fullmatch(name))


_TRAINS = re.compile(r"((is|in|do)_)?train(ing)?(_mode)?")
_EVALUATES = re.compile(r"(is_)?(deterministic|inference|eval|evaluation|evaluate)(_mode)?")


def forms(parameter: inspect.Parameter, role: Role, roles: Mapping[str, Role], text: Text) -> list[str]:
    """Return the forms in which a required argument is tried, the most plausible first."""
    name = parameter.name
    if role == "mask" or role == "padding":
        return _mask_forms(name, role, text)
    if role == "weights":
        return _weight_forms(name)
    if _EVALUATES.fullmatch(name.lower()):
        return ["literal:True", "literal:False", "none"]
    if role in ("causal", "use_cache", "need_weights", "switch"):
        return ["literal:False", "literal:True", "none"]
    if role == "bias" and re.search(r"\b(list|sequence|iterable|tuple)\[", str(parameter.annotation), re.IGNORECASE):
        return ["literal:list", *_FORMS["bias"]]
    if role == "bounds":
        return ["bounds:k" if "k" in re.split("[_.]", name.lower())[-1] else "bounds:q"]
    if name == "pe":  # the table of matrices that Flux hands on, else what is added
        return ["matrix:11ne", "none", *_FORMS["rotary"]]
    divides = name.lower().startswith("temp") or re.search(rf"/ *{re.escape(name)}\b", text.source)
    found = list(
        _DIVISOR
        if role == "scale" and divides
        else _FORMS.get(role, ("none", "literal:1", "drawn:bnd", "literal:False"))
    )
    if role == "length":
        found = (
            ["number:n_k" if name.endswith("k") or "k" in name.split("_") else "number:n_q", "none"]
            if "prefix" not in name
            else ["literal:3"]
        )
    if role == "cos" or role == "sin":
        found = [f"{role}:{axes}" for axes in _TABLES]
    return found


_TABLES = (
    *("nd", "ne", "11nd", "1nd", "1nd/quarter", "1n1d", "bnd", "b1nd", "11ne", "1n1e", "n1d"),
    *("nd/pairs", "bne", "n1e", "1ne", "nd/quarter", "nd/half"),
)
"""How tables of cos and sin lie; of a part of each head behind the `/`, or with pairs side by side."""

_DIVISOR = ("number:root", "none", "number:scale")
"""Forms of a scale that divides, as a temperature does."""
_FORMS: dict[Role, tuple[str, ...]] = {
    "lengths": ("none", "count:b", "count:bn"),
    "cache": ("none", "literal:dict", "literal:list", "zeros:bmgd", "zeros:bgmd"),
    "freqs": ("turn:ne", "angles:ne", "stacked:ne", "angles:nd", "turn:1n1e", "turn:bne", "matrix:11ne", "none"),
    "rotary": (
        "cos_sin:bnd",
        "cos_sin:nd",
        "cos_sin:ne",
        "cos_sin:11nd",
        "cos_sin:1nd",
        "turn:ne",
        "cos_sin:1n1d",
        "cos_sin:1n1e",
        "angles:nd",
        "matrix:11ne",
        "none",
        "drawn:bnd",
    ),
    "positions": ("arange:n", "arange:bn", "none", "literal:0", "tokens:pos"),
    "start": ("literal:0", "none"),
    "bias": ("none", "drawn:hnm", "drawn:bhnm", "drawn:nm", "drawn:1hnm", "drawn:bnm", "drawn:h"),
    "scale": ("number:scale", "none", "number:root"),
    "width": ("number:head_size", "number:width"),
    "heads": ("number:heads",),
    "dropout": ("none", "literal:0.0", "dropout"),
    "cap": ("none", "literal:5.0"),
    "sinks": ("drawn:h", "none"),
    "window": ("literal:3", "none", "literal:sides"),
    "length": ("number:n_q",),
    "ids": ("ids:bn", "ids:n"),
    "rows": ("number:rows", "number:rows_beside"),
    "columns": ("number:columns", "number:columns_beside"),
    "bounds": ("bounds:q",),
    "blocks": ("literal:2", "literal:1", "number:n_q"),
}


def _mask_forms(name: str, role: Role, text: Text) -> list[str]:
    axes = [*_PADDINGS, "nm", "b1nm"] if role == "padding" else list(_MASKS)
    kinds = ("add", "keep", "hide", "one") if text.is_added(name) else ("keep", "hide", "add", "one")
    return [
        "none",
        *(f"{kind}:{form}" for form in axes[:3] for kind in kinds),
        *(f"{kind}:{form}" for form in axes[3:] for kind in kinds[:2]),
    ]


def _weight_forms(name: str) -> list[str]:
    lowered = name.lower()
    if lowered.startswith("c_") or "params" in lowered:
        return ["weight:1,3/dict" if "attn" in lowered or "qkv" in lowered else "weight:1,1/dict", "weight:1,1"]
    if "qkv" in lowered or "in_proj" in lowered:
        return ["weight:1,3", "weight:3,1"]
    if "bias" in lowered or lowered.startswith("b"):
        return ["weight:1"]
    return ["weight:1,1"]


def argument(parameter: inspect.Parameter, role: Role, form: str = "", axes: str = "", width: int = 0) -> Argument:
    """Return an argument; without a form it is left out of the call."""
    return Argument(parameter.name, role, bool(form), parameter.default, parameter.kind, axes, form, width)
