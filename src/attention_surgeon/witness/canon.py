"""One attention in one layout, whatever the target's: `(batch, heads, query, key)`, and what cannot be laid out so."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from attention_surgeon.witness.core import Core
from attention_surgeon.witness.flow import NONE, SEVERAL, Flow
from attention_surgeon.witness.record import Array

Part: TypeAlias = Literal["q", "key_rows", "v"]
"""A part of a `Canon`."""


@dataclass
class Canon:
    """One attention, or several heads of one, in the layout `(batch, heads, query, key)`.

    Attributes:
        q: `(batch, heads, n_q, d)`, as they entered the product.
        k: `(batch, heads, n_k, d)`; shared heads are repeated, as the target used them.
        v: `(batch, heads, n_k, d_v)`.
        scores: What the product gave.
        masked: What entered the softmax; the same up to a number per row where it was written out.
        weights: What the softmax gave.
        used: What was multiplied with the values.
        output: What that gave, `(batch, heads, n_q, d_v)`.
        key_rows: `(batch, key heads, n_k, d)`, each key row once.
        batches: Which sequences these are.
        key_heads: Which of the key rows of a token each query head uses, by rank.
        query_argument: Which argument the queries come from.
        key_argument: Which the keys come from.
        value_argument: Which the values come from.
        extra: What else entered the softmax beside the keys: a sink, or the scores of keys that are parameters.
        null_key: `(columns, d)`, the keys that are parameters and no tokens; None where there are none.
        null_value: `(columns, d_v)`, the values that are.
    """

    q: Array
    k: Array
    v: Array
    key_rows: Array
    batches: Array
    scores: Array
    masked: Array
    weights: Array
    used: Array
    output: Array
    key_heads: Array
    query_argument: str = ""
    key_argument: str = ""
    value_argument: str = ""
    extra: Array | None = None
    null_key: Array | None = None
    null_value: Array | None = None


class Structure(Exception):
    """Rows that belong together in no way that attention has: what was found, by a short name and in a sentence."""

    def __init__(self, name: str, sentence: str, core: Core) -> None:
        """Say what was found, and in which attention."""
        super().__init__(sentence)
        self.name, self.sentence, self.core = name, sentence, core


MIXED = "a row of the {name} is made of several tokens, as a mean is; I follow rows of one token each"


def labels_of_rows(elements: Array) -> Array:
    """Return the label of each row: that of its elements, constants aside."""
    largest, smallest = elements.max(-1), np.where(elements == NONE, 10**9, elements).min(-1)
    return np.where(
        (elements == SEVERAL).any(-1),
        SEVERAL,
        np.where(smallest >= 10**9, NONE, np.where(largest == smallest, largest, SEVERAL)),
    )


def mixed_rows(labels: Array, name: str, core: Core, flow: Flow) -> Structure:
    """Say why rows `(..., features)` belong to no token: features of several lie in one, or each is made of several."""
    flat = np.sort(labels.reshape(-1, labels.shape[-1]), -1)
    is_apart = (labels >= 0).all() and labels.shape[-1] > 1 and bool((np.diff(flat, axis=-1) > 0).all())
    if is_apart:
        of = flow.tokens[int(flat.flat[0])]
        count = sum(t.argument == of.argument and t.batch == of.batch for t in flow.tokens)
        is_apart = labels.shape[-1] >= count
    if is_apart:
        return Structure("rows_unknown", "its rows are one feature of all tokens: it attends over the channels", core)
    if (labels >= 0).all():
        return Structure("heads_split_by_view", f"a row of the {name} holds features of several tokens", core)
    return Structure("rows_mix_tokens", MIXED.format(name=name), core)


def one_or_all(positions: Array) -> Array:
    """Return the places of queries among those that ask: where only one token of a sequence does, it is the first."""
    return np.zeros_like(positions) if (positions == positions.flat[0]).all() else positions


def softmax(masked: Array) -> Array:
    """Return the weights of scores; zeros for a row of nothing but `-inf`."""
    with np.errstate(invalid="ignore"):
        top = masked.max(-1, keepdims=True)
        raised = np.exp(masked - np.where(np.isfinite(top), top, 0.0))
        total = raised.sum(-1, keepdims=True)
        return np.where(total > 0, raised / np.where(total > 0, total, 1.0), 0.0)
