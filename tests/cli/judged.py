"""Diagnoses made by hand, so that what a screen shows is tested apart from what the judge finds."""

import dataclasses

import numpy as np

from attention_surgeon.diagnose.diagnosis import diagnosed
from attention_surgeon.diagnose.file import FileDiagnosis
from attention_surgeon.faults import find_fault
from attention_surgeon.verdict import Behaviour, Counterexample, Difference, Verdict

CALL = "plain: Q (2, 3, 11), K (2, 4, 11), V (2, 4, 13)"
EXPECTED = np.array([[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25]])
YOURS = np.array([[0.06, 0.14, 0.18, 0.62], [0.9, 0.04, 0.06, 0.0], [0.25, 0.25, 0.25, 0.25]])

DIFFERENCE = Difference("weights", ("scores", "scaled", "masked"), CALL, YOURS, EXPECTED)
EXAMPLE = Counterexample(
    "# a layer of width 2 with one head, and numbers of its own\n"
    "Q = torch.tensor([[1, 0]])\nmask = torch.tensor([[True, False]])  # True = may attend",
    "output",
    np.array([[1.0, 0.0]]),
    np.array([[0.67, 0.33]]),
)


def wrong(*names: str, **more) -> Verdict:
    """A wrong function with these faults, in one explanation."""
    explanations = (tuple(find_fault(name) for name in names),) if names else ()
    usual = {"explanations": explanations, "difference": DIFFERENCE, "counterexample": EXAMPLE, "called_with": CALL}
    return diagnosed("wrong", "attention", contract_name="attention", **(usual | more))


def tied(*explanations: tuple[str, ...]) -> Verdict:
    """A wrong function that several sets of faults explain."""
    return wrong(explanations=tuple(tuple(find_fault(name) for name in names) for names in explanations))


def of_file(diagnosis: Verdict, **more) -> FileDiagnosis:
    """The diagnosis as that of a file."""
    found = FileDiagnosis(
        target="model/attention.py:attention",
        object="function attention, line 7",
        sha256="3f9a1c" + 58 * "0",
        num_lines=41,
        note="",
        options={"mask": "keep", "returns": "output_first", "scaled": True},
        diagnosis=diagnosis,
        ended="finished",
        printed="",
    )
    return dataclasses.replace(found, **more)


RIGHT = Verdict("right", "attention", contract_name="attention", called_with=CALL, calls=("plain", "masked"))
UNJUDGED = Verdict(
    "unjudged", "attention", contract_name="attention", reason="it takes 2 positional arguments, expected at least 3."
)
MUTATES = Behaviour("mutates_inputs", "after the call the caller's Q held other numbers")
NAMELESS = Behaviour(None, "it raises in the call padding mask: RuntimeError: no")
REMARK = Behaviour(None, "it returns a third value", is_fault=False)

DIAGNOSES: dict[str, FileDiagnosis] = {
    "right": of_file(RIGHT),
    "right, with a remark": of_file(dataclasses.replace(RIGHT, behaviour=(REMARK,))),
    "one fault": of_file(wrong("softmax_over_queries")),
    "two faults": of_file(wrong("scale_missing", "mask_inverted")),
    "a tie": of_file(tied(("scale_by_key_size",), ("scale_twice",))),
    "a tie beside a fault": of_file(tied(("scale_by_key_size", "mask_ignored"), ("scale_twice", "mask_ignored"))),
    "conduct": of_file(wrong(difference=None, counterexample=None, behaviour=(MUTATES,))),
    "no name": of_file(wrong(difference=None, counterexample=None, behaviour=(NAMELESS,))),
    "unknown": of_file(wrong(difference=dataclasses.replace(DIFFERENCE, step="masked"))),
    "unknown, nothing seen": of_file(wrong(difference=None, counterexample=None)),
    "other shape": of_file(wrong(difference=dataclasses.replace(DIFFERENCE, yours=YOURS[:2]))),
    "raises": of_file(
        wrong("key_not_transposed", counterexample=dataclasses.replace(EXAMPLE, yours="RuntimeError: no"))
    ),
    "unjudged": of_file(UNJUDGED),
    "stopped": of_file(UNJUDGED, object="", options={}, ended="timed_out", printed="one\n\ntwo\nx\x1b[31m\n"),
    "a module": of_file(RIGHT, sha256="", num_lines=0, note="attention is judged, the only one."),
}
