"""`surgeon serve`: from its options to a server that runs until Ctrl-C."""

import webbrowser

from attention_surgeon.cli.console import note, write
from attention_surgeon.cli.serve_table import ModelTable
from attention_surgeon.surgery import load_model
from attention_surgeon.viewer.live import Serving, serve

_USUAL = ("writer", "minilm", "tiny")


def run_serve(model: str, port: int | None, *, is_opened: bool) -> int:
    """Load the model, print the address, and serve until Ctrl-C.

    Raises:
        SurgeonError: the model cannot be loaded, the port is taken, or the server is not installed.
    """

    def ready(serving: Serving) -> None:
        write(f"{serving.url}\n")
        note("the operating table, for this computer alone · Ctrl-C ends it")
        if is_opened:
            webbrowser.open(serving.url)

    def mistake(error: BaseException) -> None:
        note(f"an operation failed: {type(error).__name__}: {error}")

    table = ModelTable([model, *(name for name in _USUAL if name != model)], lambda name: load_model(name, note))
    serve(table, port=port, on_ready=ready, on_mistake=mistake)
    note("ended")
    return 0
