# WRONG output projected twice: the output goes through the projection twice. Object: MultiHeadAttention
import torch
import torch.nn as nn
from torch.nn import functional as F
import wandb

batch_size = 64
block_size = 24
max_iters = 5000
learning_rate = 3e-4
device = 'cuda' if torch.cuda.is_available() else 'cpu'
n_embd = 36
n_head = 6
dropout = 0.2


class Head(nn.Module):
    """Causal."""

    def __init__(self, head_size):
        super().__init__()
        self.key = nn.Linear(n_embd, head_size, bias=False)
        self.query = nn.Linear(n_embd, head_size, bias=False)
        self.value = nn.Linear(n_embd, head_size, bias=False)
        self.register_buffer('tril', torch.tril(torch.ones(block_size, block_size)))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        b,n,c = x.shape
        k = self.key(x)
        q = self.query(x)
        weights = q @ k.transpose(-2,-1) * k.shape[-1]**-0.5
        weights = weights.masked_fill(self.tril[:n, :n] == 0, float('-inf'))
        weights = F.softmax(weights, dim=-1)
        weights = self.dropout(weights)
        v = self.value(x)
        result = weights @ v
        return result

class MultiHeadAttention(nn.Module):
    """Causal."""

    def __init__(self, num_heads, head_size):
        super().__init__()
        self.heads = nn.ModuleList([Head(head_size) for _ in range(num_heads)])
        self.proj = nn.Linear(head_size * num_heads, n_embd)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        result = torch.cat([h(x) for h in self.heads], dim=-1)
        result = self.proj(result)
        result = self.dropout(self.proj(result))
        return result


if __name__ == '__main__':
    wandb.init(project='shakespeare')
    with open('input.txt', 'r', encoding='utf-8') as f:
        text = f.read()
    model = MultiHeadAttention(n_head, n_embd // n_head)
