"""A table without a model, and a server that runs in a thread, for the tests of the live page."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from attention_surgeon.errors import OptionError
from attention_surgeon.viewer import compare, view
from attention_surgeon.viewer.live import Answer, Limits, Serving, StillWanted, TableRequest, serve

OFFER: dict[str, Any] = {
    "summary": "weights out of a hat.",
    "example": "the cat sat",
    "mostTokens": 50,
    "stacks": [{"name": "", "numLayers": 2, "numHeads": 3}],
    "masks": [["own", "the model's own"], ["causal", "causal"], ["window", "window"]],
    "scales": [["own", "the model's own"], ["none", "none"]],
    "lessons": [
        {"title": "Silence one head", "question": "Needed?", "fault": "knock_out", "layers": [0], "heads": [1]},
        {"title": "Temperature 0", "question": "One only?", "temperature": 0},
    ],
    "faults": [
        {"name": "knock_out", "group": "operations", "summary": "What the head gathered is set to 0."},
        {"name": "fails", "group": "faults of the table", "summary": "The table makes a mistake."},
        {"name": "slow", "group": "faults of the table", "summary": "Works for a second, and looks at the clock."},
        {"name": "deaf", "group": "faults of the table", "summary": "Works for a second, and does not."},
    ],
}


class StandIn:
    """Gives weights that depend on the request alone; `fails`, `slow` and `deaf` are what they are called."""

    models = ("small", "second")

    def __init__(self) -> None:
        self.asked: list[TableRequest] = []
        self.finished: list[str | None] = []
        self.at_once, self.most_at_once = 0, 0

    def describe(self, model: str, still_wanted: StillWanted) -> dict[str, Any]:
        return {"model": model, **OFFER}

    def operate(self, request: TableRequest, still_wanted: StillWanted) -> Answer:
        self.asked.append(request)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return self._operate(request, still_wanted)
        finally:
            self.at_once -= 1

    def _operate(self, request: TableRequest, still_wanted: StillWanted) -> Answer:
        if request.fault == "fails":
            raise ZeroDivisionError("the table tripped")
        for _ in range(100 if request.fault in ("slow", "deaf") else 0):
            time.sleep(0.01)
            if request.fault == "slow":
                still_wanted()
        self.finished.append(request.fault)
        tokens = request.text.split(" ")
        if request.text == "":
            raise OptionError("the text is empty; type a few words.")
        before, title = self._maps(request.model, len(tokens)), f"{request.model}: {request.fault}"
        if request.fault is None and request.mask == "own":
            facts = [{"label": "loss", "before": "1.0000", "after": None}]
            said = {
                "title": "The next token",
                "rows": [{"label": "cat", "before": 0.25, "after": None}],
                "facts": facts,
            }
            return Answer(view(before, tokens=tokens, title=request.model).document, ("Nothing is done.",), said)
        after = before.flip(-1) if request.mask == "own" else torch.tril(before)
        facts = [{"label": "loss, nats per token", "before": "1.0000", "after": "no number any more"}]
        said = {"title": "The next token", "rows": [{"label": "cat", "before": 0.25, "after": 0.5}], "facts": facts}
        page = compare(before, after, tokens=tokens, title=title)
        receipt = (f"operated: {request.fault}", "undone exactly")
        if request.layers and request.heads:
            number = 3 * request.layers[0] + request.heads[0]
            page.document["operation"] = {
                "sentence": f"Head {request.layers[0]}.{request.heads[0]} is silenced. Loss 1.00 → 2.00.",
                "settings": [["text", request.text]],
                "receipt": list(receipt),
                "predictions": said,
                "maps": [number],
                "mark": "silenced",
            }
        return Answer(page.document, receipt, said)

    @staticmethod
    def _maps(model: str, n: int) -> torch.Tensor:
        drawn = torch.Generator().manual_seed(len(model))
        return torch.softmax(torch.randn(2, 1, 3, n, n, generator=drawn), dim=-1)


@contextmanager
def served(
    table: Any, limits: Limits | None = None, on_mistake: Callable[[BaseException], None] = print
) -> Iterator[Serving]:
    """Run a server on a free port in a thread of its own for the length of a block."""
    found: list[Serving] = []
    is_ready = threading.Event()

    def ready(serving: Serving) -> None:
        found.append(serving)
        is_ready.set()

    options = {"port": 0, "limits": limits, "on_ready": ready, "on_mistake": on_mistake}
    thread = threading.Thread(target=serve, args=(table,), kwargs=options)
    thread.start()
    assert is_ready.wait(20)
    try:
        yield found[0]
    finally:
        found[0].stop()
        thread.join(20)
        assert not thread.is_alive()
