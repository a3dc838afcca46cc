"""Reading a page's data back in Python, as its program does in the browser."""

import base64
import json
import re
import zlib
from typing import Any

import numpy as np


def document_in(html: str) -> dict[str, Any]:
    """Return the data that stand in a page."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1])


def unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text), -zlib.MAX_WBITS)


def cells_of(side: dict[str, Any], number: int, grid: str = "largest") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the values of a map's cells with the least and the most that each may be."""
    entry = side["maps"][number]
    frame, cells = side["frames"][entry["frame"]], entry[grid]
    shape = len(frame["rowEdges"]) - 1, len(frame["columnEdges"]) - 1
    if cells["kind"] == "numbers":
        values = np.frombuffer(unpacked(cells["data"]), dtype="<f4").reshape(shape)
        return values, values, values
    codes = np.frombuffer(unpacked(cells["data"]), dtype=np.uint8).reshape(shape)
    return bounds(codes, cells["top"], cells["steps"])


def bounds(codes: np.ndarray, top: float, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the weights that codes stand for, the least and the most."""
    codes = codes.astype(np.float64)
    low = np.where(codes > 1, codes - 0.5, 0.0)
    high = np.where(codes > 0, np.minimum(codes + 0.5, steps), 0.0)
    return tuple(top * (each / steps) ** 2 for each in (codes, low, high))
