"""`surgeon diagnose`: is this attention right, and if not, what exactly is wrong?"""

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
    # Imported here, because these load torch, and `surgeon --help` must not wait for it.
    from attention_surgeon.cli.diagnose_request import judge, parse_level
    from attention_surgeon.cli.diagnose_screen import print_diagnosis

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
