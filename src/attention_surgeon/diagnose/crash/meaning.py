"""What an error means to somebody who writes attention: one plain sentence for each kind that learners meet.

Each function below knows one kind. It is given the `Scene` and returns its sentence, or an empty text where it is
another kind; the first that has something to say is heard.
"""

import ast
import inspect
import re
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from attention_surgeon.diagnose.crash.scene import Scene
from attention_surgeon.diagnose.crash.suggest import dictionary_without, near

_REDUCTIONS = frozenset({"sum", "max", "min", "mean", "amax", "amin"})
_MODULES = {
    "np": "import numpy as np",
    "torch": "import torch",
    "nn": "from torch import nn",
    "F": "from torch.nn import functional as F",
    "math": "import math",
    "plt": "import matplotlib.pyplot as plt",
}


_CLOSE = 0.8  # `__int__` is a slip for `__init__`, `forward` is none

_WITHOUT_SELF = "The first argument of a method is `self`."
_LARGEST = "`max(dim=...)` of a tensor gives the largest numbers and their places; take `amax(dim=..., keepdim=True)`."
_IN_PLACE = "make a new one (`x = x / 2`, not `x /= 2`)."

_BY_MESSAGE = tuple(
    (re.compile(pattern), sentence)
    for pattern, sentence in (
        (
            r"before Module.__init__\(\) call|has no attribute '_(?:modules|parameters|buffers|\w+_hooks)'",
            "Call `super().__init__()` in the first line of `__init__`.",
        ),
        (
            r"Boolean value of Tensor with more than one value|truth value of an array",
            "`if` asks for one yes or no, and this has many; to see whether it was given, write `is not None`.",
        ),
        (r"return_types", _LARGEST),
        (r"maximum recursion depth", "The function calls itself without an end."),
        (r"'torch.Size' object is not callable", "`shape` is no function: `x.shape[-1]`, or `x.size(-1)`."),
        (
            r"'builtin_function_or_method' object is not subscriptable",
            "A method is followed by `[`; it is called with `(`.",
        ),
        (
            r"sqrt\(\).*must be Tensor, not (?:int|float)",
            "`torch.sqrt` wants a tensor; of a plain number take `** 0.5`.",
        ),
        (
            r"only (?:0-dimensional|length-1|size-1) arrays can be converted",
            "A function of `math` takes one number, and this is an array of many; take NumPy's own, such as `np.exp`.",
        ),
        (r"unexpected keyword argument 'keepdim'$", "NumPy's word is `keepdims`, with an s; PyTorch's is `keepdim`."),
        (r"unexpected keyword argument 'dim'$", "NumPy's word is `axis`; PyTorch's is `dim`."),
        (r"masked_fill.*\(Tensor, str\)", 'Infinity is a number, and this is a text; write `float("-inf")`.'),
        (
            r"but got float\"|must be (?:tuple of ints|int), not float|'float' object cannot be interpreted",
            "A shape is made of whole numbers, and `/` gives a float; write `//`.",
        ),
        (r"EOF when reading a line", "Nobody is there to answer `input` while the file is judged; leave it out."),
        (
            r"leaf Variable that requires grad",
            f"A tensor that gradients are wanted for may not be changed in place: {_IN_PLACE}",
        ),
        (
            r"modified by an inplace operation",
            f"A tensor was changed in place that the gradient still needs: {_IN_PLACE}",
        ),
        (
            r"on the same device|is on \w+, (?:different|but)|on meta|meta tensor",
            "What you make must lie where the arguments lie: give `device=Q.device` (or another argument's) to it.",
        ),
        (
            r"not compiled with CUDA|NVIDIA driver|No CUDA",
            "This computer has no CUDA; take the device from the arguments, as in `device=Q.device`.",
        ),
        (
            r"must be Tensor, not numpy.ndarray|not a numpy.ndarray",
            "That is a function of PyTorch, and what comes in here is a NumPy array; take NumPy's own.",
        ),
        (
            r"numpy.ndarray.*'Tensor'|'Tensor'.*numpy.ndarray",
            "One of the two is a tensor, the other a NumPy array; keep to one of them.",
        ),
        (
            r"numpy\(\) on Tensor that requires grad",
            "This tensor carries a gradient, and NumPy has none: write `.detach()` first.",
        ),
        (
            r"only supports boolean masks|only implemented on integer and Boolean|ufunc 'invert' not supported",
            "A boolean mask is wanted here: `mask == 0` is True where a 0 or a False stands.",
        ),
        (
            r"with a bool tensor is not supported|boolean subtract",
            "A boolean mask is turned around by `~mask`, not by `1 - mask`.",
        ),
        (
            r"view size is not compatible",
            "After a transpose the numbers no longer lie in one piece, which `view` needs; `reshape` copies them.",
        ),
        (
            r"must have the same dtype|expected scalar type|same dtype",
            "The two have different dtypes; make yours with `dtype=` of the argument.",
        ),
    )
)


def meaning_of(scene: Scene) -> str:
    """Return the sentence, empty where nothing can be added to what Python says."""
    return next(filter(None, (kind(scene) for kind in _KINDS)), "")


def meaning_of_call(error: BaseException, target: object, first: Sequence[str] = ()) -> str:
    """Return what an error means that came up before any line of the target ran.

    Args:
        error: As it was raised.
        target: What was called.
        first: The name of the first argument that the function has.
    """
    if 'missing the required "forward" function' in str(error):
        names = [name for name in vars(type(target)) if not name.startswith("_")]
        meant = near("forward", names)
        return "The class has no method `forward`" + (f"; it has `{meant}`." if meant else ".")
    if "__init__() should return None" in str(error):
        return "`__init__` fills the object and returns nothing; leave its `return` out."
    if inspect.isclass(target) and "__init__" not in vars(target):
        meant = near("__init__", [name for name in vars(target) if inspect.isfunction(vars(target)[name])], _CLOSE)
        if meant:
            return f"The class has no method `__init__`; it has `{meant}`."
    if not inspect.isroutine(target) and first and first[0] != "self":
        return _WITHOUT_SELF
    return "The arguments must stay as the text of the exercise gives them."


def _self_missing(scene: Scene) -> str:
    """A method without `self`."""
    found = re.search(r"\(\) takes (\d+) positional arguments? but (\d+) (?:was|were) given", scene.message)
    is_it = found is not None and int(found[2]) == int(found[1]) + 1 and scene.frame.f_locals.get("self") is not None
    return _WITHOUT_SELF if is_it else ""


def _import_missing(scene: Scene) -> str:
    """A module that is used and was not imported."""
    name = getattr(scene.error, "name", "") or ""
    if not isinstance(scene.error, NameError) or name not in _MODULES:
        return ""
    return f"`{name}` was not imported: write `{_MODULES[name]}` at the top."


def _name_of_attribute(scene: Scene) -> str:
    """A layer's own attribute, called without `self.`."""
    name, owner = getattr(scene.error, "name", "") or "", scene.frame.f_locals.get("self")
    if not isinstance(scene.error, NameError) or isinstance(scene.error, UnboundLocalError):
        return ""
    if owner is not None and hasattr(owner, name):
        return f"What belongs to the object is called by its whole name: `self.{name}`."
    return f"Nothing is called `{name}` where this line runs."


def _set_too_late(scene: Scene) -> str:
    """A local name that is read before it is set."""
    if not isinstance(scene.error, UnboundLocalError):
        return ""
    return (
        f"`{scene.error.name or 'a name'}` has no value yet when this line runs: it is set later, or in a branch only."
    )


def _nothing_in_between(scene: Scene) -> str:
    """The value of one of the file's own functions that forgets its `return`."""
    if "NoneType" not in scene.message:
        return ""
    calls = [
        scene.assigned(node) for node in ast.walk(scene.node or ast.Tuple([], ast.Load())) if isinstance(node, ast.expr)
    ]
    for node in calls:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            own = scene.frame.f_globals.get(name) or getattr(scene.frame.f_locals.get("self"), name, None)
            if _returns_nothing(getattr(own, "__name__", name), scene.tree):
                return f"`{name}` gives nothing back: its `return` is missing."
    for node in scene.inside(ast.expr):
        if isinstance(node, ast.Name | ast.Attribute) and scene.value(node, unknown=scene) is None:
            return f"`{ast.unparse(node)}` is None here: ask for that case before you use it."
    return ""


def _returns_nothing(name: str, tree: ast.Module) -> bool:
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == name]
    return any(not any(isinstance(each, ast.Return) and each.value for each in ast.walk(node)) for node in functions)


def _key_missing(scene: Scene) -> str:
    """A key that a dictionary does not have."""
    if not isinstance(scene.error, KeyError) or not scene.error.args:
        return ""
    held = dictionary_without(scene.error.args[0], scene.frame)
    listed = "" if held is None else f"; it has {', '.join(repr(key) for key in list(held)[:8])}"
    return f"The dictionary has no key {scene.error.args[0]!r}{listed}."


def _axes_turned(scene: Scene) -> str:
    """`.T` of something with more than two axes."""
    for node in ast.walk(_statement_or(scene)):
        if isinstance(node, ast.Attribute) and node.attr == "T":
            shape = scene.shape(node.value)
            if shape is not None and len(shape) > 2:
                name = ast.unparse(node.value)
                way = (
                    "np.swapaxes(..., -2, -1)"
                    if isinstance(scene.value(node.value), np.ndarray)
                    else ".transpose(-2, -1)"
                )
                return (
                    f"`{name}` has {len(shape)} axes, and `.T` turns all of them around, the batch too; "
                    f"`{way}` turns the last two only."
                )
    return ""


def _statement_or(scene: Scene) -> ast.AST:
    """Return the expression with what its names were set to, so that a turn one line above is seen."""
    node = scene.node or ast.Tuple([], ast.Load())
    names = [each for each in ast.walk(node) if isinstance(each, ast.Name)]
    return ast.Tuple([node, *(scene.assigned(each) for each in names)], ast.Load())


def _inputs_added_up(scene: Scene) -> str:
    """`weights @ x` in the place of `weights @ V`."""
    product = _product(scene)
    if product is None or not isinstance(product[1], ast.Name):
        return ""
    left, right = ast.unparse(product[0]), product[1].id
    is_weights = any(word in left.lower() for word in ("weight", "attn", "attention", "probs"))
    arguments = [] if scene.function is None else [each.arg for each in scene.function.args.args]
    values = [name for name in scene.frame.f_locals if name.lower() in ("v", "value", "values")]
    if not is_weights or right not in arguments or right.lower() in ("v", "value", "values") or not values:
        return ""
    return f"The weights add up the values, `{values[0]}`, not the inputs `{right}`."


def _product_does_not_fit(scene: Scene) -> str:
    """A matrix product whose inner sizes differ."""
    product = _product(scene)
    if product is None:
        return ""
    left, right = (scene.shape(node) for node in product)
    if left is None or right is None or len(left) < 1 or len(right) < 2:
        return ""
    names = [ast.unparse(node) for node in product]
    both = f"`{names[0]}` is {left} and `{names[1]}` is {right}"
    if left[-1] != right[-2]:
        turned = f" Turn the last two axes of `{names[1]}`." if left[-1] == right[-1] else ""
        inner = f"the last axis of the left, {left[-1]}, must be as long as the last but one of the right, {right[-2]}"
        return f"{both}: {inner}.{turned}"
    return f"{both}: the axes in front must be alike, or 1."


def _product(scene: Scene) -> tuple[ast.expr, ast.expr] | None:
    node = scene.node
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        return node.left, node.right
    if isinstance(node, ast.Call) and len(node.args) == 2:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in ("matmul", "bmm", "dot", "mm"):
            return node.args[0], node.args[1]
    return None


def _axis_not_kept(scene: Scene) -> str:
    """A sum or maximum of rows without `keepdim`, in a difference or a quotient."""
    node = scene.node
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Sub | ast.Div | ast.Mult):
        return ""
    right = scene.assigned(node.right)
    if not isinstance(right, ast.Call):
        return ""
    name = right.func.attr if isinstance(right.func, ast.Attribute) else getattr(right.func, "id", "")
    given = {each.arg: each.value for each in right.keywords}
    kept = given.get("keepdim") or given.get("keepdims")
    if name not in _REDUCTIONS or (isinstance(kept, ast.Constant) and kept.value):
        return ""
    word = "keepdims" if isinstance(scene.value(node.left), np.ndarray) else "keepdim"
    return f"`{name}` takes the axis away, so one number a row no longer stands beside its row; add `{word}=True`."


def _does_not_spread(scene: Scene) -> str:
    """Two operands whose shapes do not go together."""
    node = scene.node
    if not isinstance(node, ast.BinOp) or isinstance(node.op, ast.MatMult):
        return ""
    left, right = scene.shape(node.left), scene.shape(node.right)
    if left is None or right is None or not ("must match" in scene.message or "broadcast" in scene.message):
        return ""
    names = ast.unparse(node.left), ast.unparse(node.right)
    return f"`{names[0]}` is {left} and `{names[1]}` is {right}: counted from the last, their axes must be alike, or 1."


def _method_of_tensors(scene: Scene) -> str:
    """A method that tensors have and arrays have not, or mean otherwise by."""
    call = scene.node if isinstance(scene.node, ast.Call) else None
    function = call.func if call is not None else scene.node
    if not isinstance(function, ast.Attribute) or not isinstance(scene.value(function.value), np.ndarray):
        return ""
    name = function.attr
    if name == "view":
        return "NumPy's `view` reads the same bytes as another dtype; the shape is changed by `reshape`."
    if name == "transpose":
        return "NumPy's `transpose` wants all axes, as in `.transpose(0, 2, 1, 3)`; `np.swapaxes` turns two of them."
    if not hasattr(np.ndarray, name) and hasattr(Tensor, name):
        return f"`{name}` is a method of PyTorch's tensors; what comes in here is a NumPy array."
    return ""


def _other_number_of_axes(scene: Scene) -> str:
    """A shape that is taken apart into too many or too few names."""
    found = re.search(
        r"(?:not enough values|too many values) to unpack \(expected (\d+)(?:, got (\d+))?\)", scene.message
    )
    if found is None:
        return ""
    node = scene.node
    shape = scene.value(node) if node is not None else None
    had = f": {tuple(shape)}" if isinstance(shape, torch.Size | tuple) else ""
    return f"{found[1]} values are expected on the left and another number stands on the right{had}."


def _called_otherwise(scene: Scene) -> str:
    """Something that is no function, called."""
    found = re.search(r"'(\w+)' object is not callable", scene.message)
    return f"A {found[1]} is followed by `(`; a `*` or a `,` may be missing." if found is not None else ""


def _by_message(scene: Scene) -> str:
    """What the message alone tells."""
    return next((sentence for pattern, sentence in _BY_MESSAGE if pattern.search(scene.message)), "")


_KINDS: tuple[Callable[[Scene], str], ...] = (
    _by_message,
    _self_missing,
    _import_missing,
    _set_too_late,
    _name_of_attribute,
    _nothing_in_between,
    _key_missing,
    _axes_turned,
    _inputs_added_up,
    _product_does_not_fit,
    _axis_not_kept,
    _does_not_spread,
    _method_of_tensors,
    _other_number_of_axes,
    _called_otherwise,
)
