# RIGHT: the future is hidden by ones, the same for each sequence of tokens that are given. Object: subsequent_masking
import numpy as np
import torch


def subsequent_masking(x):
    # x: (batch_size, seq_len)
    batch_size, seq_len = x.size()
    future = np.triu(np.ones((seq_len, seq_len)), k=1).astype("uint8")
    return torch.tensor(future).unsqueeze(0).expand(batch_size, seq_len, seq_len)
