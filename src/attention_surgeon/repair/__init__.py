"""From a wrong attention to the smallest change that makes it right, verified, and to the test that keeps it so."""

from attention_surgeon.repair.fix import Repair, fix_file

__all__ = ["Repair", "fix_file"]
