"""Every error this package raises on purpose.

One tree, rooted in `SurgeonError`; each class is also the built-in error a caller would expect, so both
`except SurgeonError` and `except ValueError` work. A message names what was given, what was expected and the
way out. Anything that is not a `SurgeonError` is a bug of ours.

    >>> issubclass(ShapeError, ValueError), issubclass(ArgumentTypeError, TypeError)
    (True, True)
"""


class SurgeonError(Exception):
    """The root: catches everything this package raises on purpose."""


class ShapeError(SurgeonError, ValueError):
    """Two sizes that must agree do not, or an axis is missing."""


class ArgumentTypeError(SurgeonError, TypeError):
    """The object is of the wrong kind: a list where a tensor is needed, a float where a count is needed."""


class DTypeError(SurgeonError, TypeError):
    """A tensor's dtype does not fit: integers where numbers with a fraction are needed, or two dtypes mixed."""


class DeviceError(SurgeonError, ValueError):
    """Tensors of one call live on different devices."""


class MaskError(SurgeonError, ValueError):
    """A mask whose meaning is in doubt, or whose entries mean nothing (NaN, +inf, an integer 2)."""


class OptionError(SurgeonError, ValueError):
    """An option out of its range, an unknown choice, or two options that exclude each other."""


class NonFiniteError(SurgeonError, ValueError):
    """NaN or infinity where a finite number is needed."""


class FileFormatError(SurgeonError, ValueError):
    """A file that is there but cannot be read as what it should be."""


class FileAccessError(SurgeonError, RuntimeError):
    """A file or folder that is missing, in the way, not permitted, or on a full disk."""


class ConversionError(SurgeonError, ValueError):
    """A layer that has no exact counterpart on the other side."""


class UnjudgedError(SurgeonError, ValueError):
    """A target that cannot be called as its contract says, so that nothing can be said about it."""


class LoadError(SurgeonError, ValueError):
    """A file or module that is there but does not hold what was asked for, or no such module."""


class ClusterError(SurgeonError, RuntimeError):
    """Workers that cannot be reached, that were lost, or that cannot do the work."""


class SurgeryError(SurgeonError, RuntimeError):
    """An operation on a model that cannot take effect, or that did not."""


class ContractError(SurgeonError, AssertionError):
    """An attention that is not what its contract asks; an `AssertionError`, so a test that meets it fails.

    Attributes:
        target: What was checked.
        contract: What it was checked against.
    """

    def __init__(self, message: str, *, target: object = None, contract: object = None) -> None:
        """Keep what was checked, so that a test runner can have it diagnosed."""
        super().__init__(message)
        self.target, self.contract = target, contract
