"""What a scan found."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError, FileFormatError, OptionError
from attention_surgeon.require import kind_of
from attention_surgeon.stats.head_statistics import HeadStatistics, of_ratios
from attention_surgeon.stats.maps import PooledMap, map_numbers, map_tensors, rebuild_map
from attention_surgeon.stats.row_sums import StatisticsOptions
from attention_surgeon.stats.scan.group import COLUMNS, HeadTotals, RowTable
from attention_surgeon.stats.scan.sample import RATIOS, column_sums, standard_errors
from attention_surgeon.stats.scan.work import FoundHead
from attention_surgeon.stats.tensor_file import TensorFile

_STANDARD_ERRORS = 1.96
"""Of a normal distribution 95 % lie so many standard deviations around the mean."""

_FILE = TensorFile("attention scan", 1)

_STATISTICS = tuple(field.name for field in fields(HeadStatistics) if field.name != "options")


_ABOVE, _BELOW = ([COLUMNS.index(pair[side]) for pair in RATIOS.values()] for side in (0, 1))


@final
@dataclass(frozen=True, eq=False)
class AttentionScan:
    """The statistics and the map of heads, made without the n x n weights.

    Attributes:
        statistics: As `head_statistics` gives them, without `similarity`. Of a sample they are estimates, and
            `max_attention` is the largest weight that was seen.
        output_norm: `(*batch, heads)`, mean over the rows that count of the length of Σ_k w_qk v_k; None: no value.
        map: Largest and mean weights; leading axes as the query's. Of a sample: those of the rows that were looked at.
            None: none was asked for.
        num_looked_at: `(*batch, heads)`, how many queries were looked at.
        num_queries: n_q.
        errors: By statistic the standard error of each head, `(*batch, heads)`; 0 where all queries were looked at.
        seconds: How long it took.
    """

    statistics: HeadStatistics
    output_norm: Tensor | None
    map: PooledMap | None
    num_looked_at: Tensor
    num_queries: int
    errors: dict[str, Tensor]
    seconds: float

    @property
    def is_exact(self) -> bool:
        """Whether every query of every head was looked at."""
        return bool((self.num_looked_at == self.num_queries).all())

    def number(self, name: str) -> Tensor:
        """Return a statistic by name, `(*batch, heads)`, `output_norm` included.

        Raises:
            OptionError: there is no such number, or it was not measured.
        """
        found = self.output_norm if name == "output_norm" else getattr(self.statistics, name, None)
        if not isinstance(found, Tensor):
            raise OptionError(f"number: a scan has no number {name!r}, or it was not measured.")
        return found

    def interval(self, name: str) -> tuple[Tensor, Tensor]:
        """Return between which numbers a statistic lies with 95 % confidence; of an exact one twice itself.

        The estimate is taken to be normally distributed. Where few rows make up a number, such as the weight on the
        own position of a peaked head, a small sample knows too little of its own error, and the interval is too narrow.

        Raises:
            OptionError: there is no such number, or its error is not known (the largest weight of a sample).
        """
        if name not in self.errors:
            raise OptionError(f"interval: the error of {name!r} is not known; known are {', '.join(self.errors)}.")
        middle, error = self.number(name), _STANDARD_ERRORS * self.errors[name]
        return middle - error, middle + error

    def __repr__(self) -> str:
        """Return one short line."""
        heads = math.prod(self.num_looked_at.shape)
        looked = "all" if self.is_exact else f"{int(self.num_looked_at.min())} of {self.num_queries}"
        return f"AttentionScan({heads} heads, {looked} queries looked at, {self.seconds:.3g} s)"


def make_record(
    found: Sequence[FoundHead], options: StatisticsOptions, leading: tuple[int, ...], has_value: bool, seconds: float
) -> AttentionScan:
    """Return the record of heads that were scanned one after the other, in the order of `leading`."""
    each = [_Numbers.of(head) for head in found]
    sums = RowTable(torch.cat([numbers.sums.numbers for numbers in each]))
    ratios = _by_name(RATIOS, sums.numbers[:, _ABOVE] / sums.numbers[:, _BELOW], leading)
    errors = _by_name(RATIOS, torch.stack([numbers.errors for numbers in each]), leading)
    output_norm = ratios.pop("output_norm")
    if not has_value:
        errors.pop("output_norm")
    num_queries, num_rows = found[0].totals.num_queries, _unfolded(sums["num_rows"], leading)
    return AttentionScan(
        of_ratios(
            ratios,
            _unfolded(torch.stack([numbers.largest for numbers in each]), leading),
            _unfolded(torch.stack([numbers.received for numbers in each]), leading),
            num_rows,
            num_queries - num_rows,
            options,
        ),
        output_norm if has_value else None,
        HeadTotals.pooled([head.totals for head in found], leading),
        _unfolded(torch.tensor([head.totals.num_looked_at for head in found]), leading),
        num_queries,
        errors,
        seconds,
    )


@dataclass(frozen=True)
class _Numbers:
    """The numbers of one head: sums of columns, what each key received, the largest weight, errors of `RATIOS`."""

    sums: RowTable
    received: Tensor
    largest: Tensor
    errors: Tensor

    @classmethod
    def of(cls, head: FoundHead) -> "_Numbers":
        table, received = head.totals.table, head.totals.received
        largest = table["row_largest"].max()
        if head.strata is None:
            return cls(column_sums(table, None), received, largest, torch.zeros(len(RATIOS)))
        rows = head.totals.rows
        sums = column_sums(table, head.strata.weights(rows))
        speaks_for = sums["num_rows"] / table["num_rows"].sum()  # one row for so many, on average
        errors = torch.tensor(list(standard_errors(table, rows, head.strata).values()))
        return cls(sums, received * speaks_for, largest, errors)


def _by_name(names: Iterable[str], table: Tensor, leading: tuple[int, ...]) -> dict[str, Tensor]:
    """Return each column of `(heads, columns)`, with the axes that `heads` was made of."""
    return dict(zip(names, table.T.reshape(-1, *leading).unbind(), strict=True))


def _unfolded(numbers: Tensor, leading: tuple[int, ...]) -> Tensor:
    """Return one entry for each head, `(heads, ...)`, with the axes that `heads` was made of."""
    return numbers.reshape((*leading, *numbers.shape[1:]))


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
