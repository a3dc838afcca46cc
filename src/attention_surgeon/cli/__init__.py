"""The command `surgeon`. Nothing heavy is loaded before a command needs it, so `surgeon --help` answers at once."""

from attention_surgeon.cli.app import main

__all__ = ["main"]
