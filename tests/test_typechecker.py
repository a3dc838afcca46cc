"""The hook of the tests: shapes are checked wherever a signature names axes, and a check is made once."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import TypeCheckError

from attention_surgeon.ops import Mechanism, merge_heads, multiply_by
from tests.typechecker import beartype_once

ROOT = Path(__file__).parents[1]


def defined_anew(kind: type) -> Callable[..., object]:
    def inner(x: kind) -> None: ...

    return inner


def test_a_wrong_shape_is_noticed():
    with pytest.raises(TypeCheckError, match="typechecking parameter"):
        merge_heads(torch.ones(3))


def test_a_wrong_type_is_noticed_where_no_axes_are_named():
    with pytest.raises(BeartypeCallHintViolation):
        multiply_by("two")
    with pytest.raises(BeartypeCallHintViolation):
        Mechanism(score=3)


def test_nothing_is_checked_where_own_messages_are_wanted(own_messages: None):
    assert Mechanism(score=3, scale=multiply_by("two")).score == 3


def test_every_room_that_names_axes_is_checked():
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["addopts"]
    hook = next(option for option in options if option.startswith("--jaxtyping-packages="))
    checked = {name.rpartition(".")[2] for name in hook.partition("=")[2].split(",")[:-1]}
    package = ROOT / "src" / "attention_surgeon"
    named = {
        file.relative_to(package).parts[0].removesuffix(".py")
        for file in package.rglob("*.py")
        if "\nfrom jaxtyping import " in file.read_text(encoding="utf-8")
    }
    assert named <= checked


def test_a_function_that_is_defined_again_keeps_its_check():
    first = beartype_once(defined_anew(int))
    assert beartype_once(defined_anew(int)) is first
    with pytest.raises(BeartypeCallHintViolation):
        first("three")


def test_other_types_are_another_check():
    beartype_once(defined_anew(int))
    beartype_once(defined_anew(str))("three")
