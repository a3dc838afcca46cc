"""Bugs for `ops`."""

from tests.mutants.mutant import Mutant

OPS_BUGS = [
    Mutant("softmax over the queries", "ops/attention.py", "softmax(scores, dim=-1)", "softmax(scores, dim=-2)"),
    Mutant("no scale", "ops/attention.py", "scores = scores / math.sqrt(given.key_size)", "pass"),
    Mutant("scale by d_k, not its root", "ops/attention.py", "math.sqrt(given.key_size)", "given.key_size"),
    Mutant("scale multiplied", "ops/attention.py", "scores / math.sqrt", "scores * math.sqrt"),
    Mutant("scale by √d_v", "ops/attention.py", "math.sqrt(given.key_size)", "math.sqrt(given.value.shape[-1])"),
    Mutant("scale by √n_k", "ops/attention.py", "math.sqrt(given.key_size)", "math.sqrt(given.key.shape[-2])"),
    Mutant("scale switch inverted", "ops/attention.py", "    if scale:", "    if not scale:"),
    Mutant("mask inverted", "ops/attention.py", "masked_fill(~given.allowed", "masked_fill(given.allowed"),
    Mutant("mask ignored", "ops/attention.py", "if given.allowed is not None:", "if False:"),
    Mutant("mask fills with 0", "ops/attention.py", 'float("-inf")', "0.0"),
    Mutant("mask fills with -10", "ops/attention.py", 'float("-inf")', "-10.0"),
    Mutant("bias ignored", "ops/attention.py", "if given.bias is not None:", "if False:"),
    Mutant("bias subtracted", "ops/attention.py", "scores + given.bias", "scores - given.bias"),
    Mutant(
        "bias before the scale",
        "ops/attention.py",
        "scores + given.bias",
        "scores + given.bias / math.sqrt(given.key_size)",
    ),
    Mutant("keys summed as values", "ops/attention.py", "weights @ given.value ", "weights @ given.key "),
    Mutant("output in another dtype", "ops/attention.py", "output.to(Q.dtype)", "output"),
    Mutant("weights cut from the graph", "ops/attention.py", "weights.to(Q.dtype)", "weights.detach().to(Q.dtype)"),
    Mutant(
        "no maximum subtracted", "ops/softmax.py", "torch.exp(working - _safe_peak(working, dim))", "torch.exp(working)"
    ),
    Mutant("softmax plus one", "ops/softmax.py", "total.masked_fill(total == 0, 1.0)", "(total + 1.0)"),
    Mutant("empty row divides by zero", "ops/softmax.py", "total.masked_fill(total == 0, 1.0)", "total"),
    Mutant(
        "gradient through the maximum lost", "ops/softmax.py", "exponentials / total", "exponentials / total.detach()"
    ),
    Mutant("log-sum-exp forgets the maximum", "ops/softmax.py", "(peak.squeeze(dim) + logs)", "logs"),
    Mutant(
        "sums in the input's precision",
        "ops/precision.py",
        "torch.float32: torch.float64",
        "torch.float32: torch.float32",
    ),
    Mutant(
        "bfloat16 sums in bfloat16",
        "ops/precision.py",
        "torch.bfloat16: torch.float32",
        "torch.bfloat16: torch.bfloat16",
    ),
    Mutant("bias hides what it keeps", "ops/operands.py", "return allowed, mask", "return ~allowed, mask"),
    Mutant(
        "heads split without transpose",
        "ops/heads.py",
        "apart.transpose(-3, -2)",
        "apart.reshape(*apart.shape[:-3], apart.shape[-2], apart.shape[-3], apart.shape[-1])",
    ),
    Mutant(
        "heads merged without transpose",
        "ops/heads.py",
        "x.transpose(-3, -2).flatten(-2)",
        "x.reshape(*x.shape[:-3], x.shape[-2], -1)",
    ),
    Mutant(
        "shared heads tiled",
        "ops/heads.py",
        "x.unsqueeze(-3).expand(*x.shape[:-2], num_heads // shared, *x.shape[-2:])",
        "x.unsqueeze(-4).expand(*x.shape[:-3], num_heads // shared, *x.shape[-3:])",
    ),
    Mutant("dropout not rescaled", "ops/dropout.py", ", generator=generator) / (1 - p)", ", generator=generator)"),
    Mutant("dropout keeps with probability p", "ops/dropout.py", "bernoulli_(1 - p,", "bernoulli_(p,"),
    Mutant("top-k keeps the worst", "ops/topk.py", "descending=True", "descending=False"),
    Mutant("top-k counts hidden keys", "ops/topk.py", "masked.sort(", "scaled.sort("),
    Mutant("top-k keeps one too many", "ops/topk.py", "indices[..., :k]", "indices[..., : k + 1]"),
    Mutant("softmax Jacobian without its average", "ops/gradients.py", "p * (g - average)", "p * g"),
    Mutant("dK without the scale", "ops/gradients.py", "given.query * factor", "given.query"),
    Mutant(
        "dV with weights not transposed back",
        "ops/gradients.py",
        "weights.transpose(-2, -1) @ grad_output",
        "weights.transpose(-2, -1).softmax(-1) @ grad_output",
    ),
    Mutant("gradient of the weights ignored", "ops/gradients.py", "if grad_weights is not None:", "if False:"),
    Mutant("gradient not summed over the batch", "ops/gradients.py", "d_key.sum_to_size(K.shape)", "d_key"),
    Mutant(
        "the mechanism mixes up two steps",
        "ops/steps.py",
        "masked = self.mask(scaled, operands)",
        "masked = self.mask(scores, operands)",
    ),
    Mutant(
        "the mechanism's mask inverted", "ops/steps.py", "masked_fill(~operands.allowed", "masked_fill(operands.allowed"
    ),
]
