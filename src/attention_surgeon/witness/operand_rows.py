"""The rows of an operand of a product, and whose token each is."""

from dataclasses import dataclass, replace

import numpy as np

from attention_surgeon.witness.canon import labels_of_rows
from attention_surgeon.witness.flow import NONE, Flow
from attention_surgeon.witness.products import Product
from attention_surgeon.witness.record import Array


@dataclass
class Rows:
    """The rows of an operand: letters, numbers `(*letters, d)`, and of each its token and its rank among that one's."""

    letters: str
    numbers: Array
    tokens: Array
    ranks: Array

    def spread(self, values: Array, out: str, sizes: dict[str, int]) -> Array:
        """Return one value per row as an array over the letters `out`."""
        order = sorted(range(len(self.letters)), key=lambda i: out.index(self.letters[i]))
        moved = values.transpose(order)
        shape = [sizes[c] if c in self.letters else 1 for c in out]
        return np.broadcast_to(moved.reshape(shape), [sizes[c] for c in out])


def rows_in(flow: Flow, product: Product, marks: Product, side: str, without: str) -> Rows:
    """Return the rows of one operand, `side` "a" or "b"; `marks` is the same product of labels.

    Args:
        flow: What the labels count.
        product: The numbers.
        marks: The label of each of them.
        side: Which operand.
        without: Letters that are no rows.
    """
    letters, numbers = product.rows(side, without)
    tokens = labels_of_rows(marks.rows(side, without)[1])
    ranks = np.zeros(tokens.shape, dtype=int)
    seen: dict[int, int] = {}
    flat, where = tokens.reshape(-1), ranks.reshape(-1)
    for n, token in enumerate(flat):
        where[n] = seen.get(int(token), 0)
        seen[int(token)] = where[n] + 1
    return Rows(letters, numbers, tokens, where.reshape(tokens.shape))


@dataclass(frozen=True)
class NullRows:
    """Where in an operand rows stand that are parameters and no tokens: along a letter, which places are tokens."""

    letter: str
    kept: Array
    rows: Array

    def without(self, product: Product) -> Product:
        """Return a product without them, on whichever sides have the letter."""
        a, b = (
            np.compress(self.kept, array, letters.index(self.letter)) if self.letter in letters else array
            for array, letters in ((product.a, product.left), (product.b, product.right))
        )
        return replace(product, a=a, b=b)


def null_rows_in(product: Product, marks: Product, without: str) -> NullRows | None:
    """Return the rows of the right operand that depend on no token, where they fill places along one axis."""
    letters, numbers = product.rows("b", without)
    is_null = labels_of_rows(marks.rows("b", without)[1]) == NONE
    if not is_null.any() or is_null.all():
        return None
    for axis, letter in enumerate(letters):
        along = np.moveaxis(is_null, axis, -1).reshape(-1, is_null.shape[axis])
        if (along == along[:1]).all():
            rows = np.moveaxis(numbers, axis, 0)[along[0]]
            return NullRows(letter, ~along[0], rows.reshape(len(rows), -1, rows.shape[-1])[:, 0])
    return None
