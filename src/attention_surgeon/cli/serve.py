"""`surgeon serve`: the operating table in a browser, on this computer alone."""

from typing import Annotated

import typer


def serve(
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", metavar="DIR|NAME", help="What to begin with: writer, minilm, tiny, or a folder."
        ),
    ] = "writer",
    port: Annotated[
        int | None, typer.Option(metavar="N", help="Port of 127.0.0.1; 0 takes any free one. Usually 8642 or the next.")
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> int:
    """Type a text, break the attention of a model, and see at once what becomes of it.

    Serves one page to this computer alone, at an address with a random token. Ctrl-C ends it.
    """
    # Imported here, because these load torch, and `surgeon --help` must not wait for it.
    from attention_surgeon.cli.serve_run import run_serve

    return run_serve(model, port, is_opened=open_)
