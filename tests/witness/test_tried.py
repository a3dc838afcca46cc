"""What was called is said, and nothing of it is said to be untried."""

from pathlib import Path

import pytest

from attention_surgeon.calls import Plan, find_plan
from attention_surgeon.diagnose.load import load_target
from attention_surgeon.diagnose.observed import words_of
from attention_surgeon.witness import Observation, observe

MODERN = Path(__file__).parents[1] / "cases" / "modern"


def observed(name: str, target: str) -> Observation:
    loaded = load_target(str(MODERN / f"{name}.py"), target).object
    plan = find_plan(loaded, source=words_of(loaded))
    assert isinstance(plan, Plan)
    return observe(plan, name=target, says=words_of(loaded), is_quick=True)


@pytest.mark.parametrize(
    ("name", "target", "argument"),
    [
        ("right_bart_cross_cache", "BartAttention", "past_key_value"),
        ("right_gpt_fast_input_pos", "Attention", "input_pos"),
        ("wrong_clip_text__causal_overwritten", "CLIPAttention", "attention_mask"),
        ("right_clip_text", "CLIPAttention", "attention_mask and causal_attention_mask"),
    ],
)
def test_what_was_given_is_not_untried(name: str, target: str, argument: str):
    found = observed(name, target)
    assert any(words.startswith(f"{argument}: ") for words in found.tried)
    assert argument not in found.untried
