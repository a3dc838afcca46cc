import pytest
import torch

from attention_surgeon.errors import OptionError
from attention_surgeon.masks import causal_mask
from attention_surgeon.models import write_text
from tests.models.small import CORPUS, LENGTH, decoder


def test_the_likeliest_character_is_written_at_temperature_zero():
    model = decoder()
    written = write_text(model, CORPUS.tokenizer, "the cat", 2, temperature=0.0)
    tokens = CORPUS.tokenizer.encode("the cat")
    for character in written:
        number = model(tokens[None], causal_mask(len(tokens)))[0, -1].argmax()
        assert CORPUS.tokenizer.decode(number[None]) == character
        tokens = torch.cat([tokens, number[None]])


def test_it_writes_past_its_context_and_the_same_for_the_same_seed():
    model = decoder()
    once, again, other = (write_text(model, CORPUS.tokenizer, "the", 3 * LENGTH, seed=seed) for seed in (1, 1, 2))
    assert len(once) == 3 * LENGTH
    assert once == again != other


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompt": ""}, "prompt is empty, expected at least one character"),
        ({"prompt": "the dog?"}, r"the text holds '\?g', which is not among the"),
        ({"temperature": -1.0}, "temperature is -1.0, expected a number of at least 0"),
        ({"num_characters": 0}, "num_characters is 0, expected a whole number of at least 1"),
    ],
)
def test_wrong_calls(settings: dict, message: str):
    given = {"prompt": "the", "num_characters": 1, **settings}
    with pytest.raises(OptionError, match=message):
        write_text(decoder(), CORPUS.tokenizer, **given)
