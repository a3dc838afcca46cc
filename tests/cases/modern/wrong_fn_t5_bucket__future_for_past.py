# WRONG t5 bucket: the future is put in buckets, all of the past is bucket 0. Object: relative_position_bucket
import math

import torch


def relative_position_bucket(relative_position, num_buckets=32, max_distance=128):
    """relative_position: key minus query. Half of the buckets hold one distance each, the others grow by a constant factor."""
    distance = torch.max(relative_position, torch.zeros_like(relative_position))
    max_exact = num_buckets // 2
    large = max_exact + (
        torch.log(distance.float().clamp(min=1) / max_exact) / math.log(max_distance / max_exact) * (num_buckets - max_exact)
    ).long()
    large = large.clamp(max=num_buckets - 1)
    return torch.where(distance < max_exact, distance, large)
