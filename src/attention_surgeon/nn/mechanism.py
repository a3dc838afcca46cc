"""What every layer does with its mechanism: drop weights while training, and say which steps are not the usual."""

from torch import Tensor

from attention_surgeon.errors import ArgumentTypeError
from attention_surgeon.ops import Mechanism, Operands, attention_dropout
from attention_surgeon.require import kind_of


def with_dropout(mechanism: Mechanism, p: float, caller: str) -> Mechanism:
    """Return `mechanism` with attention dropout at the end of its normalise step, whatever that step is.

    Args:
        mechanism: Any mechanism; a replaced step stays replaced.
        p: Probability of dropping a weight, in [0, 1]; 0 returns the mechanism itself.
        caller: Name that starts a message.

    Raises:
        ArgumentTypeError, OptionError: no mechanism; no number in [0, 1].

    >>> import torch
    >>> everything_dropped = with_dropout(Mechanism(), 1.0, "example")
    >>> everything_dropped(torch.ones(1, 2), torch.eye(2), torch.eye(2))[1]
    tensor([[0., 0.]])
    """
    require_mechanism(mechanism, caller)
    if p == 0:
        return mechanism
    normalise = mechanism.normalise

    def normalise_and_drop(masked: Tensor, operands: Operands) -> Tensor:
        return attention_dropout(normalise(masked, operands), p)

    return mechanism.replace(normalise=normalise_and_drop)


def require_mechanism(mechanism: object, caller: str) -> None:
    """Refuse what is no mechanism.

    Raises:
        ArgumentTypeError: with how one step is replaced.
    """
    if not isinstance(mechanism, Mechanism):
        raise ArgumentTypeError(
            f"{caller}: mechanism is {kind_of(mechanism)}, expected an ops.Mechanism; "
            f"one step is replaced with Mechanism(scale=leave_unscaled)."
        )


def changed_steps(mechanism: Mechanism) -> list[str]:
    """Return every step that is not the usual one, as text.

    >>> from attention_surgeon.ops import leave_unscaled
    >>> changed_steps(Mechanism(scale=leave_unscaled))
    ['scale=leave_unscaled']
    """
    usual = Mechanism()
    names = mechanism.step_names()
    return [f"{step}={names[step]}" for step in names if getattr(mechanism, step) is not getattr(usual, step)]
