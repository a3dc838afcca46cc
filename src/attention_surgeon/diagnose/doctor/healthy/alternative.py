"""A right implementation: what it is, what it is judged as, and how it is put together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from attention_surgeon.testing import Contract, make_contract


@dataclass(frozen=True)
class Alternative:
    """One right implementation.

    Attributes:
        contract: Name of its contract.
        name: How it is put together: `@, divided, keep, -1e9, softmax`.
        target: What is judged.
        options: Of the contract.
    """

    contract: str
    name: str
    target: Callable[..., Any]
    options: Mapping[str, Any] = field(default_factory=dict)

    def make_contract(self) -> Contract:
        """Return the contract, with its options."""
        return make_contract(self.contract, **self.options)
