import pytest

from attention_surgeon.course import exercises
from attention_surgeon.testing import exercises as under_the_old_name


@pytest.mark.parametrize("name", exercises.__all__)
def test_a_workspace_made_before_the_move_still_finds_it(name: str):
    assert getattr(under_the_old_name, name) is getattr(exercises, name)


def test_nothing_else_is_handed_on():
    with pytest.raises(AttributeError, match=r"attention_surgeon\.course\.exercises"):
        under_the_old_name.basics  # noqa: B018
