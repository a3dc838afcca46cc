"""Only what a name needs is run; a missing package is an error where it is used; the user's own tree is searched."""

import ast
import sys
from pathlib import Path
from types import ModuleType

import pytest

from attention_surgeon.calls.definitions import folder_with, needed_statements, run_definition


def lines(text: str, name: str) -> list[int]:
    return [one.lineno for one in needed_statements(ast.parse(text), name)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import torch\nclass A: x = torch.zeros(1)\nprint(A())", [1, 2]),
        ("width = 3\ndef f(): return g(width)\ndef g(x): return x\ndef h(): pass", [1, 2, 3]),
        ("for _ in range(9): pass\nf = [_ for _ in range(3)]", [2]),
        ("class A: pass\nmodel = A()\nfor i in range(10**9): model = A()\nf = model", [1, 2, 4]),
        ("try:\n    import flash\nexcept ImportError:\n    flash = None\ndef f(): return flash", [1, 5]),
        ("from __future__ import annotations\nfrom math import *\ndef f(): pass", [1, 2, 3]),
        ("def f(x: 'Late'): pass\nclass Late: pass", [1, 2]),
        ("def f(): pass\ndef other(): pass\nf.cache = {}", [1, 3]),
        ("import b\n@b.wrap\ndef f(): pass", [1, 3]),
        ("if True:\n    def f(): pass\nelse:\n    def f(): return 1", [1]),
        ("import sys\nme = sys.modules[__name__]\nclass B: pass\ndef f(): return me.B()\nclass C: pass", [1, 2, 3, 4]),
    ],
)
def test_the_needed_statements(text: str, expected: list[int]) -> None:
    assert lines(text, "f" if "f =" in text or "def f" in text else "A") == expected


def run(path: Path, name: str) -> tuple[ModuleType, list[str]]:
    module = ModuleType("somebodys")
    return module, run_definition(path, name, module, path.read_bytes())


def test_a_file_that_trains_is_not_trained(tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    file.write_text("def f(): return 3\nfor _ in range(10): raise SystemExit\nraise SystemExit")
    module, notes = run(file, "f")
    assert module.f() == 3
    assert notes == ["only what the name needs was run"]


def test_a_missing_package_is_an_error_where_it_is_used(tmp_path: Path) -> None:
    file = tmp_path / "plots.py"
    file.write_text("import no_such_plots as plot\ndef f(draw=False): return plot.show() if draw else 3")
    module, notes = run(file, "f")
    assert module.f() == 3
    assert "line 1: No module named 'no_such_plots'" in notes[1 - 1]
    with pytest.raises(ModuleNotFoundError, match=r"no_such_plots\.show is needed and not there"):
        module.f(draw=True)


@pytest.mark.usefixtures("_modules_kept")
def test_the_own_tree_is_searched_up_to_the_root_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "project" / "helpers_of_mine").mkdir(parents=True)
    (tmp_path / "project" / "setup.py").touch()
    (tmp_path / "outside_of_it").mkdir()
    (tmp_path / "project" / "helpers_of_mine" / "numbers_of_mine.py").write_text("EPS = 3")
    file = tmp_path / "project" / "models" / "attention.py"
    file.parent.mkdir()
    file.write_text("from helpers_of_mine.numbers_of_mine import EPS\ndef f(): return EPS")
    assert run(file, "f")[0].f() == 3
    assert folder_with("outside_of_it", file) is None


@pytest.mark.usefixtures("_modules_kept")
def test_relative_imports_do_not_run_the_package(tmp_path: Path) -> None:
    package = tmp_path / "package_of_mine"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit")
    (package / "sizes.py").write_text("WIDTH = 3")
    (package / "attention.py").write_text("from .sizes import WIDTH\ndef f(): return WIDTH")
    assert run(package / "attention.py", "f")[0].f() == 3


@pytest.mark.usefixtures("_modules_kept")
def test_a_part_of_the_own_tree_is_found_beside_a_package_that_is_missing(tmp_path: Path) -> None:
    layers = tmp_path / "parts_of_mine" / "layers"
    layers.mkdir(parents=True)
    (tmp_path / "setup.py").touch()
    (tmp_path / "parts_of_mine" / "__init__.py").touch()
    (layers / "__init__.py").write_text("import no_such_vision\nfrom .config import use_fused")
    (layers / "config.py").write_text("import no_such_vision\nFUSED = 3\ndef use_fused(): return FUSED")
    file = tmp_path / "parts_of_mine" / "attention.py"
    file.write_text(
        "from parts_of_mine.layers import use_fused, other\ndef f(): return use_fused()\ndef g(): return other()"
    )
    assert run(file, "f")[0].f() == 3
    with pytest.raises(ModuleNotFoundError, match="other is needed and not there"):
        run(file, "g")[0].g()


@pytest.fixture
def _modules_kept():
    modules, path = set(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.mark.usefixtures("_modules_kept")
def test_what_a_star_would_have_brought_is_found_beside_a_package_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "setup.py").write_text("")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "parts.py").write_text("import nosuch\n\ndef double(x): return 2 * x\n")
    file = tmp_path / "model" / "mine.py"
    file.write_text("from model.parts import *\n\ndef f(x): return double(x)\n")
    module, notes = run(file, "f")
    assert module.f(3) == 6
    assert notes == ["line 1: No module named 'nosuch'"]


def test_a_class_of_another_library_that_is_missing_is_no_module_of_torch(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("import flax.linen as nn\n\nclass A(nn.Module):\n    width: int = 3\n")
    module, _ = run(file, "A")
    with pytest.raises(ModuleNotFoundError, match="No module named 'flax'"):
        module.A()
