# RIGHT: padded keys are True, for as many queries as are asked for. Object: pad_masking
import torch

PAD = 0


def pad_masking(x: torch.Tensor, target_len: int) -> torch.Tensor:
    batch_size, seq_len = x.size()
    return (x == PAD).unsqueeze(1).expand(batch_size, target_len, seq_len)
