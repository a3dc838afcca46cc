"""The tables of usual mistakes: the right function passes, each mistake is told from the others, with all its words."""

import pytest

from attention_surgeon.course.exercises import (
    ExplainedError,
    FunctionCheck,
    basics,
    capstone,
    chapter,
    numbers_of_maps,
    project,
    tiled,
)

CHECKS = [
    pytest.param(check, id=f"{module.__name__.rpartition('.')[2]}{name.lower()}")
    for module in (basics, chapter, numbers_of_maps, project, tiled, capstone)
    for name, check in vars(module).items()
    if isinstance(check, FunctionCheck)
]


@pytest.mark.parametrize("check", CHECKS)
def test_the_right_function_passes(check: FunctionCheck) -> None:
    check(check.right)


@pytest.mark.parametrize("check", CHECKS)
def test_each_mistake_is_told_from_the_others(check: FunctionCheck) -> None:
    for mistake in check.mistakes:
        with pytest.raises(ExplainedError) as raised:
            check(mistake.does)
        assert raised.value.mistake == mistake.words
        assert str(raised.value) == f"{(*mistake.words.seen, mistake.words.symptom)[0]} {mistake.words.question}"
        assert all((raised.value.pointer, raised.value.fix, raised.value.step))


@pytest.mark.parametrize("check", CHECKS)
def test_a_stub_is_told_that_it_is_one(check: FunctionCheck) -> None:
    def stub(*arguments: object) -> None:
        raise NotImplementedError("stub: write this part")

    with pytest.raises(ExplainedError, match=r"^Not written yet \(stub: write this part\)\."):
        check(stub)


@pytest.mark.parametrize("check", CHECKS)
def test_nothing_returned_is_said_so(check: FunctionCheck) -> None:
    with pytest.raises(ExplainedError, match=r"^It returns nothing\."):
        check(lambda *arguments: None)


def test_a_changed_argument_is_noticed() -> None:
    def centred(Q, K, V, k):  # type: ignore[no-untyped-def]
        Q -= Q.mean()
        return Q, K

    with pytest.raises(ExplainedError, match="the caller's numbers of shape") as raised:
        project.TOP_K(centred)
    assert raised.value.name == "mutates_inputs"


def test_an_unknown_mistake_is_shown_and_not_guessed_at() -> None:
    with pytest.raises(
        ExplainedError, match=r"^scores\[2, 0\] is 7, expected .* I do not recognise this mistake"
    ) as raised:
        chapter.SIMILARITY(lambda Q, K: (Q @ K.T) * 0 + 7)
    assert raised.value.name is None
    assert raised.value.yours is not None
    assert raised.value.expected is not None
