"""Many draws as four numbers: the mean, the median, and what eight of ten lie between."""

import torch
from jaxtyping import Float
from torch import Tensor


def spread(name: str, values: Float[Tensor, " draws"]) -> dict[str, float]:
    """Return the mean as `name`, the median as `name_median`, 10th and 90th percentile as `name_low`, `name_high`.

    >>> spread("x", torch.arange(11.0))
    {'x': 5.0, 'x_low': 1.0, 'x_median': 5.0, 'x_high': 9.0}
    """
    low, median, high = torch.quantile(values, torch.tensor([0.1, 0.5, 0.9], dtype=values.dtype)).tolist()
    return {name: values.mean().item(), f"{name}_low": low, f"{name}_median": median, f"{name}_high": high}
