"""Running somebody's file in a process of its own, so that nothing it does can hurt."""

from attention_surgeon.diagnose.child.limits import Limits
from attention_surgeon.diagnose.child.outcome import Jsonable, Outcome
from attention_surgeon.diagnose.child.run import run_in_child

__all__ = ["Jsonable", "Limits", "Outcome", "run_in_child"]
