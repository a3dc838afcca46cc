"""How weights travel in a page: as float32, or as codes of one byte on a square-root scale; then deflated, then base64.

A code q of L steps under the top weight T stands for `T (q / L)²`. The square root spends the steps where weights are:
most are small. Code 0 is kept for weights that are exactly 0, so that a hidden cell never looks like a weak one.
"""

import base64
import zlib
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

MOST_STEPS = 255
"""As many as a byte can count beside the code 0."""

Grid = Float32[np.ndarray, "r c"]
Codes = UInt8[np.ndarray, "r c"]


class Coded(NamedTuple):
    """The codes of one grid and what they count.

    Attributes:
        codes: `(rows, columns)`, 0 to `num_steps`.
        top: The weight of the highest code.
        num_steps: How many steps there are from 0 to the top.
    """

    codes: Codes
    top: float
    num_steps: int


def encode(weights: Grid, num_steps: int) -> Coded:
    """Return the codes of weights.

    >>> encode(np.array([[0.0, 1e-9, 0.25, 1.0]], dtype=np.float32), num_steps=16)
    Coded(codes=array([[ 0,  1,  8, 16]], dtype=uint8), top=1.0, num_steps=16)
    """
    top = float(weights.max(initial=0.0))
    if top == 0:
        return Coded(np.zeros(weights.shape, np.uint8), 0.0, num_steps)
    codes = np.sqrt(weights / np.float32(top))
    codes *= np.float32(num_steps)
    codes += np.float32(0.5)
    codes = codes.astype(np.uint8)  # cuts off, so that the half that was added rounds
    np.maximum(codes, weights > 0, out=codes, casting="unsafe")
    return Coded(codes, top, num_steps)


def packed_codes(coded: Coded) -> dict[str, Any]:
    """Return the codes as an entry of the page's document."""
    return {"kind": "codes", "top": coded.top, "steps": coded.num_steps, "data": packed(coded.codes.tobytes())}


def packed_numbers(numbers: np.ndarray) -> dict[str, Any]:
    """Return numbers as an entry of the page's document, as float32 bit for bit."""
    return {"kind": "numbers", "data": packed(np.ascontiguousarray(numbers, dtype="<f4").tobytes())}


def packed(content: bytes) -> str:
    """Return bytes deflated and in base64."""
    return base64.b64encode(deflated(content)).decode("ascii")


def deflated(content: bytes) -> bytes:
    """Return bytes as a raw deflate stream.

    Runs and Huffman codes only: on the codes of weights this comes out smaller than the search for longer repeats, and
    takes a fifth of its time.
    """
    squeeze = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS, 9, zlib.Z_RLE)
    return squeeze.compress(content) + squeeze.flush()
