"""Which dtype the sums run in: one precision above the input's, rounded once at the end.

A float32 score of size 10⁴ is only known to about 10⁻³, and the softmax turns that into a relative error of 10⁻³
in every weight. Summing one precision up makes the result correct to its last bit, so the readable version
can serve as the oracle for every faster one.
"""

import torch

from attention_surgeon.errors import DTypeError

_ONE_UP = {
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
    torch.float32: torch.float64,
    torch.float64: torch.float64,
}


def working_dtype(dtype: torch.dtype, device: torch.device | str = "cpu") -> torch.dtype:
    """Return the dtype in which `ops` computes for inputs of `dtype`.

    float16 and bfloat16 work in float32, float32 in float64, float64 in itself. Apple's `mps` device has no
    float64, so there float32 stays float32.

    Raises:
        DTypeError: none of these four (float8, which PyTorch can store but not add up).

    >>> working_dtype(torch.bfloat16), working_dtype(torch.float32)
    (torch.float32, torch.float64)
    """
    if torch.device(device).type == "mps":
        return torch.float32
    if dtype not in _ONE_UP:
        names = ", ".join(str(known).removeprefix("torch.") for known in _ONE_UP)
        raise DTypeError(f"no sums in {dtype}: the dtypes to compute in are {names}; convert with .to(torch.float32).")
    return _ONE_UP[dtype]
