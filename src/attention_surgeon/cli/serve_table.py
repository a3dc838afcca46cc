"""The operating table behind `surgeon serve`: a request of the page as an operation on a model."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, final

import torch

from attention_surgeon.cli.operate import nothing_changed, place_of, receipt_parts
from attention_surgeon.cli.sentence import entry_of, who
from attention_surgeon.cli.serve_offer import offer_of, stacks_of
from attention_surgeon.cli.serve_operation import operation_of
from attention_surgeon.errors import OptionError, SurgeonError
from attention_surgeon.surgery import Capture, Effect, LoadedModel, attention_layers, before_and_after, capture, predict
from attention_surgeon.surgery.inputs import TextLike, fit_to_context
from attention_surgeon.surgery.predictions import cosine, kind_of_prediction
from attention_surgeon.threads import one_thread
from attention_surgeon.trace import AttentionTrace
from attention_surgeon.viewer import Page, compare, view
from attention_surgeon.viewer.live import Answer, StillWanted, TableRequest

MOST_TOKENS = 128

_SMALL = 50_000_000

_MOST, _MOST_AFTER = 5, 3

_TITLES = {
    "next token": "The next token",
    "masked token": "The token behind the mask",
    "class": "The class",
    "nothing": "Where the text stands",
}


@final
class ModelTable:
    """Models, loaded when they are asked for and kept."""

    def __init__(self, names: Sequence[str], load: Callable[[str], LoadedModel]) -> None:
        """Know the names, and how a model is loaded; load nothing yet."""
        self._names, self._load = tuple(names), load
        self._loaded: dict[str, LoadedModel] = {}

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, the one to begin with first."""
        return self._names

    def load(self, name: str) -> LoadedModel:
        """Return a model, loaded on first use.

        Raises:
            SurgeonError: as `surgery.load_model` and `surgery.attention_layers`; no tokenizer, so no text can be read.
        """
        if name not in self._loaded:
            loaded = self._load(name)
            attention_layers(loaded.model)  # one that cannot be operated on is refused before a page offers it
            if loaded.tokenizer is None:
                raise OptionError(f"{name} came without a tokenizer, so it cannot read a text that is typed.")
            self._loaded[name] = loaded
        return self._loaded[name]

    def describe(self, model: str, still_wanted: StillWanted) -> dict[str, Any]:
        """Return what can be chosen for a model."""
        return offer_of(self.load(model), most_tokens_of(self.load(model)))

    def operate(self, request: TableRequest, still_wanted: StillWanted) -> Answer:
        """Operate, look, and undo.

        Raises:
            SurgeonError: the text, the operation or its place does not fit the model.
        """
        loaded = self.load(request.model)
        text, left_out = _fitting(loaded, request.text)
        stack = _stack_of(loaded, request.stack)
        operation = operation_of(request)
        with _few_threads(loaded), _watched(loaded, still_wanted):
            if operation is None:
                return _as_it_is(loaded, text, stack, left_out)
            effect = before_and_after(
                loaded.model,
                operation,
                text,
                layers=_layers_of(stack, request.layers),
                heads=request.heads,
                tokenizer=loaded.tokenizer,
            )
        still_wanted()
        page = page_of(loaded, effect, stack, request.text, left_out)
        entry = page.document["operation"]
        return Answer(page.document, tuple(entry["receipt"]), entry["predictions"])


def page_of(loaded: LoadedModel, effect: Effect, stack: str, text: str, left_out: str | None = None) -> Page:
    """Return the page of an operation: before and after, what was done in a sentence, the receipt, the predictions.

    Args:
        loaded: The model.
        effect: What the operation did.
        stack: Which stack of layers is shown, as all maps of a page have one size.
        text: What was read.
        left_out: A sentence on what of it was not; None: all was read.
    """
    heads = who([layer for layer in effect.receipt.layers if layer.calls])
    title = f"{loaded.name}: {effect.receipt.operation}, {heads[:1].lower()}{heads[1:]}"
    before, after = _maps(effect.before, stack), _maps(effect.after, stack)
    receipt = (*receipt_of(effect), *filter(None, [left_out]))
    predictions = predictions_of(loaded, effect.before, effect.after)
    if effect.receipt.changed and all(torch.equal(before[name].weights, after[name].weights) for name in before):
        receipt = (*receipt, "every map is as it was: this operation acts on what the weights gather")
    try:
        page = compare(before, after, title=title)
    except SurgeonError as error:  # a fault may leave numbers that no map can show; the rest is true all the same
        reason = str(error).removeprefix("compare: ").partition(". ")[0].rstrip(".")
        receipt = (*receipt, f"no map of what came out: {reason}; the maps show the model as it was")
        page = view(before, title=title)
    page.document["operation"] = entry_of(effect, stack, predictions, receipt, text)
    return page


def _few_threads(loaded: LoadedModel) -> AbstractContextManager[None]:
    """Return what makes a small model run in one thread: for a short text, threads cost more time than they save."""
    size = sum(parameter.numel() for parameter in loaded.model.parameters())
    return one_thread() if size < _SMALL else nullcontext()


def most_tokens_of(loaded: LoadedModel) -> int:
    """Return how many tokens a text may have: what the model can read, and no more than a page shows at once."""
    config = getattr(loaded.model, "config", None)
    lengths = (getattr(config, name, None) for name in ("context_len", "max_position_embeddings", "n_positions"))
    return min([MOST_TOKENS, *(length for length in lengths if isinstance(length, int) and length > 0)])


def _as_it_is(loaded: LoadedModel, text: TextLike, stack: str, left_out: str | None) -> Answer:
    captured = capture(loaded.model, text, tokenizer=loaded.tokenizer)
    page = view(_maps(captured, stack), title=f"{loaded.name}, as it is")
    return Answer(page.document, (*filter(None, [left_out]), *receipt_of(None)), predictions_of(loaded, captured))


def _fitting(loaded: LoadedModel, text: str) -> tuple[TextLike, str | None]:
    """Return the text as far as it is read, and a sentence that says what was left out."""
    if not text:
        raise OptionError("the text is empty; type a few words.")
    return fit_to_context(loaded.model, text, loaded.tokenizer, most_tokens_of(loaded))


def _stack_of(loaded: LoadedModel, name: str) -> str:
    """Return the stack that is meant; none named: the first.

    Raises:
        OptionError: there is none of that name.
    """
    names = [stack.name for stack in stacks_of(loaded)]
    if name and name not in names:
        known = ", ".join(filter(None, names)) or "one stack only, which has no name"
        raise OptionError(f"stack is {name!r}; {loaded.name} has {known}.")
    return name or names[0]


def _layers_of(stack: str, layers: tuple[int, ...] | None) -> str | tuple[int, ...] | None:
    """Return the layers of one stack as `operate` takes them."""
    if not stack:
        return layers
    return stack if layers is None else f"{stack} {','.join(map(str, layers))}"


def _maps(captured: Capture, stack: str) -> dict[str, AttentionTrace]:
    """Return what a page shows: one stack, as all maps of a page have one size."""
    return {str(layer.index): layer.trace for layer in captured.layers if layer.stack == stack}


@contextmanager
def _watched(loaded: LoadedModel, still_wanted: StillWanted) -> Iterator[None]:
    """Let each attention layer ask before it runs whether its work is wanted still."""
    hooks = [
        layer.module.register_forward_pre_hook(lambda *_: still_wanted()) for layer in attention_layers(loaded.model)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def receipt_of(effect: Effect | None) -> tuple[str, ...]:
    """Return the receipt in sentences; without an operation, that there was none."""
    if effect is None:
        return ("Nothing is done to the model. Choose a mask, a scale, a temperature or a fault.",)
    called = [layer for layer in effect.receipt.layers if layer.calls]
    lines = [f"operated: {effect.receipt.operation} · {place_of(called)}"]
    for _, text in receipt_parts(effect, called):
        lines += text.split(" · ")
    if not effect.receipt.changed:
        lines.append(nothing_changed(effect))
    return tuple(lines)


def predictions_of(loaded: LoadedModel, before: Capture, after: Capture | None = None) -> dict[str, Any]:
    """Return what the model says, before and after, as the page takes it."""
    kind = kind_of_prediction(loaded.model, before, loaded.tokenizer)
    facts = []
    if before.loss is not None:
        facts.append(_fact("loss, nats per token", before.loss, None if after is None else after.loss, after))
    if after is not None and (angle := cosine(before, after)) is not None:
        facts.append(_fact("cosine with the mean state before", 1.0, angle, after))
    return {"title": _TITLES[kind], "rows": _rows(loaded, before, after), "facts": facts}


def _rows(loaded: LoadedModel, before: Capture, after: Capture | None) -> list[dict[str, Any]]:
    """Return the likeliest outcomes of either side, each with its probability on both."""
    first, second = _probabilities(loaded, before), {} if after is None else _probabilities(loaded, after)
    shown = dict.fromkeys([*list(first)[:_MOST], *list(second)[:_MOST_AFTER]])
    return [{"label": name, "before": first.get(name), "after": second.get(name)} for name in shown]


def _probabilities(loaded: LoadedModel, captured: Capture) -> dict[str, float]:
    """Return the probability of every outcome, the likeliest first; of two of one name that of the likelier."""
    if captured.logits is None:
        return {}
    found: dict[str, float] = {}
    for one in predict(loaded.model, captured, loaded.tokenizer, most=captured.logits.shape[-1]):
        found.setdefault(one.outcome, one.probability)
    return found


def _fact(label: str, before: float, after: float | None, is_there: object) -> dict[str, str | None]:
    words = None if is_there is None else "no number any more" if after is None or after != after else f"{after:.4f}"
    return {"label": label, "before": f"{before:.4f}", "after": words}
