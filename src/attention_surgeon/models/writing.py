"""Let a model write: one character after the other, each drawn from what the model expects."""

import torch
from torch import Tensor

from attention_surgeon.errors import OptionError
from attention_surgeon.masks import causal_mask
from attention_surgeon.models.characters import CharacterTokenizer
from attention_surgeon.models.decoder import Decoder, MaskBuilder, mask_for
from attention_surgeon.require import require_count


@torch.no_grad()
def write_text(
    model: Decoder,
    tokenizer: CharacterTokenizer,
    prompt: str,
    num_characters: int,
    *,
    mask: MaskBuilder = causal_mask,
    temperature: float = 0.8,
    seed: int = 0,
) -> str:
    """Return what the model writes behind `prompt`, without the prompt.

    Args:
        model: A decoder.
        tokenizer: The one it was trained with.
        prompt: At least one character.
        num_characters: How many to write.
        mask: Who may see whom among the characters that are there; there is no future to see.
        temperature: Below 1 the likelier becomes likelier still; 0 always takes the likeliest.
        seed: Draw of the characters.

    Raises:
        ArgumentTypeError, OptionError: an empty prompt, a character the tokenizer does not know, a negative
            temperature.
    """
    require_count(num_characters, "num_characters", "write_text")
    if not prompt:
        raise OptionError("write_text: prompt is empty, expected at least one character to begin with.")
    if not temperature >= 0:
        raise OptionError(f"write_text: temperature is {temperature}, expected a number of at least 0.")
    model.eval()
    drawn = torch.Generator().manual_seed(seed)
    tokens = tokenizer.encode(prompt)
    for _ in range(num_characters):
        seen = tokens[-model.config.context_len :]
        logits = model(seen[None], mask_for(mask, len(seen)))[0, -1]
        tokens = torch.cat([tokens, _draw(logits, temperature, drawn)])
    return tokenizer.decode(tokens[len(prompt) :])


def _draw(logits: Tensor, temperature: float, drawn: torch.Generator) -> Tensor:
    if temperature == 0:
        return logits.argmax()[None]
    return torch.multinomial(torch.softmax(logits.double() / temperature, dim=-1), 1, generator=drawn)
