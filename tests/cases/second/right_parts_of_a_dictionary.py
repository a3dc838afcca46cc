# RIGHT: two classes read different keys of one part of the configuration. Object: Whole
from torch import nn


class Inner(nn.Module):
    def __init__(self, config, vis):
        super().__init__()
        self.vis, self.heads = vis, config.transformer["num_heads"]
        self.size = config.hidden_size // self.heads
        self.packed = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.out = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = (part.view(b, n, self.heads, self.size).transpose(1, 2) for part in self.packed(x).chunk(3, -1))
        weights = (q @ k.transpose(-1, -2) * self.size**-0.5).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(b, n, d)), weights if self.vis else None


class Behind(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.wide = nn.Linear(config.hidden_size, config.transformer["mlp_dim"])
        self.back = nn.Linear(config.transformer["mlp_dim"], config.hidden_size)

    def forward(self, x):
        return self.back(self.wide(x).relu())


class Whole(nn.Module):
    def __init__(self, config, vis):
        super().__init__()
        self.before, self.between = nn.LayerNorm(config.hidden_size), nn.LayerNorm(config.hidden_size)
        self.attn, self.behind = Inner(config, vis), Behind(config)

    def forward(self, x):
        mixed, weights = self.attn(self.before(x))
        x = x + mixed
        return x + self.behind(self.between(x)), weights
