"""Every wrong call of every room gives its whole message, and no traceback of somebody else's."""

import math
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

import attention_surgeon as surgeon
from attention_surgeon import errors
from tests.bad_call import ROOMS, BadCall, all_bad_calls


def namespace() -> dict[str, object]:
    rooms = {room: import_module(f"attention_surgeon.{room}") for room in ROOMS if room != "cli"}
    return {"torch": torch, "np": np, "math": math, "surgeon": surgeon, **rooms}


@pytest.mark.usefixtures("own_messages")
@pytest.mark.parametrize(("room", "bad_call"), list(all_bad_calls()), ids=lambda value: getattr(value, "call", value))
def test_wrong_call_gives_its_whole_message(room: str, bad_call: BadCall):
    with pytest.raises(errors.SurgeonError) as caught:
        eval(bad_call.call, namespace())
    public = next(kind for kind in type(caught.value).__mro__ if kind.__module__ == errors.__name__)
    assert public.__name__ == bad_call.error
    assert str(caught.value) == bad_call.message


def test_there_are_at_least_forty_wrong_calls_and_no_two_are_the_same():
    calls = [bad_call.call for _, bad_call in all_bad_calls()]
    assert len(calls) >= 40
    assert len(calls) == len(set(calls))


def test_every_class_of_the_tree_is_a_builtin_error_too_and_is_used():
    classes = [c for c in vars(errors).values() if isinstance(c, type) and c is not errors.SurgeonError]
    for error in classes:
        assert issubclass(error, errors.SurgeonError)
        assert issubclass(error, ValueError | TypeError | RuntimeError | AssertionError)
    source = "".join(path.read_text() for path in Path(errors.__file__).parent.rglob("*.py"))
    unused = [error.__name__ for error in classes if not re.search(rf"(?:raise|error =) {error.__name__}\(", source)]
    assert not unused
