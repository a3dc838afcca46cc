"""`surgeon patch`: put what each head did on one text into a run of another, and map how far the answer comes back."""

import json as json_format
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.text import Text

    from attention_surgeon.surgery import PatchResult

_FORMAT, _VERSION = "attention-surgeon patch", 1
_MOST_ROWS = 5
METHODS = ("patch", "attribution", "path", "logits", "zero", "mean", "resample")


def patch(
    model: Annotated[str, typer.Argument(help="A folder, an id of the hub, or minilm or tiny (built in).")],
    clean: Annotated[str, typer.Option(metavar="TEXT", help="The text that is read from, or that is run alone.")],
    corrupt: Annotated[str | None, typer.Option(metavar="TEXT", help="The text that is written into.")] = None,
    metric: Annotated[
        str | None, typer.Option(help="Such as 'logit( mat) - logit( dog)'; else what each text expects next.")
    ] = None,
    what: Annotated[str, typer.Option(help="z, pattern, q, k, v, head_out or residual.")] = "z",
    method: Annotated[str, typer.Option(help="patch, attribution, path, logits, zero, mean or resample.")] = "patch",
    to: Annotated[str, typer.Option(metavar="1.0", help="Of a path: logits, or a later head.")] = "logits",
    through: Annotated[str, typer.Option(metavar="q|k|v", help="Where a path enters that head.")] = "v",
    layers: Annotated[str | None, typer.Option(metavar="0-3,7", help="Which layers; all if not given.")] = None,
    heads: Annotated[str | None, typer.Option(metavar="2,5", help="Which heads; all if not given.")] = None,
    positions: Annotated[str | None, typer.Option(metavar="0-3,7", help="Which positions; all if not given.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Write the map as a picture.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> int:
    """Patch each head alone from a clean run into a corrupt one, with a receipt.

    A head that brings the clean answer back carries what the two texts differ in. Methods: patch; attribution (its
    estimate from one gradient); path (one path only); logits (shares of the logits); zero, mean, resample (the head is
    taken away in --clean).
    """
    # Imported here, because these load torch, and `surgeon --help` must not wait for it.
    from attention_surgeon.cli.console import make_console, note, show, write
    from attention_surgeon.cli.operate import fitting
    from attention_surgeon.files import require_place
    from attention_surgeon.surgery import load_model

    _check_method(method, corrupt)
    if out is not None:
        require_place(out)
    loaded = load_model(model, note)
    where = {"layers": layers, "heads": heads, "tokenizer": loaded.tokenizer}
    texts: list[Any] = []
    for text in (clean, corrupt):
        texts.append(None if text is None else fitting(loaded, text)[0])
    result = _measure(loaded.model, method, what, texts[0], texts[1], metric, (to, through), positions, where)
    if out is not None:
        from attention_surgeon.plots import save_figure  # here, because it loads matplotlib

        save_figure(result.heat_map(), out)
    if json:
        write(f"{json_format.dumps(_document(result, loaded.name), allow_nan=False)}\n")
    else:
        console = make_console()
        show(patch_lines(result, loaded.name, console.width, out), console)
    return 0 if result.receipt.changed or method in ("attribution", "logits") else 1


def _check_method(method: str, corrupt: str | None) -> None:
    from attention_surgeon.errors import OptionError

    if method not in METHODS:
        raise OptionError(f"--method is {method!r}, expected one of {', '.join(METHODS)}.")
    if corrupt is None and method in ("patch", "attribution", "path", "resample"):
        raise OptionError(f"--method {method} needs two texts; give the other one with --corrupt TEXT.")


def _measure(
    model: Any,
    method: str,
    what: str,
    clean: Any,
    corrupt: Any,
    metric: str | None,
    path: tuple[str, str],
    positions: str | None,
    where: dict[str, Any],
) -> "PatchResult":
    from attention_surgeon.surgery import ablate, attribute, logit_attribution, path_patch
    from attention_surgeon.surgery import patch as patch_heads
    from attention_surgeon.surgery.patching import usual_metric

    other = clean if corrupt is None else corrupt
    measured: Any = metric or usual_metric(model, clean, None if method == "logits" else corrupt, where["tokenizer"])
    given = {"metric": measured, **where}
    if method == "logits":
        return logit_attribution(model, clean, **given)
    if method == "path":
        layer, dot, head = path[0].rpartition(".")
        to: Any = (layer, int(head)) if dot and head.isdigit() else path[0]
        return path_patch(model, clean, other, to=to, through=path[1], **given)
    if method in ("zero", "mean", "resample"):
        by: Any = method
        reference = corrupt
        return ablate(model, clean, by=by, reference=reference, what=what, positions=positions, **given)
    do = patch_heads if method == "patch" else attribute
    return do(model, clean, other, what=what, positions=positions, **given)


def patch_lines(result: "PatchResult", model: str, width: int, picture: Path | None = None) -> Iterator["Text"]:
    """Yield the whole screen, no line wider than `width` cells."""
    from attention_surgeon.cli.cells import count, text_lines

    parts = count(int((~result.values.isnan()).sum()), result.column_kind)
    yield from text_lines(f"{result.method} · {model} · {parts}", width, "heading")
    goal = "" if result.goal is None else f", clean {result.goal:.3f}"
    start = "" if result.rest is not None else f"unpatched {result.start:.3f}"
    yield from text_lines(f"metric {result.metric}: {start}{goal}".replace(": , ", ": "), width, "quiet")
    yield from text_lines("", width)
    yield from _map_lines(result, width)
    yield from text_lines("", width)
    yield from text_lines(_sentence(result), width)
    yield from text_lines(_receipt(result), width, "quiet")
    if picture is not None:
        yield from text_lines(str(picture), width, "quiet")


def _map_lines(result: "PatchResult", width: int) -> Iterator["Text"]:
    """Yield one line for each layer: numbers where there is room, shades where there is not."""
    from rich.text import Text

    from attention_surgeon.cli.cells import fit, shade, shortened

    effects = result.effects
    room = max(len(layer) for layer in result.layers) + len("layer  ")
    as_numbers = len(result.columns) * 8 + room <= width and result.column_kind == "head"
    cell = 8 if as_numbers else max(min((width - room) // len(result.columns), 3), 1)
    largest = float(effects.abs().nan_to_num(0.0).max())
    if as_numbers:
        yield Text(fit("", room) + "".join(f"{'head ' + name:>8}" for name in result.columns), "quiet")
    elif cell == 3:
        names = (name.partition(" ")[0] for name in result.columns)
        yield Text(shortened(fit("", room) + "".join(f"{name:>2} " for name in names), width), "quiet")
    for layer, row in zip(result.layers, effects.tolist(), strict=True):
        line = Text(fit(f"layer {layer}", room), "quiet")
        for effect in row[: max((width - room) // cell, 1)]:
            character, style = shade(abs(effect), largest) if effect == effect else (" ", "")
            style = "less" if effect < 0 else style
            if as_numbers:
                line.append(f"{effect:>8.2f}" if effect == effect else " " * 8, style)
            else:
                sign = "−" if effect < 0 and character != " " else " "
                line.append(f"{sign}{character}"[-cell:].ljust(cell), style)
        yield line


def _sentence(result: "PatchResult") -> str:
    """Say what moved the metric most; where there is a way to go, what brought it farthest on that way."""
    strongest = result.strongest(_MOST_ROWS)
    if not strongest:
        return "Nothing was measured."
    layer, column, effect = max(strongest, key=lambda one: one[2]) if result.is_share else strongest[0]
    others = ", ".join(f"{one}.{name} {size:+.2f}" for one, name, size in strongest if (one, name) != (layer, column))
    who = f"head {layer}.{column}" if result.column_kind == "head" else f"layer {layer} at position {column}"
    if result.rest is not None:
        said = f"Of the metric {effect:.0%} come directly from {who}, {result.rest:+.3f} from all that is no head."
    elif result.is_share:
        verb = "is estimated to bring" if result.method.startswith("attribution") else "brings"
        said = f"{who[0].upper()}{who[1:]} alone {verb} back {effect:.0%} (1 = the clean answer is back)."
    else:
        said = f"The metric moves most without {who}: {effect:+.3f}."
    return f"{said} Others: {others}." if others else said


def _receipt(result: "PatchResult") -> str:
    layers = result.receipt.layers
    read, wrote = (sum(getattr(layer, name) for layer in layers) for name in ("reads", "writes"))
    identical = [layer.others_identical for layer in layers if layer.others_identical is not None]
    parts = [f"read {read}", f"wrote {wrote}"]
    if identical:
        parts.append(f"everything else there {'bit-identical' if all(identical) else 'CHANGED'}")
    parts.append("undone exactly" if result.receipt.undone else "NOT undone")
    return f"receipt: {', '.join(parts)}."


def _document(result: "PatchResult", model: str) -> dict[str, Any]:
    document = {"format": _FORMAT, "version": _VERSION, **result.as_dict(), "source": result.source, "model": model}
    return _finite(document)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return str(value) if isinstance(value, float) and (value != value or abs(value) == float("inf")) else value
