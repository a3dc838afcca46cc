"""The catalogue of faults as Markdown: `python -m docs.faults`. The pictures are drawn by `docs.pictures`."""

from collections.abc import Iterator

from attention_surgeon.faults import STAGES, Fault, Stage, catalogue
from docs.pictures import DRAWN_FAULTS

STEPS: dict[Stage, str] = {
    "projection": "the linear layers before the five steps",
    "heads": "how one wide vector is cut into heads",
    "operands": "which of query, key and value serves as which",
    "score": "how a query meets a key",
    "scale": "what the scores are divided by",
    "mask": "who may attend to whom",
    "normalise": "how scores become weights",
    "combine": "what is gathered, and what is returned",
    "merge": "how the heads are put together again",
    "output": "the linear layer after them, and what is added",
    "state": "what a call leaves behind, and what is different in the next",
    "statistics": "what is said about the weights",
}


def markdown() -> Iterator[str]:
    """Yield the lines of the page: every stage with its faults, in the order of the pipeline."""
    for stage in STAGES:
        own = [fault for fault in catalogue() if fault.stage == stage]
        yield f"\n## `{stage}`: {STEPS[stage]}"
        for fault in own:
            yield from _section(fault)


def _section(fault: Fault) -> Iterator[str]:
    yield f"\n### `{fault.name}`\n"
    yield f"{_text(fault.summary)}\n"
    if fault.name in DRAWN_FAULTS:
        for theme in ("light", "dark"):
            yield f"![{fault.name}: healthy, faulty, difference](images/fault-{fault.name}-{theme}.png#only-{theme})"
        yield ""
    yield f"- In training: {_text(fault.in_training)}"
    yield f"- In the numbers: {_text(fault.in_numbers)}"
    yield f"- The question: {_text(fault.question)}"
    yield f"- Where to look: {_text(fault.pointer)}"
    if fault.sightings:
        yield f"- Where it happened: {', '.join(f'[{seen}]({seen.url})' for seen in fault.sightings)}"
    yield f"\n```python\n{fault.fix}\n```"


def _text(sentence: str) -> str:
    """Return a sentence in which nothing is taken for Markdown."""
    for sign in ("\\", "*", "_", "<", "[", "|"):
        sentence = sentence.replace(sign, f"\\{sign}")
    return sentence


if __name__ == "__main__":
    print("\n".join(markdown()).strip())
