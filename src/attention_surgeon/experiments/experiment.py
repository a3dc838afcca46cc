"""What an experiment is: a question, settings, and a function from settings to a result."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, final

from attention_surgeon.experiments.bench import Bench
from attention_surgeon.experiments.result import Result
from attention_surgeon.experiments.settings import change_settings


@final
@dataclass(frozen=True)
class Experiment:
    """One question, answered by measuring.

    Attributes:
        name: As on the command line.
        question: What is asked, in one sentence.
        config: The frozen dataclass of its settings; each has a default, one is `seed`. With `text` and `source` it
            takes a text of the user's.
        run: From settings and a bench to the result.
        quick: Settings with which it takes seconds, to see that it works.
        seconds: How long it takes on two cores, roughly.
        full: Settings of the whole experiment, where the defaults of `config` are less.
        measures: The main ones of its records, the most telling first; empty: all of them, as they come.
    """

    name: str
    question: str
    config: type
    run: Callable[[Any, Bench], Result]
    quick: Mapping[str, Any]
    seconds: int
    full: Mapping[str, Any] = field(default_factory=dict)
    measures: tuple[str, ...] = ()

    @property
    def duration(self) -> str:
        """How long it takes on two cores, in words."""
        return f"{self.seconds} s"

    @property
    def uses_text(self) -> bool:
        """Whether it works on a text."""
        return "text" in self.setting_names()

    def make_config(self, *, is_quick: bool = False, **settings: Any) -> Any:
        """Return the settings: the defaults, the quick ones if wanted, and those given.

        Args:
            is_quick: Whether to begin with the quick ones.
            settings: By name; `language.num_steps` reaches into a group, one value counts as a list of one.

        Raises:
            OptionError: a setting that this experiment does not have, or a value out of its range.
            ArgumentTypeError: a value of another kind.
        """
        return change_settings(self.config(**(self.quick if is_quick else self.full)), settings, self.name)

    def setting_names(self) -> list[str]:
        """Return the names of its settings."""
        return [setting.name for setting in dataclasses.fields(self.config)]


def as_plain(config: Any) -> dict[str, Any]:
    """Return settings as plain data for a file; a text is named by its SHA-256, so that the file stays small."""
    return _without_text(dataclasses.asdict(config))


def _without_text(plain: dict[str, Any]) -> dict[str, Any]:
    """Put the SHA-256 in place of a text, also in groups."""
    return {name: _small(name, value) for name, value in plain.items()}


def _small(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return _without_text(value)
    if name == "text" and value is not None:
        return f"sha256:{hashlib.sha256(value.encode('utf-8', 'surrogatepass')).hexdigest()}"
    return value
