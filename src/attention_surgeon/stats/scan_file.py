"""Scans as a file: statistics and maps of as many layers as were scanned, each under its name."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, FileFormatError, OptionError
from attention_surgeon.require import kind_of
from attention_surgeon.stats.head_statistics import HeadStatistics
from attention_surgeon.stats.map_file import map_numbers, map_tensors, rebuild_map
from attention_surgeon.stats.row_sums import StatisticsOptions
from attention_surgeon.stats.scan_record import AttentionScan
from attention_surgeon.stats.tensor_file import TensorFile

_FILE = TensorFile("attention scan", 1)
_STATISTICS = tuple(field.name for field in fields(HeadStatistics) if field.name != "options")


def save_scans(scans: Mapping[str, AttentionScan], path: str | Path) -> None:
    """Write scans to a safetensors file that `load_scans` reads back; whole or not at all.

    The tokens are not kept: the induction score is, where it was measured.

    Args:
        scans: By name, such as that of the layer; a name has no `/`.
        path: Where to.

    Raises:
        ArgumentTypeError, OptionError: no scans by name, or a name with `/`.
        FileAccessError: the file cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    about: list[dict[str, Any]] = []
    for name, scan in scans.items():
        if not isinstance(name, str) or not isinstance(scan, AttentionScan):
            raise ArgumentTypeError(f"save_scans: {name!r} is {kind_of(scan)}, expected scans by name.")
        if "/" in name:
            raise OptionError(f"save_scans: the name {name!r} has a /, which parts names in the file.")
        tensors |= {f"{name}/{part}": tensor for part, tensor in _tensors(scan).items()}
        about.append({"name": name, **_numbers(scan)})
    _FILE.write(path, tensors, {"scans": about})


def load_scans(path: str | Path) -> dict[str, AttentionScan]:
    """Return the scans that `save_scans` wrote, by name.

    Raises:
        ArgumentTypeError: `path` is no path.
        FileAccessError: no such file, a folder, no permission.
        FileFormatError: not a file of scans, cut short, damaged, or of a newer version.

    >>> import tempfile, torch
    >>> from attention_surgeon.stats import save_scans, scan_attention
    >>> query, key = torch.ones(2, 1, 8, 4)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_scans({"layer 0": scan_attention(query, key)}, f"{folder}/a.scan")
    ...     load_scans(f"{folder}/a.scan")["layer 0"].statistics.num_rows
    tensor([8])
    """
    tensors, about = _FILE.read(path)
    try:
        return {entry["name"]: _rebuild(entry, tensors, path) for entry in about["scans"]}
    except (KeyError, TypeError) as error:
        raise FileFormatError(f"{path} is a damaged attention scan: {error!r} is missing or wrong.") from None


def _tensors(scan: AttentionScan) -> dict[str, Tensor]:
    found = {name: getattr(scan.statistics, name) for name in _STATISTICS}
    found |= {"output_norm": scan.output_norm, "num_looked_at": scan.num_looked_at}
    found |= {f"error of {name}": error for name, error in scan.errors.items()}
    if scan.map is not None:
        found |= {f"map {name}": grid for name, grid in map_tensors(scan.map).items()}
    return {name: tensor.cpu() for name, tensor in found.items() if tensor is not None}


def _numbers(scan: AttentionScan) -> dict[str, Any]:
    return {
        "num_queries": scan.num_queries,
        "seconds": scan.seconds,
        "window": scan.statistics.options.window,
        "threshold": scan.statistics.options.threshold,
        "map": None if scan.map is None else map_numbers(scan.map),
    }


def _rebuild(entry: Mapping[str, Any], tensors: Mapping[str, Tensor], path: str | Path) -> AttentionScan:
    begin = f"{entry['name']}/"
    own = {name.removeprefix(begin): tensor for name, tensor in tensors.items() if name.startswith(begin)}
    optional = ("induction", "similarity")
    statistics = {name: own.get(name) if name in optional else own[name] for name in _STATISTICS}
    pooled = None
    if entry["map"] is not None:
        pooled = rebuild_map({name: own[f"map {name}"] for name in ("largest", "mean")}, entry["map"], path)
    return AttentionScan(
        HeadStatistics(**statistics, options=StatisticsOptions(entry["window"], entry["threshold"])),  # pyright: ignore[reportArgumentType]
        own.get("output_norm"),
        pooled,
        own["num_looked_at"],
        entry["num_queries"],
        {name.removeprefix("error of "): tensor for name, tensor in own.items() if name.startswith("error of ")},
        entry["seconds"],
    )
