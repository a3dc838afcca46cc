"""Probes, oracles and contracts: is an attention right? For our tests, for the course, for other people's projects."""

from attention_surgeon.testing.answer import Answer, same_answer, same_numbers
from attention_surgeon.testing.check import check_attention
from attention_surgeon.testing.contract import Case, Contract, Subject
from attention_surgeon.testing.contracts import CONTRACTS, contracts_for, make_contract
from attention_surgeon.testing.function_behaviour import FunctionContract
from attention_surgeon.testing.layer.parameters import fill_parameters
from attention_surgeon.testing.steadiness import steadiness_of
from attention_surgeon.verdict import Behaviour as Conduct  # its name until this release

__all__ = [
    "CONTRACTS",
    "Answer",
    "Case",
    "Conduct",
    "Contract",
    "FunctionContract",
    "Subject",
    "check_attention",
    "contracts_for",
    "fill_parameters",
    "make_contract",
    "same_answer",
    "same_numbers",
    "steadiness_of",
]
