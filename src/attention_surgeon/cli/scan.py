"""`surgeon scan`: from its options to what it shows and keeps."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import typer

from attention_surgeon.cli.console import make_console, note, show, write
from attention_surgeon.cli.scan_screen import ScanBoard, as_json_text, scan_bar, scan_lines
from attention_surgeon.cli.scan_sources import Layer, Source, from_model, from_tensors, from_trace
from attention_surgeon.errors import OptionError
from attention_surgeon.files import require_place
from attention_surgeon.stats import AttentionScan, save_scans, scan_attention, scan_map

_STOPPED = 130

_WAYS = (
    "expected one of: surgeon scan --tensors FILE.safetensors; surgeon scan --trace FILE; "
    "surgeon scan --model DIR --file FILE"
)

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class ScanRequest(NamedTuple):
    """The options; None where one was not given."""

    tensors: Path | None
    trace: Path | None
    model: str | None
    text: str | None
    file: Path | None
    layers: str | None
    mask: str
    scale: float | None
    near: int
    resolution: int
    window: str | None
    at_most: str | None
    rows: int | None
    seed: int
    out: Path | None


def run_scan(request: ScanRequest, *, as_json: bool) -> int:
    """Scan, show what was found, and return the exit code.

    Raises:
        SurgeonError: as the options, the file and the model demand.
    """
    _check(request)
    window = None if request.window is None else read_window(request.window)
    seconds = None if request.at_most is None else read_seconds(request.at_most)
    if request.out is not None:
        require_place(request.out)
    source = _source(request)
    found: dict[str, AttentionScan] = {}
    was_stopped = False
    with scan_bar(source.num_layers) as board:
        try:
            source.visit(_scanner(request, found, board, window, seconds, source.num_layers), note)
        except KeyboardInterrupt:
            was_stopped = True
    if request.out is not None and found:
        save_scans(found, request.out)
    if as_json:
        write(f"{as_json_text(found, source.title)}\n")
    elif found:
        console = make_console()
        show(scan_lines(found, source.title, request.out, console.width), console)
    if was_stopped:
        note(f"{len(found)} of {source.num_layers} layers were done, {board.share:.0%} of the work.")
        raise typer.Exit(_STOPPED)
    return 0


def read_window(text: str) -> tuple[slice, slice]:
    """Return the queries and the keys of `A:B,C:D`; `A:B` alone means both.

    Raises:
        OptionError: it is no such thing.

    >>> read_window("10:20,0:5")
    (slice(10, 20, None), slice(0, 5, None))
    """
    try:
        parts = [[int(number) if number else None for number in part.split(":")] for part in text.split(",")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 2 or any(len(part) != 2 for part in parts):
        raise OptionError(f"--window is {text!r}, expected A:B,C:D, such as 1000:2000,0:500 (queries, then keys).")
    rows, columns = parts[0], parts[-1]
    return slice(*rows), slice(*columns)


def read_seconds(text: str) -> float:
    """Return the seconds of `30s`, `2m`, `500ms`, `1h` or `30`.

    Raises:
        OptionError: it is no such thing, or 0.

    >>> read_seconds("2m"), read_seconds("1.5")
    (120.0, 1.5)
    """
    number = text.rstrip("smh")
    try:
        seconds = float(number) * _SECONDS[text[len(number) :] or "s"]
    except (ValueError, KeyError):
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise OptionError(f"--at-most is {text!r}, expected a time such as 30s, 2m or 1h.")
    return seconds


def _check(request: ScanRequest) -> None:
    given = [name for name in ("tensors", "trace", "model") if getattr(request, name) is not None]
    if len(given) != 1:
        problem = f"{' and '.join(f'--{name}' for name in given)} given" if given else "nothing to scan given"
        raise OptionError(f"{problem}, {_WAYS}.")
    only = {"text": "model", "file": "model", "layers": "model", "scale": "tensors"}
    for option, needed in only.items():
        if getattr(request, option) is not None and given[0] != needed:
            raise OptionError(f"--{option} goes with --{needed}, not with --{given[0]}.")
    if request.mask != "none" and request.tensors is None:
        raise OptionError(f"--mask goes with --tensors; --{given[0]} brings its own.")
    if request.at_most is not None and request.rows is not None:
        raise OptionError("both --at-most and --rows given; pass one of them.")


def _source(request: ScanRequest) -> Source:
    if request.tensors is not None:
        return from_tensors(request.tensors, request.mask, request.scale)
    if request.trace is not None:
        return from_trace(request.trace)
    assert request.model is not None
    return from_model(request.model, request.text, request.file, request.layers, note)


def _scanner(
    request: ScanRequest,
    found: dict[str, AttentionScan],
    board: ScanBoard,
    window: tuple[slice, slice] | None,
    seconds: float | None,
    num_layers: int,
) -> Callable[[Layer], None]:
    """Return what scans a layer and adds it to what was found."""

    def scan(layer: Layer) -> None:
        board.begin(layer.name)
        left = None if seconds is None else max((seconds - board.seconds) / max(num_layers - board.done, 1), 1e-9)
        one = scan_attention(
            layer.query,
            layer.key,
            layer.value,
            layer.mask,
            scale=layer.scale,
            window=request.near,
            tokens=layer.tokens,
            resolution=None if window is not None else request.resolution,
            at_most=left,
            num_rows=request.rows,
            seed=request.seed,
            on_progress=board.tell,
        )
        if window is not None:
            rows, columns = window
            shown = scan_map(
                layer.query,
                layer.key,
                layer.mask,
                scale=layer.scale,
                resolution=request.resolution,
                rows=rows,
                columns=columns,
            )
            one = replace(one, map=shown)
        found[layer.name or "attention"] = one
        board.end()

    return scan
