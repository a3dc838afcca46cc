# WRONG causal missing: the future of the document is seen. Object: packed_causal_mask
import torch


def packed_causal_mask(doc_ids):
    """doc_ids: (b, n), the number of the document that each token belongs to. True = visible; (b, 1, n, n)."""
    same = doc_ids[:, :, None] == doc_ids[:, None, :]
    n = doc_ids.shape[1]
    return (same)[:, None]
