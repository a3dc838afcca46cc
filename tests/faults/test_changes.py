"""Every fault changes what somebody gets, and only where it should."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from attention_surgeon.faults import Fault, catalogue, find_fault
from attention_surgeon.masks import causal_mask, token_padding_mask
from attention_surgeon.ops import Circuit, attention, leave_unscaled, measure_weights
from tests.faults.probes import (
    BATCH,
    HEADS,
    N_K,
    N_Q,
    Layer,
    draw,
    even_layers,
    faulty,
    given,
    layers,
    modern_probes,
    probes,
    same,
    three,
    tried,
    with_fault,
)

IN_NUMBERS = [fault for fault in catalogue() if fault.operate is not None and fault.name != "cuts_gradient"]
"""The others show in gradients, in the caller's tensors, in the dtype or in a second call; each has a test below."""


def right_for(fault: Fault, heads: int = HEADS) -> Circuit:
    """Return the usual circuit, with the part that the fault needs."""
    return Circuit() if fault.needs is None else fault.needs.put_into(Circuit(), heads)


def changes_a_call(fault: Fault) -> bool:
    some = probes() if fault.needs is None else modern_probes(fault)
    return any(not same(with_fault(fault, probe), probe.ask(probe.base)) for probe in some)


def changes_a_layer(fault: Fault) -> bool:
    assert fault.operate is not None
    some = [(layer, right_for(fault, layer.heads)) for layer in (layers() if fault.needs is None else even_layers())]
    return any(not same(tried(layer.ask, fault.operate(base)), layer.ask(base)) for layer, base in some)


def changes_a_measure(fault: Fault) -> bool:
    assert fault.operate is not None
    weights = torch.softmax(draw(BATCH, HEADS, N_Q, N_K), dim=-1).masked_fill(~causal_mask(N_Q, N_K).dense(), 0.0)
    found, right = fault.operate(Circuit()).measure(weights), measure_weights(weights)
    return any(not torch.equal(found[name], right[name]) for name in right)


def test_few_faults_show_in_no_number():
    assert len(IN_NUMBERS) == len(catalogue()) - 10


@pytest.mark.parametrize("fault", IN_NUMBERS, ids=lambda fault: fault.name)
def test_it_shows(fault: Fault):
    torch.manual_seed(0)
    assert changes_a_measure(fault) if fault.stage == "statistics" else changes_a_call(fault) or changes_a_layer(fault)


@pytest.mark.parametrize("fault", IN_NUMBERS, ids=lambda fault: fault.name)
def test_it_leaves_the_circuit_that_it_gets_as_it_is(fault: Fault):
    assert fault.operate is not None
    base = right_for(fault) if fault.name != "scale_not_asked" else Circuit().replace(scale=leave_unscaled)
    before = base.replace()
    assert fault.operate(base) != base
    assert base == before


def test_a_cut_gradient_shows_in_the_gradient_only():
    Q, K, V = (tensor.requires_grad_() for tensor in three())
    output, weights = faulty("cuts_gradient").run(given(Q, K, V))
    assert torch.equal(output, Circuit().run(given(Q, K, V))[0])
    assert not output.requires_grad
    assert weights.requires_grad


def wrapped(name: str, function: Callable[..., object] = attention) -> Callable[..., object]:
    wrap = find_fault(name).wrap
    assert wrap is not None
    return wrap(function)


def test_a_changed_input_shows_in_the_second_call():
    Q, K, V = three()
    before, right = Q.clone(), attention(Q, K, V)
    first = wrapped("mutates_inputs")(Q, K, V)
    assert same(first, right)
    assert torch.equal(Q, before / 2)
    array = np.ones(3)
    wrapped("mutates_inputs", np.exp)(array)
    assert (array == 0.5).all()


def test_a_changed_input_that_needs_a_gradient_is_changed_without_a_complaint():
    leaf = three()[0].requires_grad_()
    wrapped("mutates_inputs", torch.exp)(leaf)
    assert leaf.requires_grad


def test_a_wrong_dtype_is_float32_whatever_comes_in():
    found = wrapped("wrong_dtype")(*three())
    assert isinstance(found, tuple)
    assert all(tensor.dtype == torch.float32 for tensor in found)
    array = wrapped("wrong_dtype", np.exp)(np.ones(3))
    assert isinstance(array, np.ndarray)
    assert array.dtype == np.float32
    assert wrapped("wrong_dtype", lambda: "text")() == "text"


def test_shared_state_answers_for_somebody_else():
    function = wrapped("shares_state")
    first, other = three(), tuple(2 * tensor for tensor in three())
    assert same(function(*first), attention(*first))  # pyright: ignore[reportArgumentType]
    assert same(function(*other), attention(*first))  # pyright: ignore[reportArgumentType]
    longer = three(n_k=11)
    assert same(function(*longer), attention(*longer))  # pyright: ignore[reportArgumentType]


def test_a_switch_that_is_ignored_hides_nothing():
    Q, K, V = three(5, 5)
    function = wrapped("causal_ignored", scaled_dot_product_attention)
    assert torch.equal(function(Q, K, V, is_causal=True), scaled_dot_product_attention(Q, K, V))
    assert not torch.equal(function(Q, K, V, is_causal=True), scaled_dot_product_attention(Q, K, V, is_causal=True))


def with_cache(x: Tensor, cache: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Attend from new positions to all there were: right, whatever pieces the sequence comes in."""
    keys, values = (x, 2 * x) if cache is None else (torch.cat([cache[0], x], -2), torch.cat([cache[1], 2 * x], -2))
    return attention(x, keys, values, causal_mask(x.shape[-2], keys.shape[-2]))[0], (keys, values)


@pytest.mark.parametrize("as_dictionary", [False, True])
def test_a_cache_that_loses_its_newest_token_changes_the_output(as_dictionary: bool):
    def function(x: Tensor, past: object = None) -> tuple[Tensor, object]:
        output, (keys, values) = with_cache(x, tuple(past.values()) if isinstance(past, dict) else past)  # pyright: ignore
        return output, {"keys": keys, "values": values} if as_dictionary else (keys, values)

    x = draw(6, 4)
    whole = function(x)[0]
    first, cache = function(x[:4])
    assert torch.allclose(function(x[4:], past=cache)[0], whole[4:])
    faulty_function = wrapped("cache_changes_output", function)
    assert torch.equal(faulty_function(x)[0], whole)  # pyright: ignore[reportIndexIssue]
    in_pieces = faulty_function(x[4:], past=cache)[0]  # pyright: ignore[reportIndexIssue]
    assert not torch.allclose(in_pieces, whole[4:])
    assert torch.allclose(first, whole[:4])


@pytest.mark.parametrize("by_name", [False, True])
def test_a_wrong_pad_id_hides_a_word_and_shows_the_padding(by_name: bool):
    tokens = torch.tensor([5, 1, 0, 0])
    function = wrapped("pad_id_wrong", lambda tokens, padding_id: token_padding_mask(tokens, padding_id).dense())
    found = function(tokens, padding_id=0) if by_name else function(tokens, 0)
    assert found.tolist() == [[True, False, True, True]]  # pyright: ignore[reportAttributeAccessIssue]


def test_a_tie_is_a_tie():
    """These are said to be the same function; if one of them changes, the texts must."""
    for one, other in [
        ("scale_by_key_size", "scale_twice"),
        ("mask_multiplied", "mask_filled_with_zero"),
        ("query_key_swapped", "scores_transposed"),
    ]:
        for probe in probes():
            if probe.scale and not probe.name.startswith("unscaled"):
                answers = [with_fault(find_fault(name), probe) for name in (one, other)]
                assert same(*answers), (one, other, probe.name)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("heads_split_by_view", Layer(1, 1)),
        ("heads_merged_without_transpose", Layer(1, 1)),
        ("heads_strided", Layer(1, 1)),
        ("heads_strided", Layer(3, 3, size=1)),
        ("heads_not_split", Layer(1, 1)),
        ("heads_averaged", Layer(1, 1)),
        ("head_outputs_averaged", Layer(1, 1)),
        ("first_head_only", Layer(1, 1)),
        ("heads_reversed", Layer(1, 1)),
        ("heads_tiled", Layer(3, 3)),
        ("heads_tiled", Layer(3, 1)),
        ("scale_by_model_width", Layer(1, 1, size=17)),
        ("context_ignored", Layer(3, 3)),
        ("context_as_query", Layer(3, 3)),
    ],
)
def test_where_it_cannot_be_seen_it_is_not(name: str, layer: Layer):
    assert torch.allclose(layer(faulty(name)), layer(Circuit()))


def test_every_head_counts_but_for_the_first():
    layer, circuit = Layer(3, 3), faulty("first_head_only")
    before = layer(circuit)
    for role in ("query", "key", "value"):
        weight: Tensor = layer.linears[role].weight  # pyright: ignore[reportFunctionMemberAccess]
        weight[3:] = 0.0
    assert torch.equal(layer(circuit), before)
