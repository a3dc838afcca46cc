# RIGHT: fn_segment_mask. Object: segment_mask
import torch


def segment_mask(segment_ids):
    return segment_ids.unsqueeze(-1) == segment_ids.unsqueeze(-2)
