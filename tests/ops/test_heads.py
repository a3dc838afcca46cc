import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attention_surgeon.errors import ShapeError
from attention_surgeon.ops import merge_heads, share_heads, split_heads


def test_split_keeps_each_position_whole():
    x = torch.arange(2 * 5 * 6).reshape(2, 5, 6)
    heads = split_heads(x, 3)
    assert heads.shape == (2, 3, 5, 2)
    for head in range(3):
        assert torch.equal(heads[:, head], x[:, :, 2 * head : 2 * head + 2])


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5), st.integers(0, 3))
def test_merge_undoes_split(num_heads: int, n: int, size: int, batch: int):
    x = torch.randn(batch, n, num_heads * size)
    assert torch.equal(merge_heads(split_heads(x, num_heads)), x)
    assert torch.equal(merge_heads(split_heads(x[0] if batch else x, num_heads)), x[0] if batch else x)


def test_sharing_repeats_each_head_beside_itself():
    x = torch.tensor([10.0, 20.0]).reshape(1, 2, 1, 1).expand(3, 2, 5, 7)
    shared = share_heads(x, 6)
    assert shared.shape == (3, 6, 5, 7)
    assert shared[0, :, 0, 0].tolist() == [10, 10, 10, 20, 20, 20]
    assert torch.equal(share_heads(x, 2), x)


def test_the_gradient_of_a_shared_head_adds_up():
    x = torch.ones(2, 3, 5, requires_grad=True)
    share_heads(x, 8).sum().backward()
    assert x.grad is not None
    assert (x.grad == 4).all()


@pytest.mark.usefixtures("own_messages")
def test_an_uneven_split_is_refused():
    with pytest.raises(ShapeError, match="width 7 cannot be cut into 2 equal heads"):
        split_heads(torch.ones(3, 7), 2)
