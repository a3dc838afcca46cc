# WRONG scale_missing: nothing divides the scores. Object: OfFields
from dataclasses import dataclass

from torch import nn


@dataclass
class ModelConfig:
    n_embd: int = 4096
    n_head: int = 16

    @property
    def hidden_size(self):
        return self.n_embd

    @property
    def num_attention_heads(self):
        return self.n_head


class OfFields(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.heads = config.num_attention_heads
        self.size = config.hidden_size // self.heads
        self.packed = nn.Linear(config.hidden_size, 3 * config.hidden_size, bias=False)
        self.out = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = (part.view(b, n, self.heads, self.size).transpose(1, 2) for part in self.packed(x).chunk(3, -1))
        weights = (q @ k.transpose(-1, -2)).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(b, n, d))
