"""Probes, oracles and contracts: is an attention right? For our tests, for the course, and for other people's projects."""

from attention_surgeon.testing.answer import Answer, same_answer, same_numbers
from attention_surgeon.testing.contract import Case, Conduct, Contract, Subject
from attention_surgeon.testing.contracts import CONTRACTS, contract_for, make_contract
from attention_surgeon.testing.function_contract import FunctionContract
from attention_surgeon.testing.steadiness import steadiness_of

__all__ = [
    "CONTRACTS",
    "Answer",
    "Case",
    "Conduct",
    "Contract",
    "FunctionContract",
    "Subject",
    "contract_for",
    "make_contract",
    "same_answer",
    "same_numbers",
    "steadiness_of",
]
