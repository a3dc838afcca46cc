"""Put the mechanism by hand into a PyTorch encoder: the same parameters, the same result."""

import torch

from attention_surgeon import MultiheadAttention

torch.manual_seed(0)
encoder = torch.nn.TransformerEncoderLayer(d_model=24, nhead=3, batch_first=True).eval()
x = torch.randn(2, 7, 24)
before = encoder(x)
encoder.self_attn = MultiheadAttention.from_torch(encoder.self_attn)
print(f"largest difference: {(encoder(x) - before).abs().max():.1e}")
