"""A line of somebody's file that stopped with an error: where, what Python says, what it means."""

from attention_surgeon.diagnose.crash.crash import Crash, crash_in_call, crash_of, last_line_of

__all__ = ["Crash", "crash_in_call", "crash_of", "last_line_of"]
