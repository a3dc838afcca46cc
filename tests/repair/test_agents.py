"""The tools for agents, as functions and through a real client that speaks to `surgeon mcp`; no language model."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest

from attention_surgeon.repair.agents import diagnose, explain_fault, fix, trace, write_test

WRONG = "def attention(Q, K, V, mask=None):\n    return (Q @ K.mT / Q.shape[-1] ** 0.5).softmax(-2) @ V\n"


@pytest.fixture
def target(tmp_path):
    (tmp_path / "mine.py").write_text(WRONG.replace(", mask=None", ""))
    return f"{tmp_path / 'mine.py'}:attention"


def test_every_answer_says_what_to_try_next(target, tmp_path):
    found = diagnose(target)
    assert found["verdict"] == "wrong"
    assert [fault["name"] for fault in found["faults"]] == ["softmax_over_queries"]
    assert "call fix" in found["next"]
    mended = fix(target, apply=True)
    assert (mended["result"], mended["lines"]) == ("fixed", [2])
    assert diagnose(target)["verdict"] == "right"
    written = write_test(target, str(tmp_path / "test_mine.py"))
    assert "test_it_is_the_definition" in written["tests"]
    spaced = tmp_path / "test of mine.py"
    assert write_test(target, str(spaced))["next"] == f"run: python -m pytest '{spaced}'"
    assert explain_fault("softmax_over_queries")["next"]


def test_a_trace_is_small_and_its_rows_sum_to_one():
    found = trace("the cat sat " * 40, causal=True)
    assert len(found["tokens"]) == 32
    assert all(abs(sum(row) - 1) < 1e-2 for row in found["weights"])
    assert found["weights"][0][1:] == [0.0] * 31


def test_a_client_mends_a_file_by_diagnose_and_fix_alone(target):
    from mcp.client.client import Client
    from mcp.client.stdio import StdioServerParameters, stdio_client

    server = StdioServerParameters(
        command=sys.executable,
        args=["-c", "from attention_surgeon.cli import main; main()", "mcp"],
        env=dict(os.environ),
    )

    async def talk():
        async with Client(stdio_client(server)) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            answers = [
                (await client.call_tool(name, arguments)).structured_content
                for name, arguments in (
                    ("diagnose", {"target": target}),
                    ("fix", {"target": target, "apply": True}),
                    ("diagnose", {"target": target}),
                    ("diagnose", {"target": "nowhere.py:attention"}),
                )
            ]
        return names, answers

    with ThreadPoolExecutor(1) as beside:  # in this thread a browser of other tests may have its loop
        names, (before, mended, after, wrong_call) = beside.submit(anyio.run, talk).result()
    assert names == ["diagnose", "fix", "write_test", "explain_fault", "trace"]
    assert (before["verdict"], mended["result"], after["verdict"]) == ("wrong", "fixed", "right")
    assert "no such file" in wrong_call["error"]
