"""Task 3a and 3c: take a part out and measure what happens. Predict first, then run: python ablations.py"""

import torch

NUM_KEYS = 4  # the numbers depend on it: with 64 keys even a scaled row has no weight near 0.5
NUM_DRAWS = 4000
NUM_TOKENS = 6


def experiment_scaling_factor(d_k_values=(16, 64, 256, 1024)):
    """Return a list of records, one for each width with the scale and one without.

    Draw NUM_DRAWS times a query [1, d_k] and NUM_KEYS keys [NUM_KEYS, d_k], all entries normal, and measure:
    {"d_k": ..., "scaled": True or False,
     "max_weight": mean over the draws of the largest weight (1 = saturated),
     "entropy": mean entropy of the weights in nats,
     "gradient": median length of the gradient of sum(weights * wanted) at the scores}
    where `wanted` is a normal number for each weight: what a loss would like the weights to be.
    """
    records = []
    for d_k in d_k_values:
        for scaled in (True, False):
            Q = torch.randn(NUM_DRAWS, 1, d_k)
            K = torch.randn(NUM_DRAWS, NUM_KEYS, d_k)
            wanted = torch.randn(NUM_DRAWS, 1, NUM_KEYS)
            scores = Q @ K.transpose(-2, -1)
            if scaled:
                scores = scores / d_k**0.5
            scores.requires_grad_()
            weights = torch.softmax(scores, dim=-1)
            (gradient,) = torch.autograd.grad((weights * wanted).sum(), scores)
            entropy = torch.special.entr(weights).sum(-1)  # entr(w) = -w log w, and 0 for w = 0
            records.append(
                {
                    "d_k": d_k,
                    "scaled": scaled,
                    "max_weight": weights.amax(-1).mean().item(),
                    "entropy": entropy.mean().item(),
                    "gradient": gradient.norm(dim=-1).median().item(),
                }
            )
    return records


def compare_masking():
    """Return where the weight goes under three masks, for random scores of NUM_TOKENS tokens:

    {"causal": {"past": ..., "self": ..., "future": ...}, "none": {...}, "reverse": {...}}
    Each number is a share: the weight on keys before the query, on its own place, after it; averaged over queries and
    draws.
    """
    scores = torch.randn(NUM_DRAWS, NUM_TOKENS, NUM_TOKENS)
    everywhere = torch.ones(NUM_TOKENS, NUM_TOKENS, dtype=torch.bool)
    masks = {"causal": everywhere.tril(), "none": everywhere, "reverse": everywhere.triu()}
    shares = {}
    for name, mask in masks.items():
        weights = torch.softmax(scores.masked_fill(~mask, float("-inf")), dim=-1)
        shares[name] = {
            "past": weights.tril(diagonal=-1).sum(-1).mean().item(),
            "self": weights.diagonal(dim1=-2, dim2=-1).mean().item(),
            "future": weights.triu(diagonal=1).sum(-1).mean().item(),
        }
    return shares


if __name__ == "__main__":
    torch.manual_seed(0)
    print(" d_k  scale  max weight  entropy  gradient")
    for r in experiment_scaling_factor():
        scale = "yes" if r["scaled"] else "no"
        print(f"{r['d_k']:>4}  {scale:>5}  {r['max_weight']:>10.3f}  {r['entropy']:>7.3f}  {r['gradient']:>8.1e}")
    print()
    print("mask        past   self  future")
    for name, share in compare_masking().items():
        print(f"{name:<9} {share['past']:>6.3f} {share['self']:>6.3f}  {share['future']:>6.3f}")
