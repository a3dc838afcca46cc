"""The contract of an attention function: `f(Q, K, V[, mask][, scale]) -> output` or `(output, weights)`."""

from dataclasses import dataclass
from typing import Any, final

from attention_surgeon.ops import Circuit
from attention_surgeon.testing.contract import Conduct
from attention_surgeon.testing.function_conduct import conduct_of
from attention_surgeon.testing.function_spec import FunctionSpec
from attention_surgeon.testing.function_subject import AskableFunction
from attention_surgeon.testing.make import make_function


@final
class FunctionSubject(AskableFunction):
    """A function bound to what is asked of it."""

    def conduct(self, circuit: Circuit | None) -> list[Conduct]:
        """Look at extremes, gradients, dtypes and state."""
        return conduct_of(self, circuit)


@final
@dataclass(frozen=True)
class FunctionContract(FunctionSpec):
    """Attention as a function, in torch or NumPy; the options are those of `FunctionSpec`."""

    def bind(self, target: Any) -> "FunctionSubject":
        """Find the library, the layout and the kind of mask that the function takes.

        Raises:
            UnjudgedError: it answers no call, with the error of the most usual one.
        """
        return FunctionSubject(self, make_function(target))
