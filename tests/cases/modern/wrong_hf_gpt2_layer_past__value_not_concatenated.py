# WRONG cache: past values are put before the keys of the past only in pairs. Object: GPT2Attention
import torch
from torch import nn


class Conv1D(nn.Module):
    """Like a Linear layer, but the weights are transposed."""

    def __init__(self, nf, nx):
        super().__init__()
        self.nf = nf
        self.weight = nn.Parameter(torch.randn(nx, nf) * 0.02)
        self.bias = nn.Parameter(torch.zeros(nf))

    def forward(self, x):
        shape = x.size()[:-1] + (self.nf,)
        x = torch.addmm(self.bias, x.reshape(-1, x.size(-1)), self.weight)
        return x.view(shape)


class GPT2Config:
    def __init__(self, hidden_size=24, num_attention_heads=3, max_position_embeddings=32, scale_attn_weights=True):
        self.hidden_size = hidden_size
        self.num_attention_heads = num_attention_heads
        self.max_position_embeddings = max_position_embeddings
        self.scale_attn_weights = scale_attn_weights


class GPT2Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        max_positions = config.max_position_embeddings
        self.register_buffer(
            "bias", torch.tril(torch.ones((max_positions, max_positions), dtype=torch.bool)).view(1, 1, max_positions, max_positions)
        )
        self.embed_dim = config.hidden_size
        self.num_heads = config.num_attention_heads
        self.head_dim = self.embed_dim // self.num_heads
        self.split_size = self.embed_dim
        self.scale_attn_weights = config.scale_attn_weights
        self.c_attn = Conv1D(3 * self.embed_dim, self.embed_dim)
        self.c_proj = Conv1D(self.embed_dim, self.embed_dim)

    def _attn(self, query, key, value, attention_mask=None):
        weights = torch.matmul(query, key.transpose(-1, -2))
        if self.scale_attn_weights:
            weights = weights / value.size(-1) ** 0.5
        n_q, n_k = query.size(-2), key.size(-2)
        visible = self.bias[:, :, n_k - n_q : n_k, :n_k]
        lowest = torch.finfo(weights.dtype).min
        weights = torch.where(visible, weights, lowest)
        if attention_mask is not None:
            weights = weights + attention_mask
        weights = nn.functional.softmax(weights, dim=-1)
        return torch.matmul(weights, value), weights

    def _split_heads(self, tensor):
        return tensor.view(tensor.size()[:-1] + (self.num_heads, self.head_dim)).permute(0, 2, 1, 3)

    def forward(self, hidden_states, layer_past=None, attention_mask=None, use_cache=False, output_attentions=False):
        """attention_mask: (b, 1, 1, n_k), added: 0 keeps, finfo.min hides."""
        query, key, value = self.c_attn(hidden_states).split(self.split_size, dim=2)
        query, key, value = self._split_heads(query), self._split_heads(key), self._split_heads(value)
        if layer_past is not None:
            past_key, past_value = layer_past
            key = torch.cat((past_key, key), dim=-2)
            value = torch.cat((past_key, value), dim=-2)
        present = (key, value) if use_cache else None
        mixed, weights = self._attn(query, key, value, attention_mask)
        mixed = mixed.permute(0, 2, 1, 3).contiguous().view(hidden_states.shape)
        outputs = (self.c_proj(mixed), present)
        if output_attentions:
            outputs += (weights,)
        return outputs
