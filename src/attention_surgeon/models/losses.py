"""How well a model predicts a text: with the text before it to look at, with all of it, and as it must when writing.

All losses are mean cross-entropies in nats per character; `bits` turns them into bits.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from attention_surgeon.models.decoder import Decoder, MaskBuilder, mask_for

_SMOOTHING = (1.0, 0.3, 0.1, 0.03, 0.01)


def bits(nats: float) -> float:
    """Return nats as bits: 1 nat is 1 / ln 2 bits.

    >>> bits(math.log(2))
    1.0
    """
    return nats / math.log(2)


@torch.no_grad()
def teacher_forced_loss(
    model: Decoder, windows: Int[Tensor, "windows length"], mask: MaskBuilder, *, num_predicted: int | None = None
) -> float:
    """Return the loss as in training: the whole window goes in, and every position predicts what follows it.

    A model whose mask lets it see what follows has the answer before its eyes. With `num_predicted`, only that many
    positions of each window count, from its beginning.
    """
    model.eval()
    logits = model(windows[:, :-1], mask_for(mask, windows.shape[1] - 1))[:, :num_predicted]
    followers = windows[:, 1:][:, :num_predicted]
    return cross_entropy(logits.flatten(0, 1), followers.flatten()).item()


@torch.no_grad()
def loss_without_future(model: Decoder, windows: Int[Tensor, "windows length"], mask: MaskBuilder) -> float:
    """Return the loss as in writing: to predict position i + 1, only positions 0 … i go in, under their own mask.

    For a causal model this is `teacher_forced_loss` again, computed the long way.
    """
    model.eval()
    losses = [
        cross_entropy(model(windows[:, :seen], mask_for(mask, seen))[:, -1], windows[:, seen])
        for seen in range(1, windows.shape[1])
    ]
    return torch.stack(losses).mean().item()


def uniform_loss(vocabulary_size: int) -> float:
    """Return the loss of guessing: each character alike.

    >>> bits(uniform_loss(32))
    5.0
    """
    return math.log(vocabulary_size)


def bigram_loss(train: Int[Tensor, " n"], held_out: Int[Tensor, " m"], vocabulary_size: int) -> float:
    """Return the loss on `held_out` of counting in `train` which character follows which.

    Each count is raised by the same small number; of five, the one is taken that suits `held_out` best, which favours
    this baseline.

    >>> ab = torch.tensor([0, 1] * 50)
    >>> bigram_loss(ab, ab[:10], 2) < 0.01
    True
    """
    counts = torch.zeros(vocabulary_size, vocabulary_size, dtype=torch.float64)
    counts.index_put_((train[:-1], train[1:]), torch.ones(len(train) - 1, dtype=torch.float64), accumulate=True)
    losses = []
    for raised in _SMOOTHING:
        logs = torch.log_softmax((counts + raised).log(), dim=-1)  # rows of counts become rows of probabilities
        losses.append(-logs[held_out[:-1], held_out[1:]].mean().item())
    return min(losses)


def future_gradients(model: Decoder, windows: Int[Tensor, "windows length"], mask: MaskBuilder) -> Float[Tensor, "n n"]:
    """Return how strongly each prediction answers to each position: entry (i, j) is |d prediction_i / d input_j|.

    The prediction of position i is the logit of the character that really follows, above the mean of all logits (its
    probability would not do: where a model is certain, it does not answer to anything any more); the input of position
    j is its vector in front of the first block. The lengths of these gradients are averaged over the windows.
    Everything above the diagonal is seen by looking ahead, and entry (i, i + 1) is the answer itself.

    Args:
        model: A decoder.
        windows: Token numbers; of `length` only the first `length - 1` are read, the last is only predicted.
        mask: Who may see whom.

    Returns:
        `(n, n)` with n = `length - 1`, float32, no entry negative.
    """
    model.eval()
    n = windows.shape[1] - 1
    x = model.embed(windows[:, :-1]).detach().requires_grad_()
    logits = model.read_off(model.run_blocks(x, mask_for(mask, n)))
    predicted = logits.gather(-1, windows[:, 1:, None])[..., 0] - logits.mean(-1)  # (b, n, v) -> (b, n)
    rows = [torch.autograd.grad(predicted[:, i].sum(), x, retain_graph=True)[0].norm(dim=-1).mean(0) for i in range(n)]
    return torch.stack(rows)
