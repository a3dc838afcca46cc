# WRONG scale_by_model_width: in the attention of the block. Object: Block
import math

import torch
from torch import nn


class SelfAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.heads, self.width = config["num_attention_heads"], config["hidden_size"]
        self.head_size = self.width // self.heads
        self.qkv = nn.Linear(self.width, 3 * self.width, bias=config["qkv_bias"])
        self.out = nn.Linear(self.width, self.width)
        self.dropout = nn.Dropout(config["attention_probs_dropout_prob"])

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = (p.view(b, n, self.heads, self.head_size).transpose(1, 2) for p in self.qkv(x).chunk(3, dim=-1))
        probs = self.dropout(torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(self.width), dim=-1))
        return self.out((probs @ v).transpose(1, 2).contiguous().view(b, n, self.width)), probs


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.up, self.down = (
            nn.Linear(config["hidden_size"], config["intermediate_size"]),
            nn.Linear(config["intermediate_size"], config["hidden_size"]),
        )

    def forward(self, x):
        return self.down(torch.relu(self.up(x)))


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.attention, self.mlp = SelfAttention(config), MLP(config=config)
        self.norm_1, self.norm_2 = nn.LayerNorm(config["hidden_size"]), nn.LayerNorm(config["hidden_size"])

    def forward(self, x):
        x = x + self.attention(self.norm_1(x))[0]
        return x + self.mlp(self.norm_2(x))
