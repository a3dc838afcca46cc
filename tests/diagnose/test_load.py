"""Loading what is to be judged, in a child each time, because loading changes the process."""

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attention_surgeon.diagnose.child import run_in_child
from attention_surgeon.diagnose.load import Target, find_source, load_target, split_target


def loaded(place: str | Path, name: str | None = None, then: Callable[[Target], Any] = lambda target: None) -> Any:
    """Return what `then` says of the loaded target, or the sentence if it was not loaded."""

    def work() -> Any:
        for other in [other for other, module in sys.modules.items() if is_of_a_test(module)]:
            del sys.modules[other]  # a process of its own has nothing that other tests have loaded
        return then(load_target(place, name))

    outcome = run_in_child(work, file=find_source(place), start="fork")
    return outcome.sentence or outcome.value


def is_of_a_test(module: object) -> bool:
    return (getattr(module, "__file__", None) or "").startswith(tempfile.gettempdir())


def described(target: Target) -> list[object]:
    return [target.description, target.note]


def write(file: Path, *lines: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def test_a_target_knows_its_text_and_its_line(tmp_path: Path):
    file = write(tmp_path / "a.py", "import functools", "", "@functools.cache", "def f(x):", "    return x + 1", "# é")
    facts = loaded(file, "f", lambda t: [t.name, t.kind, t.line, str(t.file), t.sha256, t.num_lines, t.object(41)])
    assert facts == ["f", "function", 3, str(file), hashlib.sha256(file.read_bytes()).hexdigest(), 6, 42]


def test_functions_classes_methods_and_instances_are_told_apart(tmp_path: Path):
    file = write(
        tmp_path / "a.py",
        "class Attention:",
        "    def __call__(self): return 1",
        "",
        "    def forward(self): return 2",
        "layer = Attention()",
        "from math import sqrt",
        "short = lambda: 3",
    )
    assert loaded(file, "Attention", described) == ["class Attention, line 1", ""]
    assert loaded(file, "Attention.forward", described) == ["function Attention.forward, line 4", ""]
    assert loaded(file, "layer", described) == ["instance layer of Attention, line 1", ""]
    assert loaded(file, "layer.forward", described) == ["function layer.forward, line 4", ""]
    assert loaded(file, "sqrt", described) == ["function sqrt", ""]
    assert loaded(file, "short", described) == ["function short, line 7", ""]


def test_without_a_name_the_only_candidate_is_taken_and_named(tmp_path: Path):
    file = write(
        tmp_path / "a.py",
        "from math import sqrt",
        "from dataclasses import dataclass",
        "N = 3",
        "def _helper(): pass",
        "def attention(): pass",
        "alias = attention",
        "def main(): pass",
        "def test_it(): pass",
        "if __name__ == '__main__':",
        "    raise SystemExit",
    )
    note = "attention is judged, the only public function or class that a.py defines."
    assert loaded(file, None, described) == ["function attention, line 5", note]


@pytest.mark.parametrize(
    ("lines", "name", "sentence"),
    [
        (["def f(): pass", "class G: pass"], None, "a.py: which one is meant? Write a.py:f; the file defines f, G."),
        (
            ["x = 1", "from math import sqrt"],
            None,
            "a.py: nothing to judge; the file defines no public function and no class (what stands under "
            "`if __name__ ...` is not run).",
        ),
        (["def attention(): pass", "def softmax(): pass"], "atention", "a.py has no atention; did you mean attention?"),
        (["class SelfAttention: pass"], "selfattention", "a.py has no selfattention; did you mean SelfAttention?"),
        (["def attention(): pass"], "ATTENTION", "a.py has no ATTENTION; did you mean attention?"),
        (["def f(): pass", "def g(): pass"], "attention", "a.py has no attention; the file defines f, g."),
        (
            [f"def f{i}(): pass" for i in range(14)],
            "attention",
            "a.py has no attention; the file defines f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11 and 2 more.",
        ),
        (
            ["class A:", "    def forward(self): pass"],
            "A.forwrad",
            "A in a.py has no forwrad; did you mean forward?",
        ),
        (["W = 3", "def f(): pass"], "W", "a.py: W is of type int and cannot be called; the file defines f."),
        (["def __getattr__(name): raise AttributeError(name)"], "x", "a.py has no x; the file defines no public "),
    ],
)
def test_a_name_that_does_not_do_says_what_is_there(tmp_path: Path, lines: list[str], name: str | None, sentence: str):
    assert loaded(write(tmp_path / "a.py", *lines), name).startswith(sentence)


def test_files_that_cannot_be_read(tmp_path: Path):
    write(tmp_path / "folder.py" / "a.py")
    write(tmp_path / "n.ipynb", "{}")
    (tmp_path / "z.py").write_bytes(b"x = 1\0")
    (tmp_path / "b.py").write_bytes(b"# -*- coding: utf-8 -*-\n'\xe9'")
    for name, sentence in {
        "no.py": f"cannot read {tmp_path / 'no.py'}: there is no such file; check the name and the folder.",
        "folder.py": f"cannot read {tmp_path / 'folder.py'}: a folder stands there; give a file name.",
        "n.ipynb": "cannot load n.ipynb: it is a notebook; `jupyter nbconvert --to script n.ipynb` makes a Python file "
        "of it.",
        "z.py": "cannot load z.py: it is no Python text (it holds zero bytes); give a .py file.",
    }.items():
        assert loaded(str(tmp_path / name)) == sentence
    assert loaded(str(tmp_path / "b.py")).startswith("b.py cannot be read as Python at line ")


def test_a_missing_module_is_told_from_a_module_that_misses_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path / "mine.py", "import nosuch", "def f(): pass")
    monkeypatch.chdir(tmp_path)
    for place in ("nosuch", "torch.nosuch.deeper"):
        assert loaded(place, "f") == (
            f"cannot load {place}: there is no file and no module of that name; a file is given as FILE.py:NAME."
        )
    assert loaded("mine", "f") == (
        "mine.py imports nosuch at line 1 (`import nosuch`), which is not installed here; if it is your "
        "own, start in the folder that holds it."
    )


def test_modules_are_loaded_by_their_dotted_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = write(tmp_path / "package" / "part.py", "from .other import one", "def f(): return one + 1")
    write(tmp_path / "package" / "other.py", "one = 1")
    monkeypatch.chdir(tmp_path)
    assert find_source("package.part") == file
    assert loaded("package.part", "f", lambda t: [t.object(), str(t.file), t.num_lines]) == [2, str(file), 2]
    what = loaded("torch.nn.functional", "scaled_dot_product_attention", described)
    assert what == ["function scaled_dot_product_attention", ""]
    assert loaded("math", "sqrt", lambda t: [t.file, t.sha256, t.num_lines]) == [None, "", 0]
    assert loaded("package", "f") == "cannot load package: it is a folder; give a file, as in package/FILE.py:NAME."
    assert find_source("no.such") is None


def test_siblings_and_packages_are_found_as_from_the_command_line(tmp_path: Path):
    write(tmp_path / "lab" / "helper.py", "import attention", "def two(): return 2")
    script = write(tmp_path / "lab" / "attention.py", "import helper", "def f(): return helper.two()")
    assert loaded(script, "f", lambda t: [t.object(), t.object.__module__]) == [2, "attention"]
    write(tmp_path / "lib" / "__init__.py", "three = 3")
    write(tmp_path / "lib" / "inner" / "__init__.py")
    write(tmp_path / "lib" / "inner" / "other.py", "four = 4")
    module = write(
        tmp_path / "lib" / "inner" / "a.py",
        "from .. import three",
        "from .other import four",
        "import other",
        "def f(): return [three, four, other.four, __name__]",
    )
    assert loaded(module, "f", lambda t: t.object()) == [3, 4, 4, "lib.inner.a"]
    assert not list(tmp_path.rglob("__pycache__"))


def test_a_file_may_have_the_name_of_a_module_that_others_need(tmp_path: Path):
    source = ["import random, torch", "from dataclasses import dataclass", "@dataclass", "class A:", "    x: 'int'"]
    for name in ("torch.py", "random.py", "json.py"):
        file = write(tmp_path / name, *source[1:])
        assert loaded(file, "A", lambda t: [t.object(3).x, hasattr(__import__("torch"), "nn")]) == [3, True]


@pytest.mark.parametrize("name", ["with space.py", "грüße.py", "a:f.py", "two.dots.py", "no_suffix", "-m.py"])
def test_any_name_of_a_file_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    file = write(
        tmp_path / name, "class A: pass", "def f(): return __file__", "def g(): return A.__module__ in __name__"
    )
    place, function = split_target(f"{file}:f")
    assert (place, function) == (str(file), "f")
    assert loaded(place, function, lambda t: t.object()) == str(file)
    assert loaded(place, "g", lambda t: t.object()) is True
    monkeypatch.chdir(tmp_path)
    assert split_target(name) == (name, None)
    assert loaded(Path(name), "f", lambda t: t.object()) == str(file)


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("a.py", ("a.py", None)),
        ("a.py:f", ("a.py", "f")),
        ("a.py:A.forward", ("a.py", "A.forward")),
        ("torch.nn:Linear", ("torch.nn", "Linear")),
        ("torch.nn", ("torch.nn", None)),
        (r"C:\lab\a.py", (r"C:\lab\a.py", None)),
        (r"C:\lab\a.py:f", (r"C:\lab\a.py", "f")),
        ("C:a.py", ("C:a.py", None)),
        ("C:a.py:f", ("C:a.py", "f")),
        ("a.py:é", ("a.py", "é")),
        ("a.py:", ("a.py:", None)),
        ("a:b/c.py", ("a:b/c.py", None)),
    ],
)
def test_a_target_is_split_at_its_last_colon(target: str, parts: tuple[str, str | None]):
    assert split_target(target) == parts


def test_a_colon_in_the_name_of_a_file_that_is_there_splits_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a:f", "def g(): return 1")
    assert split_target("a:f") == ("a:f", None)
    assert split_target("a:f:g") == ("a:f", "g")


def test_a_file_sees_itself_alone_on_the_command_line(tmp_path: Path):
    file = write(tmp_path / "a.py", "import os, sys", "def f(): return [sys.argv, sys.path[0], os.getcwd(), __name__]")
    assert loaded(file, "f", lambda t: t.object()) == [[str(file)], str(tmp_path), os.getcwd(), "a"]


def test_the_text_that_is_hashed_is_the_text_that_is_run(tmp_path: Path):
    file = write(tmp_path / "a.py", "def f(): return 1")
    first = loaded(file, "f", lambda t: [t.object(), t.sha256])
    before = file.stat()
    write(file, "def f(): return 2")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # of the same size and age: a .pyc would be believed
    second = loaded(file, "f", lambda t: [t.object(), t.sha256])
    assert (first[0], second[0]) == (1, 2)
    assert first[1] != second[1]
