"""A pooled map as a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from attention_surgeon.errors import FileFormatError, SurgeonError
from attention_surgeon.stats.maps import PooledMap
from attention_surgeon.stats.tensor_file import TensorFile

_FILE = TensorFile("pooled map", 1)
_NUMBERS = ("row_edges", "column_edges", "num_queries", "num_keys")


def save_map(pooled: PooledMap, path: str | Path) -> None:
    """Write `pooled` to `path`; see `PooledMap.save`."""
    _FILE.write(path, map_tensors(pooled), map_numbers(pooled))


def load_map(path: str | Path) -> PooledMap:
    """Return the map that `PooledMap.save` wrote, exactly.

    Raises:
        ArgumentTypeError: `path` is no path.
        FileAccessError: no such file, a folder, no permission.
        FileFormatError: not a pooled map, cut short, damaged, or of a newer version.

    >>> import tempfile, torch
    >>> from attention_surgeon.stats import pool_weights
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pool_weights(torch.eye(4)).save(f"{folder}/eye.map")
    ...     load_map(f"{folder}/eye.map")
    PooledMap(4 x 4 cells, queries 0:4 of 4, keys 0:4 of 4)
    """
    tensors, about = _FILE.read(path)
    return rebuild_map(tensors, about, path)


def map_tensors(pooled: PooledMap) -> dict[str, Tensor]:
    """Return the grids by name."""
    return {"largest": pooled.largest, "mean": pooled.mean}


def map_numbers(pooled: PooledMap) -> dict[str, Any]:
    """Return everything else as plain data."""
    return {name: getattr(pooled, name) for name in _NUMBERS}


def rebuild_map(tensors: Mapping[str, Tensor], about: Mapping[str, Any], path: str | Path) -> PooledMap:
    """Put a map together again.

    Raises:
        FileFormatError: something is missing or does not fit the rest.
    """
    try:
        fields = {name: about[name] for name in _NUMBERS}
        edges = {name: tuple(fields.pop(name)) for name in _NUMBERS[:2]}
        return PooledMap(tensors["largest"], tensors["mean"], **edges, **fields)
    except KeyError as error:
        raise FileFormatError(f"{path} is a damaged pooled map: it has no {error.args[0]!r}.") from None
    except (SurgeonError, TypeError) as error:
        raise FileFormatError(f"{path} is a damaged pooled map: {error}") from None
