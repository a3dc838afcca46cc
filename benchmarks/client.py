"""A client without a language model mends files through `surgeon mcp`: it calls `diagnose` and `fix`, and nothing else.

python -m benchmarks.client --measure             every file of `benchmarks.repair` that is not measured yet
python -m benchmarks.client --measure --every 10  a tenth of them
python -m benchmarks.client --measure --singles --draw 300 --seed 4
                                                  so many with one mistake, in the order that the seed gives
python -m benchmarks.client                       the table, from the lines that are there
python -m benchmarks.client --transcript          one conversation, held anew, as Markdown
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio

from benchmarks.repair import ROOT, Patient, drawn, patients, share

OUT = ROOT / "benchmarks" / "results" / "client.jsonl"

Call = Callable[..., Awaitable[dict[str, Any]]]
"""Calls a tool by its name, and returns its answer."""

MISTAKEN = """import torch


def attention(query, key, value, mask=None):
    scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
    if mask is not None:
        scores.masked_fill(mask == 0, -1e9)
    return torch.softmax(scores, dim=-1) @ value
"""
"""What the conversation in the documents is about."""


@asynccontextmanager
async def server() -> AsyncIterator[Call]:
    """Yield a function that calls a tool of a fresh `surgeon mcp` and returns its answer."""
    from mcp.client.client import Client
    from mcp.client.stdio import StdioServerParameters, stdio_client

    command = ["-W", "ignore", "-c", "from attention_surgeon.cli import main; main()", "mcp"]
    parameters = StdioServerParameters(command=sys.executable, args=command, env=dict(os.environ))
    async with Client(stdio_client(parameters)) as client:

        async def call(tool: str, **arguments: Any) -> dict[str, Any]:
            return (await client.call_tool(tool, arguments)).structured_content

        yield call


async def mend(call: Call, target: str, contract: str | None, mask: object) -> dict[str, Any]:
    """Return what became of a file: the verdict before, the result of `fix`, the verdict after."""
    asked = {"target": target} | {key: value for key, value in (("contract", contract), ("mask", mask)) if value}
    before = await call("diagnose", **asked)
    if before.get("verdict") != "wrong":
        return {"before": before.get("verdict", "error"), "result": "", "after": ""}
    fixed = await call("fix", **asked, apply=True)
    after = await call("diagnose", **asked) if fixed.get("result") == "fixed" else {}
    return {"before": "wrong", "result": fixed.get("result", "error"), "after": after.get("verdict", "")}


async def measure(chosen: list[Patient]) -> None:
    """Mend a copy of each file, and write a line about each as soon as it is known."""
    known = {row["target"] for row in read()}
    with OUT.open("a", encoding="utf-8") as out:
        async with server() as call:
            for patient in chosen:
                row = {"target": patient.target.removeprefix(f"{ROOT}/"), "group": patient.group}
                if row["target"] in known:
                    continue
                with _copy_of(patient.target) as target:
                    row |= await mend(call, target, patient.contract, patient.options.get("mask"))
                print(json.dumps(row), file=out, flush=True)
                print(*row.values(), flush=True)


def read() -> list[dict[str, Any]]:
    """Return what was measured so far."""
    return [json.loads(line) for line in OUT.read_text(encoding="utf-8").splitlines()] if OUT.exists() else []


@contextmanager
def _copy_of(target: str) -> Iterator[str]:
    """Yield the same target in a copy of its file, which may be written."""
    place, _, name = target.rpartition(":")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / Path(place).name
        copy.write_bytes(Path(place).read_bytes())
        yield f"{copy}:{name}"


def table(rows: list[dict[str, Any]]) -> str:
    """Return how many files the client has mended, as Markdown."""
    lines = ["| files of | files | judged wrong | mended, and right afterwards |", "|---|---|---|---|"]
    for group in dict.fromkeys(row["group"] for row in rows):
        own = [row for row in rows if row["group"] == group]
        wrong = [row for row in own if row["before"] == "wrong"]
        mended = [row for row in own if row["after"] == "right"]
        lines.append(f"| {group} | {len(own)} | {len(wrong)} | {len(mended)} ({share(mended, own)}) |")
    return "\n".join(lines)


async def transcript() -> str:
    """Hold one conversation and return it as Markdown."""
    said: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("attention.py").write_text(MISTAKEN, encoding="utf-8")
        async with server() as call:
            for tool, arguments in (
                ("diagnose", {"target": "attention.py:attention"}),
                ("fix", {"target": "attention.py:attention", "apply": True}),
                ("diagnose", {"target": "attention.py:attention"}),
                ("write_test", {"target": "attention.py:attention", "test_file": "test_attention.py"}),
            ):
                answer = json.dumps(await call(tool, **arguments), indent=1, ensure_ascii=False)
                answer = answer.replace(os.path.realpath(folder) + "/", "").replace(folder + "/", "")
                said.append(f"→ {tool} {json.dumps(arguments)}\n← {answer}")
        os.chdir(ROOT)
    return "```text\n" + "\n\n".join(said) + "\n```"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--transcript", action="store_true")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--singles", action="store_true", help="only those with one mistake")
    parser.add_argument("--draw", type=int, default=None, help="so many of them, in the order that the seed gives")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--group", default="", choices=("", "implementations", "cases", "modern"))
    asked = parser.parse_args()
    if asked.transcript:
        print(anyio.run(transcript))
        return
    if asked.measure:
        chosen = [one for one in patients() if asked.group in ("", one.group)]
        chosen = [one for one in chosen if len(one.faults) == 1 or not asked.singles][:: asked.every]
        chosen = drawn(chosen, asked.draw, asked.seed)
        anyio.run(measure, chosen)
    print(table(read()))


if __name__ == "__main__":
    main()
