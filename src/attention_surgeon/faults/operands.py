"""Operands: which of the vectors serves as query, which as key and which as value."""

from torch import Tensor

from attention_surgeon.faults._draft import draft
from attention_surgeon.faults.families import FIVE_STEPS, LAYERS
from attention_surgeon.faults.fault import Fault, Operation
from attention_surgeon.ops import Circuit, Linears

_ROLES = ("query", "key", "value")


def _assign(query: str, key: str, value: str) -> Operation:
    """Return the operation after which the named operands serve as query, key and value."""
    places = [_ROLES.index(role) for role in (query, key, value)]

    def operation(circuit: Circuit) -> Circuit:
        usual = circuit.assign

        def assign(Q: Tensor, K: Tensor, V: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            given = usual(Q, K, V)
            return given[places[0]], given[places[1]], given[places[2]]

        return circuit.replace(assign=assign)

    return operation


def _ignore_context(circuit: Circuit) -> Circuit:
    usual = circuit.source
    return circuit.replace(source=lambda x, context: usual(x, x))


def _swap_sources(circuit: Circuit) -> Circuit:
    usual = circuit.source
    return circuit.replace(source=lambda x, context: usual(context, x))


def _read_chunks_in_another_order(circuit: Circuit) -> Circuit:
    usual, read_as = circuit.project, {"query": "value", "key": "query", "value": "key"}

    def project(x: Tensor, role: str, linears: Linears) -> Tensor:
        return usual(x, read_as.get(role, role), linears)

    return circuit.replace(project=project)


FAULTS: tuple[Fault, ...] = (
    draft(
        "query_key_swapped",
        "operands",
        FIVE_STEPS,
        "Queries serve as keys and keys as queries.",
        _assign("key", "query", "value"),
    ),
    draft(
        "key_value_swapped",
        "operands",
        FIVE_STEPS,
        "Keys serve as values and values as keys.",
        _assign("query", "value", "key"),
    ),
    draft(
        "query_value_swapped",
        "operands",
        FIVE_STEPS,
        "Queries serve as values and values as queries.",
        _assign("value", "key", "query"),
    ),
    draft(
        "operands_rotated",
        "operands",
        FIVE_STEPS,
        "Keys serve as queries, values as keys and queries as values.",
        _assign("key", "value", "query"),
    ),
    draft(
        "query_as_key",
        "operands",
        FIVE_STEPS,
        "The queries serve as keys, too: Q Qᵀ.",
        _assign("query", "query", "value"),
    ),
    draft(
        "key_as_query", "operands", FIVE_STEPS, "The keys serve as queries, too: K Kᵀ.", _assign("key", "key", "value")
    ),
    draft("key_as_value", "operands", FIVE_STEPS, "The keys serve as values, too.", _assign("query", "key", "key")),
    draft(
        "query_as_value", "operands", FIVE_STEPS, "The queries serve as values, too.", _assign("query", "key", "query")
    ),
    draft("value_as_key", "operands", FIVE_STEPS, "The values serve as keys, too.", _assign("query", "value", "value")),
    draft(
        "value_as_query", "operands", FIVE_STEPS, "The values serve as queries, too.", _assign("value", "key", "value")
    ),
    draft(
        "context_ignored",
        "operands",
        {"cross"},
        "Keys and values are made from x, not from the context.",
        _ignore_context,
    ),
    draft(
        "context_as_query",
        "operands",
        {"cross"},
        "Queries are made from the context, keys and values from x.",
        _swap_sources,
    ),
    draft(
        "chunk_order_wrong",
        "operands",
        LAYERS,
        "The packed projection is read in another order than it was written.",
        _read_chunks_in_another_order,
    ),
)
