"""`surgeon doctor`: the grader graded."""

from typing import Annotated

import typer


def doctor(
    contract: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only what is judged by one contract: attention, multihead, ...")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every pair of faults and every kind of target; takes minutes.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    workers: Annotated[int, typer.Option(metavar="N", help="How many processes work.")] = 2,
) -> int:
    """Examine the diagnosis itself.

    Targets with every fault of the catalogue must be rejected and the fault named; with two faults at once,
    both; and right code in many styles must be accepted. Exit code 0: so it is. 1: it is not.
    """
    # Imported here, because it loads torch, and `surgeon --help` must not wait for it.
    from attention_surgeon.cli.doctor_screen import print_examination

    return print_examination(contract, everything=everything, as_json=json, workers=workers)
