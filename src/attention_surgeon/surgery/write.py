"""A text that a model writes on, the likeliest token at each step."""

from typing import Any

import torch
from torch import Tensor, nn

from attention_surgeon.errors import OptionError, SurgeryError
from attention_surgeon.require import require_count
from attention_surgeon.surgery.inputs import TextLike, call_model, context_length, prepare, read_ids, writes
from attention_surgeon.surgery.layers import is_encoder_decoder, model_name


@torch.no_grad()
def written(model: nn.Module, text: TextLike, count: int, *, tokenizer: Any = None) -> Tensor:
    """Return the ids of a text and of the tokens that a causal model writes behind it, `(n + count,)`.

    The row of a position in a capture of all of them is what the step that wrote the next one saw.

    Args:
        model: A model that writes, in evaluation mode.
        text: A text or token ids.
        count: How many tokens to write; fewer where the model's context ends.
        tokenizer: Needed for a text.

    Raises:
        SurgeryError: the model does not write, or reads and writes with two stacks.
        ArgumentTypeError, OptionError, ShapeError: no text, no count, a text that leaves no room.

    >>> from attention_surgeon.models import Decoder, DecoderConfig
    >>> model = Decoder(DecoderConfig(vocabulary_size=11)).eval()
    >>> written(model, [3, 1, 4], 2).shape
    torch.Size([5])
    """
    require_count(count, "count", "written")
    if not writes(model) or is_encoder_decoder(model):
        raise SurgeryError(f"{model_name(model)} does not write on behind a text; a causal model does.")
    ids, longest = read_ids(text, tokenizer), context_length(model)
    room = count if longest is None else min(count, longest - ids.shape[1])
    if room < 1:
        raise OptionError(f"written: the text has {ids.shape[1]} tokens, which leaves no room in {longest} positions.")
    for _ in range(room):
        logits, _ = call_model(model, prepare(model, ids).arguments)
        assert logits is not None
        ids = torch.cat([ids, logits[:, -1:].argmax(-1).to(ids.device)], dim=1)
    return ids[0]
