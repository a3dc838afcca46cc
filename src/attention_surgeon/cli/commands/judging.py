"""The options of `surgeon diagnose`, `faults` and `doctor`.

Each command imports what does the work when it runs: that loads torch, and `surgeon --help` must not wait for it.
"""

from pathlib import Path
from typing import Annotated

import typer


def diagnose(
    target: Annotated[str, typer.Argument(metavar="FILE.py:NAME", help="What to judge, or package.module:NAME.")],
    contract: Annotated[
        str | None, typer.Option(metavar="NAME", help="What it should be: attention, multihead, causal_mask, ...")
    ] = None,
    mask: Annotated[
        str | None, typer.Option(metavar="MEANING", help="What a mask means to it: keep, hide or additive.")
    ] = None,
    returns: Annotated[
        str | None, typer.Option(metavar="ORDER", help="output_first, or weights_first where two values come back.")
    ] = None,
    align: Annotated[
        str | None, typer.Option(metavar="SIDE", help="Where a causal mask lies with more keys: end or start.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="KIND", help="What a padding mask is made of: lengths or tokens.")
    ] = None,
    unscaled: Annotated[bool, typer.Option("--unscaled", help="The scores should not be divided by √d_k.")] = False,
    level: Annotated[
        str, typer.Option(metavar="LEVEL", help="How much is said: question, pointer or fix.")
    ] = "pointer",
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, whatever the level.")] = False,
    seconds: Annotated[float, typer.Option(metavar="N", help="How long the file may take.")] = 60.0,
    memory: Annotated[int, typer.Option(metavar="MB", help="How much memory the file may take.")] = 2048,
    write_test: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also write a stand-alone pytest file for it.")
    ] = None,
    sarif: Annotated[bool, typer.Option("--sarif", help="Print the verdict as SARIF 2.1.0, for code review.")] = False,
) -> int:
    """Judge an attention by what it does, and name its mistakes.

    Functions, classes and objects, in PyTorch or NumPy. The file runs in a process of its own.
    Exit code 0: right. 1: wrong. 2: it could not be judged.
    """
    from attention_surgeon.cli.diagnose import judge, parse_level, print_diagnosis

    told = parse_level(level)
    options = {
        "mask": mask,
        "returns": returns,
        "align": align,
        "source": source,
        "scaled": False if unscaled else None,
    }
    found = judge(target, contract, options, seconds=seconds, memory=memory)
    if write_test is not None:
        from attention_surgeon.cli.written import write_its_test

        write_its_test(target, write_test, contract, options)
    if sarif:
        from attention_surgeon.cli.written import print_sarif

        return print_sarif(found)
    if not json:
        from attention_surgeon.cli.written import annotate

        annotate(found)
    return print_diagnosis(found, told, as_json=json)


def faults(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One of them: everything that is known about it.")
    ] = None,
    stage: Annotated[
        str | None, typer.Option(metavar="STAGE", help="Only those of one stage: scale, mask, heads, ...")
    ] = None,
    family: Annotated[
        str | None, typer.Option(metavar="FAMILY", help="Only those that it can have: attention, layer, softmax, ...")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the picture of NAME: png, svg or pdf.")
    ] = None,
    dark: Annotated[bool, typer.Option("--dark", help="The saved picture on dark ground.")] = False,
) -> int:
    """List the mistakes that are known, or show one of them.

    A page says what the mistake is, how it shows in training and in the numbers, where to look, the line that
    mends it, where it really happened, and draws it.
    """
    from attention_surgeon.cli.faults import print_faults

    return print_faults(name, stage=stage, family=family, as_json=json, save=save, theme="dark" if dark else "light")


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
    from attention_surgeon.cli.doctor import print_examination

    return print_examination(contract, everything=everything, as_json=json, workers=workers)
