"""What an agent or an editor may call: five tools with small answers, each with what to try next.

Every tool that runs somebody's file does so in a child process with limits on time and memory. Nothing here uses the
network; the server speaks over its standard input and output only.
"""

import shlex
from typing import Any, Literal

from attention_surgeon.diagnose.child import Limits
from attention_surgeon.diagnose.file import diagnose_file
from attention_surgeon.errors import SurgeonError
from attention_surgeon.faults import find_fault
from attention_surgeon.repair.fix import fix_file
from attention_surgeon.repair.write_test import write_test as write_test_file

Meaning = Literal["keep", "hide", "additive"]

SECONDS = 60.0
_MIB = 2**20
_LIMITS = Limits(seconds=SECONDS, memory_bytes=2048 * _MIB)
_MOST_TOKENS = 32
_DIGITS = 4


def diagnose(target: str, contract: str | None = None, mask: Meaning | None = None) -> dict[str, Any]:
    """Judge an attention implementation by what it does, and name its mistakes.

    Args:
        target: `FILE.py:NAME`, a function or a class in PyTorch or NumPy.
        contract: What it should be (attention, causal_attention, multihead, softmax, causal_mask, ...); leave it out
            to have it chosen.
        mask: What True or 1 in a mask means to it: keep (may attend), hide, or additive.
    """
    found = diagnose_file(target, contract, _options(mask), limits=_LIMITS)
    diagnosis = found.diagnosis
    answer: dict[str, Any] = {
        "verdict": diagnosis.verdict,
        "judged_as": diagnosis.contract_name,
        "faults": [{"name": fault.name, "summary": fault.summary} for fault in diagnosis.faults],
    }
    if diagnosis.location is not None:
        answer["line"] = {"number": diagnosis.location.line, "text": diagnosis.location.text}
    if diagnosis.difference is not None:
        answer["first_wrong_step"] = diagnosis.difference.step
        answer["right_before"] = list(diagnosis.difference.right_before)
    if diagnosis.counterexample is not None:
        answer["smallest_call"] = diagnosis.counterexample.inputs
    if diagnosis.reason:
        answer["reason"] = diagnosis.reason
    return answer | {"next": _after_diagnosis(target, diagnosis.verdict)}


def fix(
    target: str, contract: str | None = None, mask: Meaning | None = None, apply: bool = False, lines: int = 6
) -> dict[str, Any]:
    """Find the smallest verified patch that makes an attention implementation right.

    Args:
        target: `FILE.py:NAME`.
        contract: What it should be; leave it out to have it chosen.
        mask: As for `diagnose`.
        apply: Write the patch; the old file is kept beside it as FILE.py.orig.
        lines: A patch may change so many lines.
    """
    found = fix_file(target, contract, _options(mask), most_lines=lines, seconds=SECONDS)
    answer: dict[str, Any] = {"result": found.result, "judged_as": found.contract, "faults": list(found.faults)}
    if found.result == "fixed":
        answer |= {"lines": list(found.lines), "patch": found.diff}
        if apply:
            answer["kept"] = str(found.apply())
    elif found.reason:
        answer["reason"] = found.reason
    return answer | {"next": _AFTER_FIX["applied" if "kept" in answer else found.result]}


def write_test(target: str, test_file: str, contract: str | None = None, mask: Meaning | None = None) -> dict[str, Any]:
    """Write a stand-alone pytest file that holds an implementation to its definition.

    Args:
        target: `FILE.py:NAME`.
        test_file: Where it goes; a file that is there is not written over.
        contract: What the object should be; leave it out to have it chosen.
        mask: As for `diagnose`.
    """
    text = write_test_file(target, test_file, contract, _options(mask), limits=_LIMITS)
    tests = [line.split("(")[0].removeprefix("def ") for line in text.splitlines() if line.startswith("def test_")]
    return {"written": test_file, "tests": tests, "next": f"run: python -m pytest {shlex.quote(test_file)}"}


def explain_fault(name: str) -> dict[str, Any]:
    """Say what a named mistake is, how it shows, and the line that is right.

    Args:
        name: As `diagnose` gives it: scale_missing, softmax_over_queries, ...
    """
    fault = find_fault(name)
    texts = {
        key: getattr(fault, key) for key in ("name", "stage", "summary", "in_training", "in_numbers", "pointer", "fix")
    }
    seen = [sighting.url for sighting in fault.sightings]
    return texts | {"also_happened_in": seen, "next": "call fix with the file that has it"}


def trace(text: str, causal: bool = False, scale: bool = True) -> dict[str, Any]:
    """Show who attends to whom in a text, by untrained vectors: words spelt alike attend to each other.

    Args:
        text: At most 32 tokens are looked at.
        causal: Hide the future.
        scale: Divide the scores by √d_k.
    """
    from attention_surgeon.masks import causal_mask
    from attention_surgeon.models import tokenize, trace_text

    tokens = tokenize(text)[:_MOST_TOKENS]
    mask = causal_mask(len(tokens), len(tokens)) if causal else None
    made = trace_text(tokens, mask=mask, scale=scale, num_heads=1)
    rows = made.weights.reshape(len(tokens), len(tokens)).tolist()
    return {
        "tokens": tokens,
        "weights": [[round(weight, _DIGITS) for weight in row] for row in rows],
        "next": "each row is a query and sums to 1; columns are keys",
    }


TOOLS = (diagnose, fix, write_test, explain_fault, trace)


def make_server() -> Any:
    """Return the MCP server with the five tools; it needs the extra `agents`.

    Raises:
        SurgeonError: the package `mcp` is not installed.
    """
    try:
        from mcp.server import MCPServer  # type: ignore[import-not-found]
    except ImportError as error:
        raise SurgeonError(
            "surgeon mcp needs the package mcp, version 2 or newer: pip install 'attention-surgeon[agents]'."
        ) from error
    server = MCPServer("attention-surgeon", instructions=_INSTRUCTIONS)
    for tool in TOOLS:
        server.tool(structured_output=True)(_answering(tool))
    return server


def _answering(tool: Any) -> Any:
    """Return the tool with every wrong call turned into an answer that says the way out."""
    import functools

    @functools.wraps(tool)
    def answering(*args: Any, **named: Any) -> dict[str, Any]:
        try:
            return tool(*args, **named)
        except SurgeonError as error:
            return {"error": str(error), "next": "correct the call and try again"}

    return answering


def _options(mask: Meaning | None) -> dict[str, Any]:
    return {} if mask is None else {"mask": mask}


def _after_diagnosis(target: str, verdict: str) -> str:
    return {
        "right": "nothing is to be mended; write_test keeps it so",
        "wrong": f"call fix with target {target!r}; explain_fault says more about a fault",
        "unjudged": "name the contract, or give an object that can be called with the arguments it needs",
    }[verdict]


_AFTER_FIX = {
    "right": "nothing is to be mended; write_test keeps it so",
    "fixed": "review the patch, write it with apply=true, then call write_test",
    "applied": "the patch is written, and the old file kept; call write_test",
    "not_found": "raise lines, or mend by hand what explain_fault describes; the file is as it was",
    "unjudged": "name the contract, or see the reason; the file is as it was",
}

_INSTRUCTIONS = (
    "Judges implementations of attention (PyTorch or NumPy) by what they compute. Call diagnose first; if the verdict "
    "is wrong, call fix, whose patches are verified on calls that were not used to find them; then write_test."
)
