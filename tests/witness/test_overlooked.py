"""One thing that is right, or only odd, does not hide another that is wrong."""

from pathlib import Path

import pytest

from attention_surgeon.calls import Plan, find_plan
from attention_surgeon.diagnose.load import load_target
from attention_surgeon.diagnose.observed import words_of
from attention_surgeon.witness import observe

MODERN = Path(__file__).parents[1] / "cases" / "modern"


@pytest.mark.parametrize(
    ("case", "target", "before", "after", "fault"),
    [
        (
            "gpt_fast_input_pos__tiled",
            "Attention",
            "k = k.repeat(1, self.n_head // self.n_local_heads, 1, 1)",
            "k = k.repeat_interleave(self.n_head // self.n_local_heads, dim=1)",
            "heads_tiled",
        ),
        ("attn_residual_gate_block__times", "SelfAttentionBlock", "@ v)", "@ v / 2.0)", "residual_multiplied"),
    ],
)
def test_the_rest_is_still_seen(tmp_path: Path, case: str, target: str, before: str, after: str, fault: str):
    text = (MODERN / f"wrong_{case}.py").read_text(encoding="utf-8")
    assert before in text
    file = tmp_path / f"overlooked_{case}.py"
    file.write_text(text.replace(before, after), encoding="utf-8")
    loaded = load_target(str(file), target).object
    plan = find_plan(loaded, source=words_of(loaded))
    assert isinstance(plan, Plan)
    found = observe(plan, name=target, says=words_of(loaded), is_quick=True)
    assert [finding.fault for finding in found.findings] == [fault]
