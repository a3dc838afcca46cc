# WRONG valid_lens: the first padded token counts as real. Object: lengths_to_padding_mask
import torch


def lengths_to_padding_mask(lens):
    """lens: (b,). True for padding, as key_padding_mask of nn.MultiheadAttention wants it."""
    bsz, max_lens = lens.size(0), int(torch.max(lens).item())
    mask = torch.arange(max_lens).to(lens.device).view(1, max_lens)
    mask = mask.expand(bsz, -1) > lens.view(bsz, 1).expand(-1, max_lens)
    return mask
