# RIGHT: the tokens' width and that of its vectors. Object: OneHead
import torch
from torch import nn


class OneHead(nn.Module):
    def __init__(self, model_dim: int, embedding_dim: int):
        super().__init__()
        self.asks = nn.Linear(model_dim, embedding_dim)
        self.answers = nn.Linear(model_dim, embedding_dim)
        self.gives = nn.Linear(model_dim, embedding_dim)
        self.root = embedding_dim**0.5

    def forward(self, queries, keys, values):
        q, k, v = self.asks(queries), self.answers(keys), self.gives(values)
        return torch.softmax(q @ k.transpose(-2, -1) / self.root, dim=-1) @ v
