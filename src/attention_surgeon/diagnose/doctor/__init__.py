"""The grader graded: faults that must be named, and right code that must be left alone.

targets      for every kind of target, one with any faults that it can have
healthy      right code in many styles, none of it made of this package's own attention
examine      one question put to the diagnosis, and its answer judged
examination  all of them, by several processes, and the report
"""

from attention_surgeon.diagnose.doctor.examination import NUM_DRAWN, examine
from attention_surgeon.diagnose.doctor.report import Nearest, Outcome, Report, Tally
from attention_surgeon.diagnose.doctor.targets import KINDS, Kind, kind_under, kinds_of, target_with

__all__ = [
    "KINDS",
    "NUM_DRAWN",
    "Kind",
    "Nearest",
    "Outcome",
    "Report",
    "Tally",
    "examine",
    "kind_under",
    "kinds_of",
    "target_with",
]
