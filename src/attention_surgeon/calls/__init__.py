"""How a target is made and called: found, not assumed."""

from attention_surgeon.calls.find import find_plan
from attention_surgeon.calls.plan import Argument, Plan, Refusal, Sizes

__all__ = ["Argument", "Plan", "Refusal", "Sizes", "find_plan"]
