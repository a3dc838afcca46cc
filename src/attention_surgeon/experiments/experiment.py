"""What an experiment is: a question, settings, and a function from settings to a result."""

import dataclasses
import difflib
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, final

from attention_surgeon.errors import OptionError
from attention_surgeon.experiments.bench import Bench
from attention_surgeon.experiments.result import Result


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
    """

    name: str
    question: str
    config: type
    run: Callable[[Any, Bench], Result]
    quick: Mapping[str, Any]
    seconds: int
    full: Mapping[str, Any] = field(default_factory=dict)

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

        Raises:
            OptionError: a setting that this experiment does not have, or a value out of its range.
        """
        for name in settings:
            if name not in self.setting_names():
                raise OptionError(
                    f"{self.name} has no setting {name!r}; it has {', '.join(self.setting_names())}."
                    f"{suggestion(name, self.setting_names())}"
                )
        return self.config(**{**(self.quick if is_quick else self.full), **settings})

    def setting_names(self) -> list[str]:
        """Return the names of its settings."""
        return [setting.name for setting in dataclasses.fields(self.config)]


def as_plain(config: Any) -> dict[str, Any]:
    """Return settings as plain data for a file; a text is named by its SHA-256, so that the file stays small."""
    plain = dataclasses.asdict(config)
    if plain.get("text") is not None:
        plain["text"] = f"sha256:{hashlib.sha256(plain['text'].encode('utf-8', 'surrogatepass')).hexdigest()}"
    return plain


def suggestion(given: str, known: Iterable[str]) -> str:
    """Return ` Did you mean ...?` where something known is near to what was given, else nothing.

    >>> suggestion("maskin", ["masking", "scaling"])
    ' Did you mean masking?'
    """
    near = difflib.get_close_matches(given, list(known), n=1)
    return f" Did you mean {near[0]}?" if near else ""
