"""The operating table behind `surgeon serve`: a request of the page as an operation on a model."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, final

from attention_surgeon.cli.operation_page import maps_of, page_of, predictions_of, receipt_of
from attention_surgeon.cli.serve_offer import offer_of, stacks_of
from attention_surgeon.cli.serve_operation import operation_of
from attention_surgeon.errors import OptionError
from attention_surgeon.surgery import LoadedModel, attention_layers, before_and_after, capture
from attention_surgeon.surgery.inputs import TextLike, fit_to_context
from attention_surgeon.threads import one_thread
from attention_surgeon.viewer import view
from attention_surgeon.viewer.live import Answer, StillWanted, TableRequest

MOST_TOKENS = 128

_SMALL = 50_000_000


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
    page = view(maps_of(captured, stack), title=f"{loaded.name}, as it is")
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
