"""The commands, and what becomes of everything that can go wrong in one.

| ends because | shown | exit code |
|---|---|---|
| the work is done | its result | 0 |
| a check failed | its result, with the failed checks | 1 |
| the input or the call is wrong (`SurgeonError`, a wrong option) | one line `error: ...` | 2 |
| of a mistake of ours | the traceback and where to report it | 70 |
| of Ctrl-C | `stopped` | 130 |
| nobody reads on (`surgeon trace ... | head`) | nothing | 141 |
"""

import errno
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from attention_surgeon import __version__
from attention_surgeon.cli.circuits import circuits
from attention_surgeon.cli.commands.attention import operate, report, scan, serve, sweep, trace, view
from attention_surgeon.cli.commands.course import (
    check,
    course,
    grade,
    hint,
    history,
    journal,
    list_exercises,
    progress,
    reset,
    solution,
    start,
    undo,
    update,
    watch,
)
from attention_surgeon.cli.commands.experiments import experiment
from attention_surgeon.cli.commands.judging import diagnose, doctor, faults
from attention_surgeon.cli.fix import fix
from attention_surgeon.cli.mcp import mcp
from attention_surgeon.cli.patch import patch
from attention_surgeon.errors import SurgeonError

_WRONG_CALL, _BUG, _STOPPED = 2, 70, 130

# Typer exports only this one of click's errors; its parent is the class of every wrong call.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]

# The rich help of typer looks better and takes 0.3 s to load.
app = typer.Typer(name="surgeon", rich_markup_mode=None, add_completion=False)

app.command("trace")(trace)
app.command("operate")(operate)
app.command("sweep")(sweep)
app.command("patch")(patch)
app.command("circuits")(circuits)
app.command("view")(view)
app.command("scan")(scan)
app.command("report")(report)
app.command("diagnose")(diagnose)
app.command("fix")(fix)
app.command("mcp")(mcp)
app.command("faults")(faults)
app.command("doctor")(doctor)
app.add_typer(experiment)
app.command("serve")(serve)
app.command("start")(start)
app.command("watch")(watch)
app.command("check")(check)
app.command("hint")(hint)
app.command("solution")(solution)
app.command("list")(list_exercises)
app.command("reset")(reset)
app.command("history")(history)
app.command("undo")(undo)
app.command("journal")(journal)
app.command("progress")(progress)
app.command("update")(update)
app.command("grade")(grade)
app.add_typer(course)


def _show_version(is_wanted: bool) -> bool:
    if is_wanted:
        typer.echo(f"attention-surgeon {__version__}")
        raise typer.Exit
    return is_wanted


@app.callback()
def surgeon(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Build attention by hand, break it on purpose, and see exactly what happens.

    Start with: surgeon trace "The cat sat on the mat"
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `surgeon` and leave with its exit code.

    Args:
        arguments: What follows the command's name; None: as the shell gave them.
    """
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run `surgeon` and return its exit code; nothing but the exit code comes out of it."""
    command = typer.main.get_command(app)
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        code = command.main(arguments or ["--help"], prog_name="surgeon", standalone_mode=False)
    except SurgeonError as error:
        return _wrong(str(error))
    except _UsageError as error:
        return _wrong(_usage_message(error))
    except typer.Abort:
        code = _STOPPED
    except OSError as error:
        if error.errno != errno.ENOSPC:
            return _bug()
        return _wrong(_give_up_output(error))
    except Exception:  # noqa: BLE001  the last resort hides nothing: it shows the traceback and adds a line
        return _bug()
    if code == _STOPPED:
        _say("stopped", "")
    return code or 0


def _wrong(message: str) -> int:
    _say("error", message)
    return _WRONG_CALL


def _bug() -> int:
    traceback.print_exc()
    _say("bug", "this is a mistake in attention-surgeon, not in your call; please report it with the lines above.")
    return _BUG


def _give_up_output(error: OSError) -> str:
    """Say why the help could not be printed, which typer does on its own."""
    from attention_surgeon.cli.console import output_failed

    return str(output_failed(error))


def _usage_message(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "surgeon"
    message = getattr(error, "format_message", error.__str__)()
    return f"{message}{'' if message.endswith(('.', '?')) else '.'} See {path} --help."


def _say(kind: str, message: str) -> None:
    from attention_surgeon.cli.console import say  # here, because it loads rich

    say(kind, message)
