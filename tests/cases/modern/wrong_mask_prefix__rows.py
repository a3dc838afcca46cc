# WRONG prefix: the rows of the prefix see everything. Object: prefix_lm_mask
import torch


def prefix_lm_mask(seq_len, prefix_len):
    """True = attend. Tokens of the prefix see the whole prefix; the others see all before them."""
    mask = torch.tril(torch.ones(seq_len, seq_len)).bool()
    mask[:prefix_len, :] = True
    return mask
