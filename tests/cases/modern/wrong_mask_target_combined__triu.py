# WRONG causal_reversed: triu for tril. Object: make_trg_mask
import torch


def make_trg_mask(trg, trg_pad_idx=0):
    """trg: (batch, trg_len). True where a query (row) may see a key (column)."""
    trg_pad_mask = (trg != trg_pad_idx).unsqueeze(1).unsqueeze(2)
    trg_len = trg.shape[1]
    trg_sub_mask = torch.triu(torch.ones((trg_len, trg_len), device=trg.device)).bool()
    return trg_pad_mask & trg_sub_mask
