"""Operands: which of the vectors serves as query, which as key and which as value."""

from torch import Tensor

from attention_surgeon.faults.families import CROSS, FIVE_STEPS, LAYERS
from attention_surgeon.faults.fault import Fault, Operation
from attention_surgeon.ops import Circuit, Linears
from attention_surgeon.verdict import Mistake, Sighting

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
    Fault(
        Mistake(
            name="query_key_swapped",
            stage="operands",
            summary="Queries serve as keys and keys as queries.",
            symptom=(
                "With n_q != n_k it raises, or the output has n_k rows. With n_q = n_k the scores are the transpose."
            ),
            question="The output needs one row per query. Which of your two inputs decides how many rows there are?",
            pointer="Look at which tensor is the query and which the key: they have changed places.",
            fix="scores = query @ key.transpose(-2, -1)",
        ),
        families=FIVE_STEPS,
        in_training=(
            "Between a sequence and itself it only renames two matrices, and trains as well. Trained weights do "
            "not carry over."
        ),
        operate=_assign("key", "query", "value"),
        wraps=True,
    ),
    Fault(
        Mistake(
            name="key_value_swapped",
            stage="operands",
            summary="Keys serve as values and values as keys.",
            symptom="With d_v != d_k it raises. Otherwise changing V changes the weights, which should not know of it.",
            question="Keep Q and K and change V: should the weights change?",
            pointer=(
                "Look at which tensor is compared with the query and which is gathered: key and value have changed "
                "places."
            ),
            fix="scores = query @ key.transpose(-2, -1)\noutput = weights @ value",
        ),
        families=FIVE_STEPS,
        in_training=(
            "In a layer with its own projections it only renames two matrices, and trains as well. Trained "
            "weights do not carry over."
        ),
        operate=_assign("query", "value", "key"),
        wraps=True,
    ),
    Fault(
        Mistake(
            name="query_value_swapped",
            stage="operands",
            summary="Queries serve as values and values as queries.",
            symptom="With d_v != d_k or n_q != n_k it raises. Otherwise the output is made of rows of Q.",
            question="Your output is a weighted average. Of which of the three inputs are its rows made?",
            pointer="Look at what asks and what is gathered: query and value have changed places.",
            fix="output = weights @ value",
        ),
        families=FIVE_STEPS,
        in_training=(
            "Between a sequence and itself it only renames two matrices, and trains as well. Trained weights do "
            "not carry over."
        ),
        operate=_assign("value", "key", "query"),
        wraps=True,
    ),
    Fault(
        Mistake(
            name="operands_rotated",
            stage="operands",
            summary="Keys serve as queries, values as keys, and queries as values.",
            symptom="With d_v != d_k or n_q != n_k it raises. Otherwise the output is made of rows of Q.",
            question="In which order does the caller hand over its three tensors, and in which do you name them?",
            pointer="Look at the order of the arguments: query, key and value are each read one place too far along.",
            fix="def attention(query, key, value): ...",
        ),
        families=FIVE_STEPS,
        in_training=(
            "Between a sequence and itself it only renames matrices, and trains as well. Trained weights do not "
            "carry over."
        ),
        operate=_assign("key", "value", "query"),
        wraps=True,
    ),
    Fault(
        Mistake(
            name="query_as_key",
            stage="operands",
            summary="The queries are compared with themselves, Q Qᵀ; the keys are not used.",
            symptom="Changing K changes nothing. Without a mask the scores are symmetric. With n_q != n_k it raises.",
            question="Change K and leave the rest: what changes in your output?",
            pointer="Look at the product that makes the scores: both sides of it are the query.",
            fix="scores = query @ key.transpose(-2, -1)",
        ),
        families=FIVE_STEPS,
        in_training=(
            "Learns, worse: what a position looks for must be what it offers. The key projection gets no gradient."
        ),
        operate=_assign("query", "query", "value"),
        wraps=True,
    ),
    Fault(
        Mistake(
            name="key_as_query",
            stage="operands",
            summary="The keys are compared with themselves, K Kᵀ; the queries are not used.",
            symptom="Changing Q changes nothing. Without a mask the scores are symmetric. With n_q != n_k it raises.",
            question="Change Q and leave the rest: what changes in your output?",
            pointer="Look at the product that makes the scores: both sides of it are the key.",
            fix="scores = query @ key.transpose(-2, -1)",
        ),
        families=FIVE_STEPS,
        in_training=(
            "Learns, worse: what a position looks for must be what it offers. The query projection gets no gradient."
        ),
        operate=_assign("key", "key", "value"),
        wraps=True,
    ),
    Fault(
        Mistake(
            name="key_as_value",
            stage="operands",
            summary="The weights gather the keys; the values are not used.",
            symptom="Changing V changes nothing. The output is d_k wide instead of d_v; the weights are right.",
            question="Change V and leave the rest: what changes in your output?",
            pointer="Look at what the weights are multiplied with: it is the key, not the value.",
            fix="output = weights @ value",
        ),
        families=FIVE_STEPS,
        in_training="Learns nearly as well: one matrix has to do for two. The value projection gets no gradient.",
        operate=_assign("query", "key", "key"),
        wraps=True,
    ),
    Fault(
        Mistake(
            name="query_as_value",
            stage="operands",
            summary="The weights gather the queries; the values are not used.",
            symptom="Changing V changes nothing; the weights are right. With n_q != n_k it raises.",
            question="The weights are right. Of which tensor does your output take the average?",
            pointer="Look at what the weights are multiplied with: it is the query, not the value.",
            fix="output = weights @ value",
        ),
        families=FIVE_STEPS,
        in_training="Learns nearly as well: one matrix has to do for two. The value projection gets no gradient.",
        operate=_assign("query", "key", "query"),
        wraps=True,
    ),
    Fault(
        Mistake(
            name="value_as_key",
            stage="operands",
            summary="The queries are compared with the values; the keys are not used.",
            symptom="Changing K changes nothing, and changing V changes the weights. With d_v != d_k it raises.",
            question="Change only K: what moves? Change only V: should your weights move?",
            pointer="Look at the product that makes the scores: the query meets the value there, not the key.",
            fix="scores = query @ key.transpose(-2, -1)",
        ),
        families=FIVE_STEPS,
        in_training="Learns nearly as well: one matrix has to do for two. The key projection gets no gradient.",
        operate=_assign("query", "value", "value"),
        wraps=True,
    ),
    Fault(
        Mistake(
            name="value_as_query",
            stage="operands",
            summary="The values are compared with the keys; the queries are not used.",
            symptom=(
                "Changing Q changes nothing, and changing V changes the weights. With n_q != n_k or d_v != d_k it "
                "raises."
            ),
            question="Change only Q: what moves? Change only V: should your weights move?",
            pointer="Look at the product that makes the scores: its left side is the value, not the query.",
            fix="scores = query @ key.transpose(-2, -1)",
        ),
        families=FIVE_STEPS,
        in_training="Learns nearly as well: one matrix has to do for two. The query projection gets no gradient.",
        operate=_assign("value", "key", "value"),
        wraps=True,
    ),
    Fault(
        Mistake(
            name="context_ignored",
            stage="operands",
            summary="Keys and values are made from x; the context is not used, so this is self-attention.",
            symptom="Changing the context changes nothing. The weights are (n_q, n_q) instead of (n_q, n_k).",
            question="Give another context and the same x: what changes in your output?",
            pointer="Look at what keys and values are projected from: it is x, not the context.",
            fix="key, value = self.key(context), self.value(context)",
        ),
        families=CROSS,
        in_training="The decoder learns to write, and writes the same whatever it was given to translate.",
        operate=_ignore_context,
        wraps=True,
    ),
    Fault(
        Mistake(
            name="context_as_query",
            stage="operands",
            summary="The queries are made from the context, keys and values from x.",
            symptom="The output has as many rows as the context, and the weights are (n_k, n_q).",
            question="For which of the two sequences do you want one new vector per position?",
            pointer=(
                "Look at what the three projections read: the query must come from x, key and value from the context."
            ),
            fix="query, key, value = self.query(x), self.key(context), self.value(context)",
        ),
        families=CROSS,
        in_training=(
            "With sequences of one length it runs, and answers at the wrong positions; otherwise the next layer raises."
        ),
        operate=_swap_sources,
        wraps=True,
    ),
    Fault(
        Mistake(
            name="chunk_order_wrong",
            stage="operands",
            summary="The packed projection is cut in three, and the parts are named in another order than q, k, v.",
            symptom=(
                "Q, K and V are all there under wrong names: your query is the value, your key the query, your value "
                "the key."
            ),
            question="In which order do the rows of the packed matrix stand, and in which do you unpack them?",
            pointer="Look at the line that cuts the packed projection: its parts are query, key, value, in this order.",
            fix="query, key, value = self.qkv(x).chunk(3, dim=-1)",
            sightings=(Sighting("jsbaan/transformer-from-scratch", 1),),
        ),
        families=LAYERS,
        in_training=(
            "Trained from scratch it makes no difference: the parts are only named. With weights from elsewhere "
            "it does."
        ),
        operate=_read_chunks_in_another_order,
        wraps=True,
    ),
)
