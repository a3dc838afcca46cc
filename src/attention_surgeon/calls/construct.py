"""The values of a constructor's parameters at proposed sizes.

A constructor that is given a configuration gets one whose fields are those that its text reads: the author's own where
the file holds one, with the proposed sizes in it.
"""

import enum
import functools
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from attention_surgeon.calls.configuration import (
    EMPTY,
    configuration,
    field_of,
    instance_of,
    joined,
    known_fields,
    leaves,
)
from attention_surgeon.calls.definitions import others_of_file
from attention_surgeon.calls.habits import habits
from attention_surgeon.calls.names import Size, size_of, words_of
from attention_surgeon.calls.sizes import Proposal, number, numbers
from attention_surgeon.calls.source import Text, text_of
from attention_surgeon.calls.usage import size_by_use
from attention_surgeon.signatures import parameters_of


@dataclass(frozen=True)
class Maker:
    """How a class is constructed at proposed sizes."""

    target: Any
    text: Text
    hints: Mapping[str, Any]
    asked: frozenset[str] = frozenset()
    """Parameters that are None by default and must be given."""
    above: frozenset[Any] = frozenset()
    """Classes that hand their parameters on to this one: each may make the other."""

    @functools.cached_property
    def parameters(self) -> list[inspect.Parameter]:
        """The parameters of the constructor."""
        if not inspect.isclass(self.target):
            return []
        for kind in self.target.__mro__:  # `__init__(self, *args, **kwargs)` hands all of it on to its base
            own = parameters_of(self.target if kind is self.target else kind) or []
            named = [p for p in own if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
            if named or not own or kind.__module__.startswith("torch."):
                return named
        return []

    @functools.cached_property
    def roles(self) -> dict[str, Size]:
        """What each parameter, or each field of a configuration, stands for."""
        found: dict[str, Size] = {p.name: self._role(p) for p in self.parameters}
        if found.get("k") == "width" and list(found.values()).count("width") > 1:
            found["k"] = "unknown"  # of keys that are kept, or of a kernel
        if "width" not in found.values():
            found |= {name: _BESIDE[size] for name in found if (size := name.lower().replace("_", "")) in _BESIDE}
        for name in (p.name for p in self.parameters if p.default is EMPTY and found[p.name] == "unknown"):
            found[name] = self._by_use(name, found)
        widths = [name for name, role in found.items() if role == "width"]
        if "out_width" not in found.values():  # the tokens have one width, and what is made of them may have another
            found |= dict.fromkeys(widths[1:], "out_width")
        for name, role in list(found.items()):
            if role == "config":
                found |= {field: size_of(field) for field in leaves(self.fields(name))}
        return found

    def _by_use(self, name: str, known: Mapping[str, Size]) -> Size:
        """Return what a parameter is by what it is handed on to, or by what is done with it."""
        for maker, parameter in self._handed(name):
            role = maker.roles.get(parameter, "unknown")
            if role != "unknown":
                return role
        return size_by_use(name, self.text.source, known)

    def _handed(self, name: str) -> "Iterator[tuple[Maker, str]]":
        """Yield the classes of the file that a parameter is handed on to, and what it is called there."""
        for kind, parameter in self.text.handed_to(name):
            if kind is not self.target and kind not in self.above:
                yield Maker(kind, text_of(kind), {}, above=self.above | {self.target}), parameter

    def fields(self, name: str) -> dict[str, Any]:
        """Return what is read of a configuration, here and by the classes of the file that it is handed on to."""
        found = self.text.fields(name)
        for maker, parameter in self._handed(name):
            found = joined(maker.fields(parameter), found)
        return found

    def _role(self, parameter: inspect.Parameter) -> Size:
        role, note = size_of(parameter.name), str(parameter.annotation)
        if "Tensor" in note or "ndarray" in note:
            return "tensor"
        if "Module" in note and parameter.default in (EMPTY, None):
            return "module"
        if role in ("module", "tensor") and self.text.is_switch(parameter.name):
            return "unknown"
        if role in ("module", "tensor"):
            return "module" if self.text.is_called(parameter.name) else "tensor"
        if role == "config" and (self.fields(parameter.name) or _is_own_class(parameter.annotation)):
            return role
        if _is_own_class(parameter.annotation) and self.fields(parameter.name):
            return "config"
        return role if role != "config" else "width" if parameter.name == "c" else "unknown"

    def values(self, proposal: Proposal) -> dict[str, Any]:
        """Return what the constructor is given at proposed sizes.

        Raises:
            LookupError: it needs something that cannot be made up.
        """
        given = {}
        for parameter in self.parameters:
            if parameter.name in self.hints:
                given[parameter.name] = self.hints[parameter.name]
                continue
            value = self._value(parameter, proposal)
            if value is not EMPTY:
                given[parameter.name] = value
        return given

    def _value(self, parameter: inspect.Parameter, proposal: Proposal) -> Any:
        role = self.roles[parameter.name]
        if role == "config":
            return self._config(parameter, proposal)
        default = parameter.default
        if default is EMPTY and _is_module_class(parameter.annotation):
            kind = parameter.annotation
            return kind(**Maker(kind, text_of(kind), {}).values(proposal))
        is_asked = parameter.name in self.asked and role in _WISHED
        if default is not EMPTY and not is_asked and (role not in _WISHED or self._stays(role, default, proposal)):
            return EMPTY
        if proposal.keeps == "author" and isinstance(self.text.names.get(parameter.name), int | float | str):
            return self.text.names[parameter.name]
        if proposal.keeps == "author" and role in ("heads", "head_size") and self.written_width:
            head = next(h for h in (6, 8, 16, 4, 12, 9, 10, 2, 5, 3, 1) if self.written_width % h == 0)
            return head if role == "head_size" else self.written_width // head
        value = self._by_role(parameter.name, role, proposal, default)
        if value is EMPTY and default is EMPTY:
            return self._made_up(parameter, proposal)
        return value

    def _stays(self, role: Size, default: Any, proposal: Proposal) -> bool:
        """Whether a default is better than what is proposed."""
        if proposal.keeps in ("defaults", "author"):
            return role != "dropout"
        if isinstance(default, bool) or (default is None and role not in ("kv_heads",)):
            return True
        return isinstance(default, str | tuple | list | dict) or callable(default)

    def _by_role(self, name: str, role: Size, proposal: Proposal, default: Any) -> Any:
        """Return the value for a role at proposed sizes; `EMPTY` where there is none."""
        if role == "dropout":
            return 0.5 if default is not None else EMPTY
        if role == "window":
            return (2, 3) if isinstance(default, tuple | list) or self.text.is_indexed(name) else 3
        value = number(name, role, proposal, set(self.roles.values()))
        return EMPTY if value is None else value

    def numbers(self, proposal: Proposal) -> dict[Size, int]:
        """Return the sizes that the constructor has, at proposed sizes."""
        kinds = set(self.roles.values())
        return {size: n for size, n in numbers(proposal, kinds).items() if size in kinds}

    def _made_up(self, parameter: inspect.Parameter, proposal: Proposal) -> Any:
        """Return a value for what no size tells: the file's own, a choice that it compares with, a habit, a type."""
        name, role = parameter.name, self.roles[parameter.name]
        if isinstance(self.text.names.get(name), int | float | str):
            return self.text.names[name]
        if _is_enum(parameter.annotation):
            return next(iter(parameter.annotation))
        inner = self._inner_attention(name)
        if inner is not None:
            return inner
        if role in ("tensor", "module"):
            return self._tensor(name, proposal) if role == "tensor" else self._module(name, proposal)
        if self.text.choices(name):
            return self.text.choices(name)[0]
        if "bool" in str(parameter.annotation) or (role == "unknown" and self.text.is_switch(name)):
            return "causal" in name or "mask" in name or name.endswith("bias")
        if _SCALE.fullmatch(name.lower()):
            root = numbers(proposal, set(self.roles.values()))["head_size"] ** 0.5
            return root if re.search(rf"/ *(self\.)?{name}\b", self.text.source) or "temp" in name.lower() else 1 / root
        for value in habits(name, str(parameter.annotation)):
            return value
        return self._handed_on(name, proposal)

    def _handed_on(self, name: str, proposal: Proposal) -> Any:
        """Return the value that a class of the file wants which the parameter is handed on to."""
        for maker, other in self._handed(name):
            for parameter in maker.parameters:
                if parameter.name == other:
                    return maker._made_up(parameter, proposal)
        raise LookupError(f"I do not know what the constructor's `{name}` should be")

    def _inner_attention(self, name: str) -> Any:
        """Return an attention of the same file for a parameter that is called one, made as its defaults say."""
        if not re.fullmatch(r"(inner_|self_)?(attn|attention)(_layer|_fn|_module)?", name.lower()):
            return None
        others = dict(self.text.names) | others_of_file(self.target, "(?i)attention")
        for other, kind in sorted(others.items(), key=lambda each: not _OF_ALL_KEYS.search(each[0])):
            if inspect.isclass(kind) and kind is not self.target and "attention" in other.lower():
                made = instance_of(kind)
                if not inspect.isclass(made) and callable(made):
                    return made
        return None

    @functools.cached_property
    def written_width(self) -> int:
        """The width that the text takes from its file, where the constructor has none; 0 for none."""
        if "width" in self.roles.values():
            return 0
        used = (
            name
            for name in self.text.globals_read
            if size_of(name) == "width" and isinstance(self.text.names.get(name), int)
        )
        return next((self.text.names[name] for name in used), 0)

    def _tensor(self, name: str, proposal: Proposal) -> Any:
        import torch

        kinds = set(self.roles.values())
        known = numbers(proposal, kinds)
        width = inner = known["width"]
        if "heads" in kinds:
            inner = known["heads"] * known["head_size"]
            width = inner if proposal.width is None and not proposal.is_free else inner - 4
        if "bias" in name.lower() or name.lower().startswith("b_"):
            return torch.randn(inner)
        is_output = "out" in name.lower() or words_of(name)[-1] == "o" or name.lower().endswith("wo")
        return torch.randn((inner, width) if is_output else (width, inner)) * width**-0.5

    def _module(self, name: str, proposal: Proposal) -> Any:
        from torch import nn

        kinds = set(self.roles.values())
        known = numbers(proposal, kinds)
        width, inner = known["width"], known["heads"] * known["head_size"]
        keys = (known["kv_heads"] if "kv_heads" in kinds else known["heads"]) * known["head_size"]
        sides = {
            "qkv": (width, inner + 2 * keys),
            "out": (inner, width),
            "kv": (width, 2 * keys),
            "k": (width, keys),
            "q": (width, inner),
        }
        makes = (
            (r".*norm.*", lambda: nn.LayerNorm(known["head_size"])),
            (r".*drop.*", lambda: nn.Dropout(0.5)),
            (r".*(act|pos|rot|rope).*", nn.Identity),
            (r".*qkv.*", lambda: nn.Linear(*sides["qkv"])),
            (r"(.*_)?o(ut.*|_.*)?|.*output.*", lambda: nn.Linear(*sides["out"])),
            (r"(.*_)?kv.*", lambda: nn.Linear(*sides["kv"])),
            (r"(.*_)?[kv].*", lambda: nn.Linear(*sides["k"])),
            (r"(.*_)?q.*|.*(linear|proj).*", lambda: nn.Linear(*sides["q"])),
        )
        for pattern, make in makes:
            if re.fullmatch(pattern, name.lower()):
                return make()
        raise LookupError(f"I do not know which module the constructor's `{name}` should be")

    def _config(self, parameter: inspect.Parameter, proposal: Proposal) -> Any:
        fields = self.fields(parameter.name)
        base = self._base(parameter, fields)
        values = {name: self._field(name, default, base, proposal) for name, default in fields.items()}
        return configuration(base, values, self.text.is_subscripted(parameter.name))

    def _field(self, name: str, default: Any, base: Any, proposal: Proposal) -> Any:
        if isinstance(default, dict) and field_of(base, name) is not None:
            inner = field_of(base, name)
            values = {key: self._field(key, value, inner, proposal) for key, value in default.items()}
            return configuration(inner, values, any(text.is_subscripted(name) for text in self._texts))
        own, role = field_of(base, name), size_of(name)
        if own is EMPTY and default is not ...:
            own = default
        if own is None and self._must_be_given(name, role):
            own = EMPTY
        elif own is EMPTY and role not in ("kv_heads", "head_size") and self.text.may_be_none(name):
            own = None
        if own is not EMPTY and (role not in _WISHED or self._stays(role, own, proposal)):
            return own
        value = self._by_role(name, role, proposal, None if own is None else EMPTY)
        if value is not EMPTY and (own is EMPTY or not isinstance(own, bool)):
            return value
        if own is not EMPTY:
            return own
        kind = base if inspect.isclass(base) else type(base)
        note = getattr(kind, "__annotations__", {}).get(name, EMPTY)
        made = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=note)
        try:
            self.roles.setdefault(name, role)
            return self._made_up(made, proposal)
        except LookupError:
            return None  # not False, which would say that it is a switch

    def _must_be_given(self, name: str, role: Size) -> bool:
        """Whether a field that is None by default may not stay so: that is asserted, or a size is read unasked."""
        is_size = role in ("heads", "head_size", "width")
        return self.text.may_not_be_none(name) or (is_size and not self.text.may_be_none(name))

    @functools.cached_property
    def _texts(self) -> list[Text]:
        """The text of the class, and of the classes of its file that a parameter is handed on to."""
        handed = (maker for parameter in self.parameters for maker, _ in self._handed(parameter.name))
        return [self.text, *(maker.text for maker in handed)]

    def _base(self, parameter: inspect.Parameter, fields: Mapping[str, Any]) -> Any:
        """Return the author's own configuration of this kind: the default, an instance or a class in the file."""
        if parameter.default is not EMPTY and parameter.default is not None:
            return parameter.default
        if _is_own_class(parameter.annotation):
            return instance_of(parameter.annotation)
        wanted, best, most = set(fields), EMPTY, 0
        is_subscripted = self.text.is_subscripted(parameter.name)
        if isinstance(parameter.annotation, str) and inspect.isclass(self.text.names.get(parameter.annotation)):
            return instance_of(self.text.names[parameter.annotation])
        for name, value in (dict(self.text.names) | others_of_file(self.target, "conf|cfg|args|param")).items():
            known = known_fields(name, value)
            hits = len(wanted & known.keys())
            if hits > most and not (is_subscripted and not hasattr(value, "__getitem__")):
                best, most = value, hits
        if most:
            return instance_of(best) if inspect.isclass(best) or inspect.isfunction(best) else best
        return EMPTY


_WISHED: frozenset[Size] = frozenset(
    (
        "width",
        "context_width",
        "out_width",
        "heads",
        "kv_heads",
        "head_size",
        "key_size",
        "value_size",
        "length",
        "dropout",
        "window",
        "cap",
    )
)
_OF_ALL_KEYS = re.compile(r"full|dot_?product|vanilla|standard|softmax|^(self_?)?attention$", re.IGNORECASE)
"""What names the plain one of several attentions of a file."""
_SCALE = re.compile(r"(softmax_|attn_|attention_)?(temperature|temp|scale|scaling|scale_factor|scaling_factor)")
_BESIDE: Mapping[str, Size] = {
    "dimq": "width",
    "dimk": "context_width",
    "dimv": "out_width",
    "dq": "width",
    "qdim": "width",
}


def _is_own_class(note: Any) -> bool:
    return (
        inspect.isclass(note)
        and note is not EMPTY
        and note.__module__ not in ("builtins", "typing", "torch", "numpy")
        and not note.__module__.startswith("torch.")
    )


def _is_module_class(note: Any) -> bool:
    from torch import nn

    return _is_own_class(note) and issubclass(note, nn.Module) and note is not nn.Module


def _is_enum(note: Any) -> bool:
    return inspect.isclass(note) and issubclass(note, enum.Enum)
