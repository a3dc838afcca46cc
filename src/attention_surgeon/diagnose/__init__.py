"""From any attention callable to which faults it has, the first step that differs, and the smallest counterexample."""

from attention_surgeon.diagnose.child import Limits
from attention_surgeon.diagnose.diagnosis import Counterexample, Diagnosis, Difference
from attention_surgeon.diagnose.judge import diagnose
from attention_surgeon.verdict import Mistake, Verdict

__all__ = ["Counterexample", "Diagnosis", "Difference", "Limits", "Mistake", "Verdict", "diagnose"]
