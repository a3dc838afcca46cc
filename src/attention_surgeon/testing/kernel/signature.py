"""How a kernel is called: which parameter is which, and what their names promise."""

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from attention_surgeon.errors import UnjudgedError
from attention_surgeon.signatures import parameters_of
from attention_surgeon.testing.answer import Library
from attention_surgeon.testing.kernel.call import KernelCall, Layout
from attention_surgeon.testing.kernel.right import Align
from attention_surgeon.testing.words import declared_polarity, role_of

_BLOCK = 16
_KNOWN = "scaled_dot_product_attention"
_PATTERNS: Mapping[str, str] = {
    "causal": r".*causal.*|autoregressive",
    "scale": r".*scal(e|ing)(_factor)?|.*_scale.*",
    "mask": r".*mask.*|.*bias",
    "groups": r".*gqa.*",
    "dropout": r".*drop.*|p",
    "block": r".*(block|tile|chunk|bucket).*|b[rc]",
}
_WHOLE = r"\b([nmts]|seq\w*|len\w*|n_?ctx|tokens?)\b[^.\n]{0,40}\bmultiples? of"
_AXES: Mapping[str, str] = {
    "b": r"b|bs|bsz|batch(_?size)?|n_?batch|z",
    "h": r"h|g|n_?h|h_?[qkv]|hk|n?_?heads?(_?[kq]v?)?|num_(kv_)?heads|heads?|n_?kv_?heads",
    "n": r"n|m|t|s|l|n_?ctx|[nmtsl]_?[qkv]|[qk]_?len|kv_?len|seq(_?len(gth)?)?(_?[qkv]+)?|seqlen(_?[qkv]+)?|len|tokens",
    "d": r"d|k|e|d_?[kvh]|d_?head|head_?dim|dim|headdim|hd|head_?size",
}


@dataclass(frozen=True)
class KernelSignature:
    """Where the arguments of a kernel go.

    Attributes:
        function: What is called.
        name: As its author calls it.
        order: The roles of the first three parameters.
        roles: Of the others, by name: `causal`, `scale`, `mask`, `groups`; those with no role are left out.
        fixed: What must be given besides.
        is_by_position: Whether nothing may be given by name (an autograd function).
        said: The layouts that its text names; empty where it names none.
        align: Where its causal mask must lie; None: either.
        masks: What its mask promises to be; empty: whatever it is found to be.
        libraries: Whose arrays it may take, the likely ones first.
        is_triton: Whether it launches a kernel of Triton.
        is_grouped: Whether its text speaks of key heads that are shared.
        is_whole: Whether its text asks for a multiple of some number of tokens.
        is_divisor: Whether its text divides by its scale: one that is √width where it is not given.
    """

    function: Callable[..., Any] = field(repr=False)
    name: str
    order: tuple[str, ...]
    roles: Mapping[str, str]
    fixed: Mapping[str, Any]
    is_by_position: bool = False
    names: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    said: tuple[Layout, ...] = ()
    align: Align | None = "end"
    masks: tuple[str, ...] = ()
    libraries: tuple[Library, ...] = ("torch", "numpy")
    is_triton: bool = False
    is_grouped: bool = False
    is_whole: bool = False
    is_divisor: bool = False

    def __hash__(self) -> int:
        """By name; signatures are compared where their function is the same."""
        return hash(self.name)

    def given_name(self, role: str) -> str | None:
        """Return the name of the parameter with a role."""
        return next((name for name, its in self.roles.items() if its == role), None)

    def named(self, call: KernelCall, mask: Any = None) -> dict[str, Any]:
        """Return what a call gives besides query, key and value, by name."""
        own = dict(self.fixed)
        causal, scale, groups = (self.given_name(role) for role in ("causal", "scale", "groups"))
        if causal is not None:
            own[causal] = call.is_causal
        if scale is not None and (call.scale is not None or self.defaults.get(scale, ...) is ...):
            own[scale] = self.scale_given(call.width**-0.5 if call.scale is None else call.scale)
        if groups is not None and call.heads != call.kv_heads:
            own[groups] = True
        name = self.given_name("mask")
        if name is not None and (mask is not None or self.defaults.get(name, ...) is ...):
            own[name] = mask
        return own

    def scale_given(self, scale: float) -> float:
        """Return what the scale argument is given for scores that are to be multiplied by some number."""
        return 1 / scale if self.is_divisor else scale

    def call(
        self, call: KernelCall, layout: Layout, library: str = "torch", given: Mapping[str, Any] | None = None
    ) -> Any:
        """Call the kernel with fresh tensors, or with those given, and return what it returns.

        Raises:
            Exception: whatever it raises.
        """
        given = call.given(layout) if given is None else given
        if library == "numpy":
            given = {name: x.numpy() for name, x in given.items()}
        operands = [given[{"query": "q", "key": "k", "value": "v"}[role]] for role in self.order]
        own = self.named(call, given.get("mask"))
        if not self.is_by_position:
            return self.function(*operands, **own)
        rest = [own.get(name, self.defaults.get(name)) for name in self.names]
        return self.function(*operands, *rest)

    def code(self, call: KernelCall, layout: Layout, library: str = "torch") -> str:
        """Return the call as Python that can be pasted."""
        operands = [{"query": "q", "key": "k", "value": "v"}[role] for role in self.order]
        own = self.named(call)
        if call.mask is not None:
            own[self.given_name("mask") or "mask"] = "mask"
        written = {name: value if value == "mask" else repr(value) for name, value in own.items()}
        if self.is_by_position:
            rest = [written.get(name, repr(self.defaults.get(name))) for name in self.names]
        else:
            rest = [f"{name}={value}" for name, value in written.items()]
        code = call.code(layout, f"output = {self.name}({', '.join([*operands, *rest])})")
        return code if library == "torch" else code.replace("\noutput", f"\n{_TO_NUMPY}\noutput")


_TO_NUMPY = "q, k, v = (x.numpy() for x in (q, k, v))"


def is_kernel(target: Any) -> bool:
    """Whether a target is a function of query, key and value, by their names, that needs nothing unknown.

    >>> is_kernel(lambda q, k, v, causal=False: None), is_kernel(lambda x, mask: None)
    (True, False)
    """
    try:
        found = read_kernel(target)
    except UnjudgedError:
        return False
    return sorted(found.order) == ["key", "query", "value"]


def read_kernel(target: Any) -> KernelSignature:
    """Return how a target is called.

    Raises:
        UnjudgedError: it is no function of query, key and value, or needs what the contract does not know.
    """
    function, name, parameters, is_by_position = _parts(target)
    order = [role_of(p.name) for p in parameters[:3]]
    if len(parameters) < 3 or any(p.default is not p.empty for p in parameters[:3]):
        raise UnjudgedError(f"{name} takes {len(parameters)} arguments, expected query, key and value at least.")
    if sorted(map(str, order)) != ["key", "query", "value"]:
        order = ["query", "key", "value"]
    roles, fixed = {}, {}
    for parameter in parameters[3:]:
        role = _role(parameter)
        if role is not None:
            roles[parameter.name] = role
        elif parameter.default is parameter.empty:
            fixed[parameter.name] = _needed(parameter)
    says = _words(target)
    return KernelSignature(
        function,
        name,
        tuple(map(str, order)),
        roles,
        fixed,
        is_by_position,
        tuple(p.name for p in parameters[3:]),
        {p.name: p.default for p in parameters[3:] if p.default is not p.empty},
        _layouts_said(says),
        _align(name, roles, says),
        _masks(name, roles, says),
        ("numpy",) if re.search(r"\bnp\.|\bnumpy\.", says) and "torch" not in says else ("torch", "numpy"),
        any(name.startswith("triton") for name in _modules(function)),
        bool(re.search(r"group|gqa|mqa|kv_?head|heads_kv|n_?rep|repeat|expand|multiple of|//", says, re.IGNORECASE)),
        bool(re.search(_WHOLE, says, re.IGNORECASE)),
        not _copies_pytorch(name, roles)
        and any(its == "scale" and _divides_by(given, says) for given, its in roles.items()),
    )


def _parts(target: Any) -> tuple[Callable[..., Any], str, list[inspect.Parameter], bool]:
    """Return what is called, its name and its parameters; an autograd function is called by `apply`."""
    owner = target if inspect.isclass(target) else getattr(target, "__self__", None)
    if inspect.isclass(owner) and issubclass(owner, torch.autograd.Function):
        parameters = _parameters(owner.forward)
        is_with_context = bool(parameters) and parameters[0].name in ("ctx", "context", "_ctx", "_")
        return owner.apply, f"{owner.__name__}.apply", parameters[is_with_context:], True
    if not inspect.isroutine(target):
        raise UnjudgedError(f"it is a {type(target).__name__}, expected a function or an autograd.Function.")
    return target, target.__name__, _parameters(target), False


def _parameters(function: Any) -> list[inspect.Parameter]:
    found = parameters_of(function)
    if found is None:
        raise UnjudgedError("it has no signature that can be read.")
    return [p for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def _role(parameter: inspect.Parameter) -> str | None:
    """Return which of the known arguments a parameter is; a scale that is a switch or has a number is none."""
    name = parameter.name.lower()
    is_switch = isinstance(parameter.default, bool) or parameter.annotation in (bool, "bool")
    for role in ("groups", "causal" if is_switch or "mask" not in name else "mask", "mask"):
        if re.fullmatch(_PATTERNS[role], name):
            return role
    if re.fullmatch(_PATTERNS["scale"], name) and parameter.default in (None, parameter.empty):
        return None if parameter.annotation in (bool, "bool") else "scale"
    return None


def _needed(parameter: inspect.Parameter) -> Any:
    name = parameter.name.lower()
    if re.fullmatch(_PATTERNS["dropout"], name):
        return 0.0
    if re.fullmatch(_PATTERNS["block"], name):
        return _BLOCK
    raise UnjudgedError(f"it needs the argument {parameter.name!r}, whose meaning the contract does not know.")


def _align(name: str, roles: Mapping[str, str], says: str) -> Align | None:
    """Return where the causal mask must lie: as the text says; as PyTorch does it; at the end for `causal`."""
    if re.search(r"top[- ]left|upper[- ]left", says, re.IGNORECASE):
        return "start"
    if re.search(r"(bottom|lower)[- ]right", says, re.IGNORECASE):
        return "end"
    if _copies_pytorch(name, roles):
        return "start"
    return None if any(its == "causal" and given.startswith("is_") for given, its in roles.items()) else "end"


def _masks(name: str, roles: Mapping[str, str], says: str) -> tuple[str, ...]:
    """Return what a mask promises to be: PyTorch's two, numbers where it is called a bias, or what the text says."""
    if _copies_pytorch(name, roles):
        return "keep", "added"
    if any(its == "mask" and "bias" in given.lower() for given, its in roles.items()):
        return ("added",)
    declared = declared_polarity(says)
    return () if declared is None else (declared,)


def _divides_by(name: str, says: str) -> bool:
    """Whether a text divides something by a name."""
    try:
        tree = ast.parse(textwrap.dedent(says))
    except SyntaxError:
        return False
    divisors = (
        node.right if isinstance(node, ast.BinOp) else node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
    )
    return any(isinstance(divisor, ast.Name) and divisor.id == name for divisor in divisors)


def _copies_pytorch(name: str, roles: Mapping[str, str]) -> bool:
    """Whether a function has the name and the arguments of `torch.nn.functional.scaled_dot_product_attention`."""
    return _KNOWN in name.lower() and {"attn_mask", "is_causal"} <= set(roles)


def _layouts_said(says: str) -> tuple[Layout, ...]:
    """Return the layouts of four axes that a text names: `(b, h, n, d)`, `[B, M, H, K]`."""
    found: list[Layout] = []
    for inside in re.findall(r"[(\[]([\w ]+,[\w ]+,[\w ]+,[\w ]+)[)\]]", says):
        axes = _as_axes([word.strip().lower() for word in inside.split(",")])
        if axes in ("bhnd", "bnhd"):
            found.append(axes)
    return tuple(dict.fromkeys(found))


def _as_axes(words: Sequence[str]) -> str:
    """Return the letters of axes; a word that may be several axes is the one that is left."""
    fitting = [[axis for axis, pattern in _AXES.items() if re.fullmatch(pattern, word)] for word in words]
    for order in ("bhnd", "bnhd"):
        if all(axis in some for axis, some in zip(order, fitting, strict=True)):
            return order
    return ""


def _modules(function: Any) -> set[str]:
    """Return the modules that the file of a function has imported, by name."""
    own = getattr(inspect.unwrap(function), "__globals__", {})
    return {value.__name__ for value in own.values() if inspect.ismodule(value)}


def _words(target: Any) -> str:
    try:
        return inspect.getsource(target)
    except (OSError, TypeError):
        return inspect.getdoc(target) or ""
