# WRONG diagonal: the token itself is hidden. Object: subsequent_masking
import numpy as np
import torch


def subsequent_masking(x):
    # x: (batch_size, seq_len)
    batch_size, seq_len = x.size()
    future = np.triu(np.ones((seq_len, seq_len)), k=0).astype("uint8")
    return torch.tensor(future).unsqueeze(0).expand(batch_size, seq_len, seq_len)
