"""What a learner's own attention does: it stands in a small language model that is trained for a few seconds, beside
the same model with the course's solution in its place.

To be called in the child process where the learner's file is run. It answers with plain data.
"""

import inspect
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from attention_surgeon.course.registry import CHECKS
from attention_surgeon.diagnose.load import load_target
from attention_surgeon.masks import causal_mask
from attention_surgeon.models import Decoder, DecoderConfig, MaskBuilder, no_mask
from attention_surgeon.testing.draw import generator

_STEPS, _FEWEST, _SECONDS = 100, 30, 5.0
"""Steps of each model, and how long loading and training of both may take; after fewer steps nothing would be seen."""

_SYMBOLS, _LENGTH, _PERIOD, _WIDTH, _HEADS, _BATCH = 8, 9, 3, 24, 2, 32
_RATE, _MEMORY, _TINY = 2e-2, (0.9, 0.999), 1e-8
_SPREAD = 0.5  # of the embeddings; with the decoder's own 0.02 the first fifty steps would go into making them larger

Trained: TypeAlias = tuple[Decoder, MaskBuilder]


def train_beside(request: Mapping[str, Any]) -> dict[str, Any]:
    """Train a model with the course's solution and one with the learner's file, step by step in turn.

    Both learn on the same random texts. Without a mask each place says the symbol at the opposite end; under a mask
    each says the next one of a pattern of three that is repeated.

    Args:
        request: As for `inside.judge`, and `solution`, the course's file; it may name a file `until`, and the training
            ends when there is one.

    Returns:
        `steps` of each; `measured`: in which places, and the share of right answers of the solution and of
        the learner's file. No steps: it is nothing that could stand in a model.

    Raises:
        Exception: whatever the learner's file raises.
    """
    begun = time.monotonic()
    objects = [load_target(Path(request[file]), request["object"]).object for file in ("solution", "file")]
    both = [made for made in (_model_with(each, request) for each in objects) if made is not None]
    if len(both) < len(objects):
        return {"steps": 0, "measured": []}
    is_masked = any(mask is not no_mask for _, mask in both)
    draw = _pattern if is_masked else _opposite
    stop = Path(request["until"]) if request.get("until") else None
    steps = _train(both, draw, lambda: time.monotonic() > begun + _SECONDS, lambda: stop is not None and stop.exists())
    texts, answers = draw(generator(_STEPS))
    measured: dict[str, list[float]] = {}
    with torch.no_grad():
        said = [model(texts, mask(_LENGTH)).argmax(-1) == answers for model, mask in both]
        if is_masked:
            measured["what follows, once the pattern is seen"] = [_share(right[:, _PERIOD - 1 :]) for right in said]
            measured["what follows, before anybody can know"] = [_share(right[:, : _PERIOD - 1]) for right in said]
            measured["when it writes: no future to look at"] = [_writing(*each, texts, answers) for each in both]
        else:
            measured["what stands at the opposite end"] = [_share(right) for right in said]
    return {"steps": steps, "measured": [[name, *shares] for name, shares in measured.items()]}


def _opposite(source: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return texts of random symbols, and for each place the symbol at the opposite end."""
    texts = torch.randint(_SYMBOLS, (_BATCH, _LENGTH), generator=source)
    return texts, texts.flip(1)


def _pattern(source: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return texts in which three random symbols are repeated, and for each place the symbol that follows."""
    few = torch.randint(_SYMBOLS, (_BATCH, _PERIOD), generator=source)
    whole = few.repeat(1, _LENGTH // _PERIOD + 1)
    return whole[:, :_LENGTH], whole[:, 1 : _LENGTH + 1]


def _train(
    both: Sequence[Trained],
    draw: Callable[[torch.Generator], tuple[Tensor, Tensor]],
    is_late: Callable[[], bool],
    is_stopped: Callable[[], bool],
) -> int:
    """Train all on the same texts in the same order, and return how many steps each made by then."""
    optimizers = [_Adam(model.parameters()) for model, _ in both]
    for step in range(_STEPS):
        texts, answers = draw(generator(step))
        for (model, mask), optimizer in zip(both, optimizers, strict=True):
            logits = model(texts, mask(_LENGTH))
            optimizer.descend(cross_entropy(logits.flatten(0, 1), answers.flatten()))
        if (step + 1 >= _FEWEST and is_late()) or is_stopped():
            return step + 1
    return _STEPS


@final
class _Adam:
    """Adam (Kingma and Ba, 2015, algorithm 1) on gradients whose length is at most 1.

    By hand, because `torch.optim` loads torch's compiler, which takes longer than the training.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        """Begin with moments of zero."""
        self._parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self._means, self._squares = ([torch.zeros_like(each) for each in self._parameters] for _ in range(2))
        self._count = 0

    def descend(self, loss: Tensor) -> None:
        """Go one step down; from a loss that is not finite, or depends on nothing, none."""
        if not (bool(torch.isfinite(loss)) and loss.requires_grad):
            return
        gradients = torch.autograd.grad(loss, self._parameters, allow_unused=True)
        length = torch.stack([each.norm() for each in gradients if each is not None]).norm()
        self._count += 1
        for parameter, mean, square, gradient in zip(
            self._parameters, self._means, self._squares, gradients, strict=True
        ):
            if gradient is None:
                continue
            clipped = gradient / length.clamp(min=1.0)
            mean.lerp_(clipped, 1 - _MEMORY[0])
            square.lerp_(clipped.square(), 1 - _MEMORY[1])
            unbiased = (mean / (1 - _MEMORY[0] ** self._count), square / (1 - _MEMORY[1] ** self._count))
            parameter.detach().sub_(_RATE * unbiased[0] / (unbiased[1].sqrt() + _TINY))


def _share(right: Tensor) -> float:
    return right.float().mean().item()


def _writing(model: Decoder, mask: MaskBuilder, texts: Tensor, answers: Tensor) -> float:
    """Return the share of right answers where only what came before goes in."""
    seen = range(_PERIOD, _LENGTH + 1)
    return sum(_share(model(texts[:, :n], mask(n))[:, -1].argmax(-1) == answers[:, n - 1]) for n in seen) / len(seen)


def _model_with(made: Any, request: Mapping[str, Any]) -> Trained | None:
    """Return a new model in which an object attends, and who may see whom; None where it cannot stand in one."""
    contract, in_numpy = request["contract"].removeprefix(CHECKS), "torch" not in request["imports"]
    model = Decoder(DecoderConfig(_SYMBOLS, _LENGTH, _WIDTH, _HEADS, num_layers=1))
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        if "embedding" in name:
            nn.init.normal_(parameter, std=_SPREAD)
    if contract in _MASKS:
        return model, lambda n: _allowed(made(n))
    if contract in _LAYERS:
        attends: nn.Module = _NumpyLayer(made) if in_numpy else _Layer(made, *_LAYERS[contract])
    elif contract in _HEADS_OF:
        attends = _Head(lambda *given: _HEADS_OF[contract](made, *given), in_numpy=in_numpy)
    else:
        return None
    model.blocks[0].register_module("attention", attends)
    return model, _causal if _takes_mask(made) or contract in _HEADS_OF else no_mask


def _causal(n: int) -> Tensor:
    return causal_mask(n).dense()


def _allowed(mask: Any) -> Tensor:
    """Return True where a learner's mask lets a query attend: booleans, or numbers to be added."""
    mask = torch.as_tensor(mask)
    return mask if mask.dtype == torch.bool else mask == 0


def _takes_mask(made: Any) -> bool:
    return "mask" in inspect.signature(getattr(made, "forward", made)).parameters


def _first(returned: Any) -> Any:
    return returned[0] if isinstance(returned, tuple | list) else returned


@final
class _Layer(nn.Module):
    """A layer of the learner's, with its own parameters."""

    def __init__(self, made: Any, *sizes: int) -> None:
        """Make it for the width of the model; nothing is dropped, so that chance makes no difference."""
        super().__init__()
        parameters = inspect.signature(made).parameters
        self.inner = made(*sizes, **({"dropout": 0.0} if "dropout" in parameters else {}))
        forward = inspect.signature(self.inner.forward).parameters
        self._takes_context, self._takes_mask = "context" in forward, "mask" in forward

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Return its output."""
        given = (x, x) if self._takes_context else (x,)
        return _first(self.inner(*given, **({"mask": mask} if self._takes_mask else {})))


@final
class _Head(nn.Module):
    """One head around a function or a step of the learner's: the projections are the model's."""

    def __init__(self, attend: Callable[..., Any], *, in_numpy: bool) -> None:
        """Make the projections."""
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(_WIDTH, _WIDTH) for _ in range(3))
        self._attend, self._in_numpy = attend, in_numpy

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Return what the head gathers."""
        Q, K, V = self.query(x), self.key(x), self.value(x)
        if not self._in_numpy:
            return self._attend(Q, K, V, mask)
        seen = None if mask is None else mask.numpy()
        rows = (part.detach().numpy() for part in (Q, K, V))
        found = [self._attend(*given, seen) for given in zip(*rows, strict=True)]
        return _with_gradient_of(_usual(Q, K, V, mask), found)


@final
class _NumpyLayer(nn.Module):
    """A class of the learner's in NumPy; its four matrices are the model's parameters."""

    def __init__(self, made: Any) -> None:
        """Make it, and parameters of its matrices."""
        super().__init__()
        self._inner = made(_WIDTH, _HEADS)
        for name in ("W_q", "W_k", "W_v", "W_o"):
            self.register_parameter(name, nn.Parameter(torch.as_tensor(getattr(self._inner, name)).float()))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Return its output."""
        for name, parameter in self.named_parameters():
            setattr(self._inner, name, parameter.detach().numpy())
        parts = (x @ matrix for name, matrix in self.named_parameters() if name != "W_o")
        Q, K, V = (part.unflatten(-1, (_HEADS, -1)).transpose(-3, -2) for part in parts)
        right = _usual(Q, K, V, None).transpose(-3, -2).flatten(-2) @ self.get_parameter("W_o")
        return _with_gradient_of(right, self._inner(x.detach().numpy()))


def _usual(Q: Tensor, K: Tensor, V: Tensor, mask: Tensor | None) -> Tensor:
    scores = Q @ K.mT / Q.shape[-1] ** 0.5
    return torch.softmax(scores if mask is None else scores.masked_fill(~mask, float("-inf")), dim=-1) @ V


def _with_gradient_of(right: Tensor, found: Any) -> Tensor:
    """Return the learner's numbers; NumPy knows no gradient, so that of right attention goes back through them."""
    return right + (torch.as_tensor(np.asarray(found)).to(right.dtype) - right).detach()


def _attention(made: Any, Q: Any, K: Any, V: Any, mask: Any) -> Any:
    return _first(made(Q, K, V, mask if mask is None or Q.ndim == mask.ndim else mask.expand(len(Q), -1, -1)))


def _softmax(made: Any, Q: Any, K: Any, V: Any, mask: Any) -> Any:
    scores = Q @ K.swapaxes(-2, -1) / Q.shape[-1] ** 0.5
    hidden = (
        np.where(mask, scores, -np.inf) if isinstance(scores, np.ndarray) else scores.masked_fill(~mask, -torch.inf)
    )
    return made(hidden) @ V


def _scores(made: Any, Q: Tensor, K: Tensor, V: Tensor, mask: Tensor) -> Tensor:
    return torch.softmax(made(Q, K).masked_fill(~mask, float("-inf")), dim=-1) @ V


def _weights(made: Any, Q: Tensor, K: Tensor, V: Tensor, mask: Tensor) -> Tensor:
    return made(Q @ K.mT / Q.shape[-1] ** 0.5, mask) @ V


def _output(made: Any, Q: Tensor, K: Tensor, V: Tensor, mask: Tensor) -> Tensor:
    scores = Q @ K.mT / Q.shape[-1] ** 0.5
    return made(torch.softmax(scores.masked_fill(~mask, float("-inf")), dim=-1), V)


_MASKS = frozenset({"causal_mask", "reverse_mask"})

_LAYERS: Mapping[str, tuple[int, ...]] = {
    "simple": (_WIDTH,),
    "self": (_WIDTH,),
    "multihead": (_WIDTH, _HEADS),
    "multiquery": (_WIDTH, _HEADS),
    "cross": (_WIDTH, _HEADS),
}
"""What a layer is made with, by its contract."""

_HEADS_OF: Mapping[str, Callable[..., Any]] = {
    "attention": _attention,
    "softmax": _softmax,
    "check_scores": _scores,
    "check_weights": _weights,
    "check_output": _output,
}
"""How what an exercise asks for becomes a head, by its contract or check."""
