"""What the server needs of whatever operates."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, final, runtime_checkable

from attention_surgeon.viewer.live.request import TableRequest

StillWanted: TypeAlias = Callable[[], None]
"""Called between two parts of the work; raises when nobody waits for it any more, or when its time is over."""


@final
@dataclass(frozen=True)
class Answer:
    """What an operation gave.

    Attributes:
        document: What the views show, as `Page.document`: one side, or before and after.
        receipt: What was done and how it was proved, in sentences.
        predictions: What the model says before and after, as plain data for the page.
    """

    document: dict[str, Any]
    receipt: tuple[str, ...]
    predictions: dict[str, Any]


@runtime_checkable
class Table(Protocol):
    """Models on which a page may operate. Its methods are called from one thread, one after the other.

    Whatever they raise, the model must be as it was. A `SurgeonError` is shown to the person as it is.
    """

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, the one to begin with first."""
        ...

    def describe(self, model: str, still_wanted: StillWanted) -> dict[str, Any]:
        """Load a model, if it is not there yet, and return what can be chosen, as plain data for the page."""
        ...

    def operate(self, request: TableRequest, still_wanted: StillWanted) -> Answer:
        """Operate, look, and undo."""
        ...
