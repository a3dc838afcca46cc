"""What `surgeon diagnose` says, on diagnoses made by hand."""

import json
import re

import numpy as np
import pytest

from attention_surgeon.cli.cells import width_of
from attention_surgeon.cli.diagnose import diagnosis_lines, document, print_diagnosis
from attention_surgeon.cli.matrices import compared_lines
from attention_surgeon.cli.verdict import contract_in_words
from attention_surgeon.diagnose.file import FileDiagnosis
from attention_surgeon.faults import find_fault
from attention_surgeon.verdict import LEVELS, Level
from tests.cli.judged import DIAGNOSES, EXPECTED, YOURS, of_file, tied, wrong


def screen(found: FileDiagnosis, level: Level = "pointer", width: int = 80) -> str:
    return "\n".join(line.plain.rstrip() for line in diagnosis_lines(found, level, width))


def flat(text: str) -> str:
    """The words of a screen in one line, however they were folded."""
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("width", [16, 24, 40, 80, 132])
@pytest.mark.parametrize("name", DIAGNOSES)
def test_no_line_is_wider_than_the_window(name: str, width: int, level: Level):
    found = DIAGNOSES[name]
    code = {line for fault in found.diagnosis.faults for line in fault.fix.splitlines()}
    lines = [line.plain.rstrip() for line in diagnosis_lines(found, level, width)]
    wide = [line for line in lines if width_of(line) > width and not any(line.endswith(piece) for piece in code)]
    assert not [line for line in wide if len(line.replace(" = ", "=").split()) > 1]  # one long word
    assert not [character for character in "".join(lines) if ord(character) < 32]


@pytest.mark.parametrize(
    ("name", "code", "sign"),
    [("right", 0, "✓ RIGHT"), ("one fault", 1, "✗ WRONG"), ("unjudged", 2, "? NOT JUDGED"), ("stopped", 2, "?")],
)
def test_exit_codes_and_signs(name: str, code: int, sign: str, capsys: pytest.CaptureFixture[str]):
    assert print_diagnosis(DIAGNOSES[name], "pointer", as_json=False) == code
    shown = capsys.readouterr().out
    assert sign in shown
    assert f"exit code {code}" in shown


def test_the_verdict_says_which_text_was_run_and_how():
    assert screen(DIAGNOSES["right"]).splitlines()[:4] == [
        "model/attention.py:attention",
        "function attention, line 7 · 41 lines · sha 3f9a1c",
        "judged as attention · True in the mask = may attend",
        "first call, plain: Q (2, 3, 11), K (2, 4, 11), V (2, 4, 13)",
    ]
    module = screen(DIAGNOSES["a module"])
    assert "lines" not in module.splitlines()[1]
    assert "attention is judged, the only one." in module


def test_levels_say_more_and_more():
    fault = find_fault("softmax_over_queries")
    question, pointer, fix = (screen(DIAGNOSES["one fault"], level) for level in LEVELS)
    assert all(fault.question in flat(text) for text in (question, pointer, fix))
    assert all(fault.name in text and fault.pointer in flat(text) for text in (pointer, fix))
    assert fault.name not in question
    assert fault.pointer not in flat(question)
    assert [fault.fix.splitlines()[0] in text for text in (question, pointer, fix)] == [False, False, True]
    assert all(str(seen) in flat(pointer) and str(seen) not in question for seen in fault.sightings)
    assert all("The first step that differs: weights" in text for text in (question, pointer, fix))
    assert all("The smallest case:" in text for text in (question, pointer, fix))


def test_the_first_in_the_pipeline_speaks_first():
    both = of_file(wrong("mask_inverted", "scale_missing"))
    for level in LEVELS:
        first, second = (find_fault(name).question for name in ("scale_missing", "mask_inverted"))
        text = flat(screen(both, level))
        assert 0 <= text.index(first) < text.index(second)
    assert "2 faults, confirmed on 2 independent probes" in screen(both)


def test_a_tie_is_said():
    text = screen(DIAGNOSES["a tie"])
    assert "these two are the same function here:" in text
    assert text.count("scale_twice") == 1
    assert "2 mistakes would do exactly this." in screen(DIAGNOSES["a tie"], "question")


def test_what_explanations_have_in_common_is_no_tie():
    after = screen(DIAGNOSES["a tie beside a fault"]).partition("the same function here:")[2]
    assert "scale_twice" in after
    assert "mask_ignored" not in after


def test_three_explanations_are_counted_and_equal_ones_are_not():
    three = of_file(tied(("scale_missing",), ("scale_flag_inverted",), ("scale_hard_coded",), ("scale_missing",)))
    assert "these 3 are the same function here:" in screen(three)
    assert "same function" not in screen(of_file(tied(("scale_missing",), ("scale_missing",))))


def test_the_unknown_is_not_guessed():
    text = screen(DIAGNOSES["unknown"])
    assert "I do not recognise this mistake; it first shows in the masked scores, here:" in text
    assert "fault" not in text
    assert "I do not recognise this mistake." in screen(DIAGNOSES["unknown, nothing seen"])
    assert "recognise" not in screen(DIAGNOSES["no name"])


@pytest.mark.parametrize("level", LEVELS)
def test_what_was_seen_is_said_at_every_level(level: Level):
    assert "after the call the caller's Q held other numbers" in flat(screen(DIAGNOSES["conduct"], level))
    assert "It has no name: it raises in the call padding mask" in flat(screen(DIAGNOSES["no name"], level))


def test_right_says_what_is_known_and_does_not_praise():
    text = flat(screen(DIAGNOSES["right, with a remark"]))
    assert "tried 2 calls, each on 2 independent probes: plain, masked" in text
    assert "Its output is softmax(Q Kᵀ / √d_k) V" in text
    assert "worth knowing: it returns a third value" in text
    assert "softmax(Q Kᵀ) V" in flat(screen(of_file(DIAGNOSES["right"].diagnosis, options={"scaled": False})))


def test_the_last_that_was_printed_is_shown_and_harmless():
    text = screen(DIAGNOSES["stopped"])
    assert text.splitlines()[-6:-2] == ["the last that it printed:", "  one", "  two", "  x\\x1b[31m"]


@pytest.mark.parametrize("width", [24, 40, 80])
def test_the_smallest_case_can_be_pasted(width: int):
    text = screen(DIAGNOSES["one fault"], width=width)
    pasted = text.partition("The smallest case:\n")[2].partition("  output, yours")[0]
    compile(re.sub(r"^  ", "", pasted, flags=re.MULTILINE), "pasted", "exec")
    assert "True = may attend" in flat(pasted.replace("#", ""))
    assert "a layer of width 2 with one head, and numbers of its own" in flat(pasted.replace("#", ""))
    assert "output, yours: RuntimeError: no" in screen(DIAGNOSES["raises"])


def test_numbers_show_that_they_differ():
    shown = "\n".join(line.plain for line in compared_lines(np.array([0.5]), np.array([0.5004]), 80))
    assert "0.5000" in shown
    assert "0.5004" in shown


def test_the_three_matrices_stand_side_by_side_or_below_each_other():
    wide = [line.plain.rstrip() for line in compared_lines(YOURS, EXPECTED, 44)]
    assert wide[:4] == [
        "yours      expected   difference",
        "░░░░░░▓▓   ░░░░▒▒▒▒   -░-▒-▓+█",
        "██  ░░     ██░░░░░░   +█-▒-░-▒",
        "▒▒▒▒▒▒▒▒   ▒▒▒▒▒▒▒▒",
    ]
    assert wide[4:] == [
        "█ is near 0.90, 0.22 in difference",
        "largest difference at [0, 3]: yours 0.62,",
        "expected 0.40",
    ]
    narrow = [line.plain.rstrip() for line in compared_lines(YOURS, EXPECTED, 12)]
    assert narrow.index("yours") < narrow.index("expected") < narrow.index("difference")


def test_what_is_not_finite_has_signs_of_its_own():
    yours, expected = np.array([[np.nan, -np.inf, -np.inf, 1.0]]), np.array([[1.0, -np.inf, 2.0, np.inf]])
    rows = [line.plain for line in compared_lines(yours, expected, 40)]
    assert rows[1].split("   ")[0] == "??-∞-∞ ▓"
    assert rows[1].rstrip().endswith("≠   ≠ ≠")


def test_other_shapes_have_no_difference():
    text = screen(DIAGNOSES["other shape"])
    assert "the shapes differ: yours 2 × 4 and expected 3 × 4" in text
    assert "difference   " not in text


def test_json_holds_everything_at_every_level(capsys: pytest.CaptureFixture[str]):
    assert print_diagnosis(DIAGNOSES["two faults"], "question", as_json=True) == 1
    shown = capsys.readouterr().out
    made = json.loads(shown, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert made == json.loads(json.dumps(document(DIAGNOSES["two faults"])))
    assert made["verdict"] == "wrong"
    assert made["faults"] == ["scale_missing", "mask_inverted"]
    assert made["texts"]["scale_missing"]["pointer"] == find_fault("scale_missing").pointer
    assert made["contract_name"] == "attention"
    assert (made["format"], made["version"]) == ("attention-surgeon diagnosis", 1)


def test_every_diagnosis_has_the_same_keys():
    keys = {tuple(document(found)) for found in DIAGNOSES.values()}
    assert len(keys) == 1


def test_everything_that_might_be_meant_otherwise_is_said():
    options = {"mask": "additive", "returns": "weights_first", "align": "start", "scaled": False, "source": "tokens"}
    assert contract_in_words("causal_attention", options) == (
        "judged as causal_attention · the mask is added to the scores · (weights, output) · aligned at the start · "
        "from tokens · unscaled"
    )
