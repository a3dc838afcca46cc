"""`surgeon experiment show`: a run that was made before."""

from pathlib import Path

from attention_surgeon.cli.console import make_console, show
from attention_surgeon.cli.experiment_screen import run_screen
from attention_surgeon.experiments import find_run


def show_run(wanted: str, root: Path) -> int:
    """Print a run and return the exit code.

    Raises:
        FileAccessError, FileFormatError: there is no such run, or it is damaged.
    """
    console = make_console()
    show(run_screen(find_run(wanted, root), console.width), console)
    return 0
