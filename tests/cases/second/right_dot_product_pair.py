# RIGHT: dot-product attention after Luong, which divides by nothing. Object: DotProductAttention
import torch
import torch.nn as nn


class DotProductAttention(nn.Module):
    """A decoder's states look at those of an encoder: the products of the vectors as they are, no weights of its own."""

    def forward(self, decoder_states, encoder_states):
        products = torch.einsum("btd,bsd->bts", decoder_states, encoder_states)
        weights = torch.softmax(products, dim=-1)
        return torch.einsum("bts,bsd->btd", weights, encoder_states), weights
