"""`surgeon view`: from its options to a file."""

import webbrowser
from pathlib import Path
from typing import Any, NamedTuple

from attention_surgeon.cli.cells import visible
from attention_surgeon.cli.console import write
from attention_surgeon.cli.operate import text_of
from attention_surgeon.cli.trace_input import Request, make_trace
from attention_surgeon.errors import OptionError
from attention_surgeon.files import require_place
from attention_surgeon.stats import load_scans
from attention_surgeon.trace import load_trace
from attention_surgeon.viewer import Page, view

_WAYS = (
    'expected one of: surgeon view --text "The cat sat on the mat"; surgeon view --file FILE; '
    "surgeon view --trace FILE; surgeon view --scan FILE; surgeon view --model DIR --text ...; "
    "surgeon view --model DIR --image FILE; surgeon view --model DIR --sound FILE"
)


class ViewRequest(NamedTuple):
    """The options; None where one was not given."""

    text: str | None
    file: Path | None
    trace: Path | None
    scan: Path | None
    model: str | None
    mask: str | None
    no_scale: bool
    first: int | None
    image: Path | None
    sound: Path | None
    stack: str | None
    target: str | None
    write: int | None
    layer: str | None
    out: Path
    font: str | None
    megabytes: float
    open_it: bool


def run_view(request: ViewRequest) -> int:
    """Write the page or the picture, say so, and return the exit code.

    Raises:
        OptionError: options that exclude each other.
        SurgeonError: as the text, the trace, the model and the file demand.
    """
    _check(request)
    require_place(request.out)
    if request.font is not None:
        from attention_surgeon.plots import use_font  # here, because it loads matplotlib, which a page does not need

        use_font(request.font)
    if request.image is not None:
        told = _show_picture(request)
    else:
        subject, prompt_length = _subject(request)
        title = None if request.sound is None else f"{Path(str(request.model)).name}: {request.sound.name}"
        page = view(subject, prompt_length=prompt_length, title=title, max_megabytes=request.megabytes)
        page.save(request.out, place=() if request.layer is None else (request.layer,))
        told = f"{visible(page.title)}, {_maps(page)}"
    size = request.out.stat().st_size
    write(f"{visible(str(request.out))}: {told}, {_words(size)}\n")
    if request.open_it:
        webbrowser.open(request.out.resolve().as_uri())
    return 0


def _show_picture(request: ViewRequest) -> str:
    """Write what a vision model does with a picture, and say what was written."""
    from attention_surgeon.cli.view_model import picture_of  # here, because it loads transformers

    assert request.model is not None
    assert request.image is not None
    shown = picture_of(request.model, request.image)
    if request.out.suffix.lower() in (".html", ".htm"):
        page = shown.page(request.megabytes)
        page.save(request.out)
        return f"{visible(page.title)}, {_maps(page)}"
    shown.save(request.out, request.layer)
    return visible(shown.title)


def _check(request: ViewRequest) -> None:
    names = ("image", "sound", "text", "file", "trace", "scan")
    sources = {f"--{name}": getattr(request, name) for name in names}
    given = [name for name, value in sources.items() if value is not None]
    if len(given) > 1:
        raise OptionError(f"{' and '.join(given)} given; {_WAYS}.")
    if not given and request.model is None:
        raise OptionError(f"nothing to show; {_WAYS}.")
    own = {"--mask": request.mask, "--no-scale": request.no_scale or None, "--first": request.first}
    others = [name for name, value in own.items() if value is not None]
    is_kept = request.trace is not None or request.scan is not None
    if others and (request.model is not None or is_kept):
        raise OptionError(
            f"{', '.join(others)} belongs to the untrained vectors, so it goes with --text or --file alone."
        )
    if request.model is not None and is_kept:
        raise OptionError(
            f"{'--scan' if request.trace is None else '--trace'} shows what was saved, so it goes without --model."
        )
    if request.image is not None and request.model is None:
        raise OptionError("--image goes with --model: a vision model is to read the picture.")
    if request.sound is not None and request.model is None:
        raise OptionError("--sound goes with --model: a model is to listen.")
    of_model = {"--stack": request.stack, "--target": request.target, "--write": request.write}
    if request.model is None and (asked := [name for name, value in of_model.items() if value is not None]):
        raise OptionError(f"{asked[0]} goes with --model.")


def _subject(request: ViewRequest) -> tuple[Any, int | None]:
    """Return what is shown, and how many tokens were given to a model that wrote the others."""
    if request.trace is not None:
        return load_trace(request.trace), None
    if request.scan is not None:
        return {name.removeprefix("layer "): scan for name, scan in load_scans(request.scan).items()}, None
    if request.model is None:
        parts = (request.text, request.file, None, request.mask, request.no_scale, None, None, None, request.first)
        return make_trace(Request(*parts)), None
    from attention_surgeon.cli.view_model import listening, subject_of  # here, because they load transformers

    if request.sound is not None:
        return listening(request.model, request.sound, request.target, request.stack, request.write), None
    text = text_of(request.text, request.file)
    return subject_of(request.model, text, request.target, request.stack, request.write)


def _maps(page: Page) -> str:
    return f"{page.num_maps} map{'s' if page.num_maps > 1 else ''}"


def _words(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"
