"""Judge every implementation of a group, `functions` or `layers`, and print what was found as one JSON list.

`test_judged.py` runs it in a process without pytest's import hook, which checks the types of every function that a
hypothesis makes, and so takes ten times as long.
"""

import json
import sys
from dataclasses import asdict, dataclass
from typing import get_args

import tests.implementations.reference  # fills VALID
import tests.implementations.wrong  # noqa: F401 (fills WRONG)
from attention_surgeon.diagnose import diagnose
from attention_surgeon.testing import make_contract
from attention_surgeon.testing.layer.cases import Kind
from tests.implementations.implementation import VALID, WRONG, Implementation

GROUPS = ("functions", "layers")


@dataclass(frozen=True)
class Judged:
    """What was claimed of an implementation, and what was found.

    Attributes:
        contract: What it was judged as.
        claimed: The faults it has; none: it is right.
        verdict: Of the diagnosis.
        is_named: Whether the diagnosis names every fault that was claimed.
        line: All of it in a line.
    """

    contract: str
    claimed: list[str]
    verdict: str
    is_named: bool
    line: str


def judge(one: Implementation) -> Judged:
    found = diagnose(one.target, make_contract(one.contract, **one.options))
    names = " or ".join("+".join(names) for names in found.ties) or "+".join(found.names) or "no name"
    seen = "; ".join([found.reason, *(seen.evidence for seen in found.behaviour)]).strip("; ")
    line = f"{one.name} has {'+'.join(one.faults) or 'nothing'}, judged {found.verdict}: {names} ({seen})"
    return Judged(one.contract, list(one.faults), found.verdict, found.names_all(*one.faults), line)


def judge_group(group: str) -> list[Judged]:
    is_layer = group == "layers"
    return [judge(one) for one in (*WRONG, *VALID) if (one.contract in get_args(Kind)) == is_layer]


if __name__ == "__main__":
    print(json.dumps([asdict(judged) for judged in judge_group(sys.argv[1])]))
