"""A stand-alone pytest file for somebody's attention: a readable definition, and the calls that tell mistakes.

The file imports the judged object, pytest, and torch or NumPy; nothing of this package. What is written depends on what
the object is and how it is called, which its contract finds out; whether it is right at the moment does not matter.
"""

import inspect
import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from attention_surgeon.diagnose.child import Jsonable, Limits, run_in_child
from attention_surgeon.diagnose.judge import diagnose_answers, right_as
from attention_surgeon.diagnose.load import find_source, load_target, split_target
from attention_surgeon.errors import OptionError, UnjudgedError
from attention_surgeon.files import require_place, write_in_folders
from attention_surgeon.testing import Contract, Subject, contracts_for, make_contract
from attention_surgeon.testing.function_subject import AskableFunction
from attention_surgeon.testing.layer.build import DROPOUT, LONGEST, _arguments
from attention_surgeon.testing.layer.parameters import Reading
from attention_surgeon.testing.layer.subject import AskableLayer
from attention_surgeon.testing.mask_contract import MaskSubject
from attention_surgeon.testing.padding_contract import PaddingSubject
from attention_surgeon.testing.softmax_contract import SoftmaxSubject
from attention_surgeon.testing.steadiness import surroundings_kept

Context = dict[str, Any]


def write_test(
    target: str,
    test_file: str | Path,
    contract: str | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    limits: Limits | None = None,
) -> str:
    """Write the test of `FILE.py:NAME` to a file, and return its text. A file that is there is not written over.

    Args:
        target: The file, and the name in it.
        test_file: Where the test goes: `tests/test_attention.py`.
        contract: What the object should be; None to choose by its kind.
        options: Of the contract.
        limits: What the file may use.

    Raises:
        OptionError: there is a file already; or no test is written for such a contract.
        UnjudgedError: the object cannot be called as its contract says.
        FileAccessError: the file cannot be read, or the test not be written.
    """
    test_file = Path(os.path.abspath(test_file))
    if test_file.exists():
        raise OptionError(f"{test_file} is there already; give another name, or move it away.")
    if test_file.parent.is_dir():
        require_place(test_file)
    place, name = split_target(target)
    work = partial(_work, place, name, str(test_file), contract, dict(options or {}))
    outcome = run_in_child(work, file=find_source(place), limits=limits or Limits(seconds=60))
    if not isinstance(outcome.value, str):
        raise UnjudgedError(outcome.sentence)
    write_in_folders(test_file, outcome.value)
    return outcome.value


def _work(place: str, name: str | None, test_file: str, contract: str | None, options: Mapping[str, Any]) -> Jsonable:
    target = load_target(place, name)
    if target.file is None:
        raise OptionError(f"{place} is compiled; a test is written for an object of a Python file.")
    chosen = contract or _contract_of(target.object, options)
    folder, module = _importable(target.file)
    imported = target.name.partition(".")[0]
    where = {"root": _root(folder, Path(test_file).parent), "module": module, "imported": imported, "name": target.name}
    return test_text(target.object, make_contract(chosen, **options), where)


def _contract_of(target: Any, options: Mapping[str, Any]) -> str:
    """Return the contract that a target keeps; where it keeps none, the one by which least is wrong."""
    with surroundings_kept():
        kept = next((one for one in contracts_for(target, None, **options) if right_as(one, target)), None)
    return kept.registered_name if kept is not None else diagnose_answers(target, None, **options).contract_name


def test_text(target: Any, contract: Contract, where: Mapping[str, str]) -> str:
    """Return the text of the test of an object.

    Args:
        target: The object.
        contract: What it should be.
        where: `root` (an expression for the folder), `module`, `imported` and `name`: how the test gets the object.

    Raises:
        OptionError: no test is written for such a contract.
        UnjudgedError: the object cannot be called as the contract says.
    """
    subject = contract.bind(target)
    for kind, (template, describe) in _WRITERS.items():
        if isinstance(subject, kind):
            context: Context = {"config": "", "library": "torch", "title": contract.title, **where, **_own_name(where)}
            context |= describe(subject, context["name"])
            return _rendered(template, context)
    raise OptionError(f"no test is written for the contract {contract.registered_name!r} yet.")


def _own_name(where: Mapping[str, str]) -> Context:
    """Return the object's name in the test; another one where the test has that name for something else."""
    first, dot, rest = where["name"].partition(".")
    is_taken = first in _TAKEN or first.startswith("test_")
    alias = f"{first}_under_test".removeprefix("test_") if is_taken else ""
    return {"alias": alias, "name": f"{alias or first}{dot}{rest}"}


_TAKEN = frozenset(
    "mask expected attend check draw draw_hidden as_mask is_open weigh build project projections heads layer x query "
    "key value weights output context sizes shape scores hidden given first second rows torch np pytest Path".split()
)
"""Names that the templates use."""

test_text.__test__ = False  # type: ignore[attr-defined]  # its name is not for pytest


def _rendered(template: str, context: Context) -> str:
    import jinja2  # here, because it is needed by nobody else

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("attention_surgeon.repair"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    text = environment.get_template(template).render(context)
    return re.sub(r"\n{4,}", "\n\n\n", text).replace("\n\n\n\n", "\n\n\n")


def _importable(file: Path) -> tuple[Path, str]:
    """Return the folder that must be on the path, and the module's name from there."""
    parts, folder = [file.stem], file.parent
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        parts.insert(0, folder.name)
        folder = folder.parent
    return folder, ".".join(parts)


def _root(folder: Path, beside: Path) -> str:
    """Return the folder of the module as an expression, told from where the test stands."""
    relative = os.path.relpath(os.path.realpath(folder), os.path.realpath(beside))
    here = "Path(__file__).resolve().parent"
    return here if relative == "." else f'{here} / "{Path(relative).as_posix()}"'


def _of_function(subject: Subject, name: str) -> Context:
    assert isinstance(subject, AskableFunction)
    contract, signature, asked = subject.contract, subject._signature, subject._asked
    batch = {2: "", 3: "3, ", 4: "3, 2, "}[asked.layout]
    is_numpy = subject.library == "numpy"
    mask = "None if hidden is None else as_mask(hidden)"
    is_additive = asked.mask and contract.mask == "additive"
    if is_additive:
        mask = "added if hidden is None else as_mask(hidden)"
    given = ["query", "key", "value"]
    with_mask = ["*operands"]
    if asked.mask and signature.mask is not None:
        given.append(mask if signature.by_position else f"{signature.mask}={mask}")
        with_mask.append("mask" if signature.by_position else f"{signature.mask}=mask")
    elif signature.needs_mask:
        given.append(f"{signature.mask}=None")
    if asked.switch:
        given.append(f"{signature.scale}=scaled")
    return {
        "library": subject.library,
        "causal": contract.hides_future,
        "align": contract.align,
        "scaled": contract.scaled,
        "mask": asked.mask,
        "additive": is_additive,
        "switch": asked.switch,
        "weights_first": contract.returns == "weights_first",
        "batch": batch,
        "full_batch": batch,
        "mask_batch": batch[:3],
        "heads_axis": "[:, None]" if asked.layout == 4 else "",
        "spread": {2: "", 3: "[None]", 4: "[None, None]"}[asked.layout],
        "call": f"{_callable(subject, name)}({', '.join(given)})",
        "call_with_mask": f"{_callable(subject, name)}({', '.join(with_mask)})",
        **_mask_words(contract.mask, subject._representation, is_numpy=is_numpy),
    }


def _callable(subject: AskableFunction, name: str) -> str:
    """Return how the function is called: a class is made first."""
    target = subject._make(2)
    is_made = not inspect.isroutine(target) and name.partition(".")[0] == type(target).__name__
    return f"{name}()" if is_made else name


def _mask_words(meaning: str, representation: str, *, is_numpy: bool) -> Context:
    """Return how what is hidden becomes a mask, in code and in words."""
    if meaning == "additive":
        code = (
            "np.where(hidden, -np.inf, 0.0)"
            if is_numpy
            else 'torch.zeros(hidden.shape).masked_fill(hidden, float("-inf"))'
        )
        return {"as_mask": code, "mask_words": "What is added to the scores: -inf hides, 0 does not."}
    code = "hidden" if meaning == "hide" else "~hidden"
    said = "is hidden" if meaning == "hide" else "may be attended to"
    if representation == "boolean":
        return {"as_mask": code, "mask_words": f"True {said}."}
    cast = {"integer": (".astype(np.int64)", ".long()"), "float": (".astype(np.float64)", ".float()")}[representation]
    inner = f"({code})" if code.startswith("~") else code
    return {
        "as_mask": inner + cast[0 if is_numpy else 1],
        "mask_words": f"1 {said}, 0 {'is not' if meaning == 'hide' else 'may not'}.",
    }


def _of_softmax(subject: Subject, name: str) -> Context:
    assert isinstance(subject, SoftmaxSubject)
    shapes = {1: "[(5,), (7,)]", 2: "[(5, 7), (7, 5), (4, 4), (1, 3)]", 3: "[(2, 5, 7), (3, 7, 5), (4, 4, 4)]"}
    axis = f", {subject._axis}=-1" if subject.takes_axis else ""
    is_class = inspect.isclass(subject._function) or name.partition(".")[0] == type(subject._function).__name__
    return {
        "library": subject.library,
        "shapes": shapes.get(subject.layout, "[(2, 3, 5, 7), (3, 2, 7, 5), (4, 4, 4, 4)]"),
        "call": f"{name}(scores{axis})" if not is_class else f"{name}(-1)(scores)",
    }


def _of_causal_mask(subject: Subject, name: str) -> Context:
    assert isinstance(subject, MaskSubject)
    is_numpy = "numpy" in type(subject._masks()[0]).__module__
    named = "".join(f', {key}="{value}"' for key, value in subject._named.items())
    both = f"{name}(*sizes{named})"
    one = f"{name}({{n}}, {{n}}{named})" if subject._needs_two else f"{name}({{n}}{named})"
    if not subject._needs_two:
        both = both if subject._takes_two else f"{name}(sizes[0]{named})"
        if subject._takes_two:
            both = f"{name}(*sizes{named}) if sizes[0] != sizes[1] else {name}(sizes[0]{named})"
    return {
        "library": "numpy" if is_numpy else "torch",
        "reverse": subject._declared.is_reverse,
        "align": subject._declared.align,
        "takes_two": subject._takes_two,
        "call": both,
        "call_square": one.format(n="n"),
        "call_square_5": one.format(n="5"),
        **_open_words(subject._form, is_numpy=is_numpy),
    }


def _open_words(form: str, *, is_numpy: bool) -> Context:
    """Return how a mask says what may be attended to, in code and in words."""
    code, words = {
        "keep": ("mask != 0", "True or 1 may be attended to."),
        "hide": ("mask == 0", "True or 1 is hidden."),
        "additive": ("mask > -1e3", "It is added to the scores: far below zero hides."),
    }[form]
    return {"is_open": code, "mask_words": words, "is_additive": form == "additive"}


def _of_padding_mask(subject: Subject, name: str) -> Context:
    assert isinstance(subject, PaddingSubject)
    is_numpy = subject.library == "numpy"
    array = "np.array" if is_numpy else "torch.tensor"
    rest = ", second" if subject._takes_two else ""
    return {
        "library": subject.library,
        "source": subject._declared.source,
        "call": f"{name}({array}(first){rest})",
        "call_given": f"{name}(given{rest})",
        **_open_words(subject._form, is_numpy=is_numpy),
    }


def _of_layer(subject: Subject, name: str) -> Context:
    assert isinstance(subject, AskableLayer)
    if subject.library != "torch" or not inspect.isclass(subject.target):
        raise OptionError("a test is written for a class of torch layers; name the class, not an object of it.")
    contract, form = subject.contract, (subject._forms or ("none",))[-1]
    kinds = {"self": "one", "simple": "one", "grouped": "shared", "multiquery": "single"}
    sizes = {
        "one": "[(11, 1, 1, 7, 7), (5, 1, 1, 6, 6)]",
        "shared": "[(5, 6, 2, 7, 7), (3, 4, 2, 4, 4)]",
        "single": "[(5, 3, 1, 7, 7), (3, 4, 1, 4, 4)]",
    }.get(kinds.get(contract.kind, ""), "[(5, 3, 3, 7, 4), (3, 2, 2, 5, 11), (4, 4, 4, 4, 4)]")
    is_cross = subject._is_cross
    representation = {"torch.bool": "boolean", "torch.int64": "integer"}.get(str(subject._representation), "float")
    built, dropout = _built(subject.target, subject, name)
    return {
        "sizes": sizes,
        "width": "head_size * num_heads",
        "build": built,
        "config": "config" if "SimpleNamespace" in built else "",
        "dropout": dropout,
        "projections": _projection_lines(subject.reading),
        "scaled": contract.circuit().mechanism.scale is not _unscaled(),
        "causal": contract.kind == "causal_multihead",
        "cross": is_cross,
        "mask": form != "none",
        "mask_form": form,
        "mask_batch": "1" if form == "n n" else "3",
        "may_be_empty": form not in ("b n", "none") and not contract.allows_nan_rows,
        "shaped": {
            "n n": "hidden[0, 0]",
            "b n n": "hidden[:, 0]",
            "b 1 n n": "hidden",
            "b h n n": "hidden.expand(-1, num_heads, -1, -1)",
            "b n": "hidden[:, 0, 0]",
            "none": "hidden",
        }[form],
        "arguments": _arguments_of(subject),
        "weights_place": subject._weights_place,
        "mean_weights": subject._mean_weights,
        **_mask_words(contract.mask, representation, is_numpy=False),
    }


def _unscaled() -> Callable[..., Any]:
    from attention_surgeon.ops import leave_unscaled

    return leave_unscaled


def _arguments_of(subject: AskableLayer) -> str:
    call = subject._call
    given = ["x" if one == "x" or not subject._is_cross else "context" for one in call.inputs]
    if call.mask is not None and (subject._forms or call.needs_mask):
        given.append(f"{call.mask}={'mask' if subject._forms else 'None'}")
    return ", ".join([*given, *(f"{name}={value}" for name, value in call.named)])


_STANDS_FOR: Mapping[int, str] = {900_001: "width", 900_002: "num_heads", 900_003: "num_kv_heads", 900_004: "head_size"}
"""Numbers that the constructor's arguments are asked for with, and the variables of the test that take their places."""


def _built(target: type, subject: AskableLayer, name: str) -> tuple[str, bool]:
    """Return the call of the constructor, and whether it is given a dropout."""
    width, heads, kv_heads, head = _STANDS_FOR
    values = {"embed": width, "heads": heads, "kv_heads": kv_heads, "head": head, "context": width, "length": LONGEST}
    positional, named = _arguments(target, values)
    shown = {key: _shown(value, key, target) for key, value in named.items()}
    given = [*(_shown(value, "", target) for value in positional), *(f"{key}={value}" for key, value in shown.items())]
    return f"{name}({', '.join(given)})", str(DROPOUT) in ", ".join(given)


def _shown(value: Any, name: str, target: type) -> str:
    """Return an argument as it is written; of a configuration only the fields that the class reads."""
    if isinstance(value, SimpleNamespace):
        used = set(re.findall(rf"{name}\.(\w+)", _source_of(target)))
        fields = (f"{key}={_shown(one, '', target)}" for key, one in vars(value).items() if key in used)
        return f"SimpleNamespace({', '.join(fields)})"
    return _STANDS_FOR.get(value, repr(value))


def _source_of(target: type) -> str:
    return "\n".join(inspect.getsource(one) for one in target.__mro__ if one.__module__ == target.__module__)


def _projection_lines(reading: Reading) -> list[str]:
    """Return the lines that find the four projections in the layer.

    Raises:
        OptionError: a packed tensor is cut in a way that takes more than a line to say.
    """
    roles, lines = dict(reading.roles), []
    for role in ("query", "key", "value", "output"):
        if role in roles:
            lines.append(f"{role} = {_pair(roles[role], reading)}")
    for role, parts in (("qkv", "query, key, value"), ("kv", "key, value")):
        if role in roles:
            if reading.packing != "blocks" or len(roles[role]) > 1:
                raise OptionError("a test for projections that are packed head by head is not written yet.")
            if "query" in roles and role == "qkv":
                continue
            weight, bias = _weight_and_bias(roles[role][0])
            turned = ".T" if roles[role][0] in reading.turned else ""
            number = parts.count(",") + 1
            lines.append(f"weights = {weight}{turned}.chunk({number})")
            lines.append(f"biases = [None] * {number} if {bias} is None else {bias}.chunk({number})")
            lines.append(f"{parts} = zip(weights, biases, strict=True)")
    if "output" not in roles:
        lines.append("output = None")
    return lines


def _pair(names: tuple[str, ...], reading: Reading) -> str:
    """Return weight and bias of a projection as an expression: of one layer, or of every head of a list."""
    listed = re.fullmatch(r"(.+)\.0\.(.+)", names[0])
    if (
        listed is not None
        and len(names) > 1
        and names == tuple(f"{listed[1]}.{n}.{listed[2]}" for n in range(len(names)))
    ):
        return _pair_of_heads(_attribute(f"layer.{listed[1]}"), names[0], ".T" if names[0] in reading.turned else "")
    weights, biases = zip(*(_weight_and_bias(name) for name in names), strict=True)
    turned = [f"{one}.T" if name in reading.turned else one for one, name in zip(weights, names, strict=True)]
    if len(names) == 1:
        return f"({turned[0]}, {biases[0]})"
    bias = "None" if biases[0] == "None" else f"None if {biases[0]} is None else torch.cat([{', '.join(biases)}])"
    return f"(torch.cat([{', '.join(turned)}]), {bias})"


def _pair_of_heads(heads: str, first: str, turn: str) -> str:
    """Return weight and bias of a list of heads together, however many there are."""
    weight, bias = (one.replace(f"{heads}[0]", "head") for one in _weight_and_bias(first))
    weights = f"torch.cat([{weight}{turn} for head in {heads}])"
    if bias == "None":
        return f"({weights}, None)"
    return f"({weights}, None if {_weight_and_bias(first)[1]} is None else torch.cat([{bias} for head in {heads}]))"


def _weight_and_bias(name: str) -> tuple[str, str]:
    """Return the expressions of a weight and of its bias: `layer.query.weight`, `layer.query.bias`."""
    owner, _, last = name.rpartition(".")
    if last == "weight":
        module = _attribute(f"layer.{owner}")
        return f"{module}.weight", f"{module}.bias"
    if last.endswith("_weight"):
        return _attribute(f"layer.{name}"), _attribute(f"layer.{name.removesuffix('weight')}bias")
    return _attribute(f"layer.{name}"), "None"


def _attribute(dotted: str) -> str:
    """Write `layer.heads.0.key` as `layer.heads[0].key`."""
    return re.sub(r"\.(\d+)", r"[\1]", dotted)


_WRITERS: Mapping[type[Subject], tuple[str, Callable[[Subject, str], Context]]] = {
    AskableFunction: ("attention.py.jinja", _of_function),
    SoftmaxSubject: ("softmax.py.jinja", _of_softmax),
    MaskSubject: ("causal_mask.py.jinja", _of_causal_mask),
    PaddingSubject: ("padding_mask.py.jinja", _of_padding_mask),
    AskableLayer: ("layer.py.jinja", _of_layer),
}
