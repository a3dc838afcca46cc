"""A plan is found for each way of writing attention, and it says what is true."""

import dataclasses
import inspect
import runpy
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from attention_surgeon.calls import Plan, Refusal, find_plan
from tests.calls import targets as t

CALLS = {
    t.plain_attention: ("bnd bmd bmd", "bnd"),
    t.attend_four: ("bhnd bhmd bhmd", "bhnd"),
    t.attend_bnhd: ("bnhd bmhd bmhd", "bnhd"),
    t.attend_grouped: ("bnhd bmgd bmgd", "bnhd"),
    t.attend_two_axes: ("nd md md", "nd"),
    t.attend_with_width: ("bnd bmd bmd", "bnd"),
    t.attend_hidden_where_true: ("bnd bmd bmd", "bnd"),
    t.attend_additive: ("bnd bmd bmd", "bnd"),
    t.attend_packed: ("thd uhd uhd", "thd"),
    t.attend_weights: ("bnd", "bnd"),
    t.attend_numpy: ("bnd bmd bmd", "bnd"),
    t.causal_mask: ("", "nm"),
    t.padding_mask: ("", "b11m"),
    t.OfX: ("bnd", "bnd"),
    t.MaskedLayer: ("bnd", "bnd"),
    t.OfThree: ("bnd bmd bmd", "bnd"),
    t.Grouped: ("bnd", "bnd"),
    t.Cross: ("bnd bmd", "bnd"),
    t.ContextFirst: ("bmd bnd", "bnd"),
    t.SequenceFirst: ("nbd", "nbd"),
    t.PowersOfTwo: ("bnd", "bnd"),
    t.FixedLength: ("bnd", "bnd"),
    t.TableForALength: ("bnd", "bnd"),
    t.Rotary: ("bnd", "bnd"),
    t.Complex: ("bnd", "bnd"),
    t.OfDataclass: ("bnd", "bnd"),
    t.OfNamespace: ("bnd", "bnd"),
    t.OfOtherNames: ("bnd", "bnd"),
    t.OfDictionary: ("bnd", "bnd"),
    t.OfGlobals: ("bnd", "bnd"),
    t.OfModules: ("bnd", "bnd"),
    t.Lazy: ("bnd bmd bmd", "bnd"),
    t.Picture: ("bdyx", "bdyx"),
    t.Normed: ("bnd", "bnd"),
    t.OfArrays: ("bnd", "bnd"),
    t.HandsOn: ("bnd", "bnd"),
}


def plan_of(target: object) -> Plan:
    found = find_plan(target)
    assert isinstance(found, Plan), found
    return found


@pytest.mark.parametrize("target", CALLS, ids=lambda target: target.__name__)
def test_the_axes_are_those_of_the_target(target):
    plan = plan_of(target)
    tokens = " ".join(a.axes for a in plan.arguments if a.axes and a.required)
    assert (tokens, plan.output_axes) == CALLS[target]


@pytest.mark.parametrize("target", CALLS, ids=lambda target: target.__name__)
def test_it_is_made_and_called_again_at_another_size(target):
    plan = plan_of(target)
    sizes = (
        {}
        if target in (t.FixedLength, t.TableForALength)
        else {"batch": 3, "n_q": 6, "n_k": 8 if plan.sizes.n_q != plan.sizes.n_k else 6}
    )
    arrays = plan.arrays(plan.call(plan.make(seed=1), plan.draw(**sizes, seed=1)))
    assert all(
        np.isfinite(
            np.asarray(arrays[plan.output].detach() if torch.is_tensor(arrays[plan.output]) else arrays[plan.output])
        ).all()
        for _ in (0,)
    )
    if sizes and "b" in plan.output_axes and "n" in plan.output_axes:
        shape = arrays[plan.output].shape
        assert (shape[plan.output_axes.index("b")], shape[plan.output_axes.index("n")]) == (3, 6)


def test_sizes_differ_and_heads_are_even():
    sizes = plan_of(t.Grouped).sizes
    assert sizes.head_size % 2 == 0
    assert len({sizes.batch, sizes.n_q, sizes.width, sizes.heads, sizes.kv_heads, sizes.head_size}) == 6


def test_fewer_key_heads_come_with_a_configuration():
    args = plan_of(t.OfDataclass).constructor["args"]
    assert 1 < args.n_kv_heads < args.n_heads
    assert args.max_seq_len >= 64


def test_three_inputs_are_three_tensors_of_other_lengths():
    inputs = plan_of(t.OfThree).draw()
    assert inputs["query"].shape[1] != inputs["key"].shape[1]
    assert not torch.equal(inputs["key"], inputs["value"])


def test_a_context_is_as_wide_as_the_constructor_says():
    plan = plan_of(t.Cross)
    inputs = plan.draw()
    assert inputs["context"].shape[-1] == plan.constructor["context_dim"] != inputs["x"].shape[-1]
    assert plan.constructor["dropout"] == 0.5
    assert not plan.make().training


def test_powers_of_two_are_tried():
    assert plan_of(t.PowersOfTwo).constructor == {"d_model": 64, "num_heads": 4}


def test_a_fixed_length_is_found():
    plan = plan_of(t.FixedLength)
    assert plan.sizes.n_q == plan.constructor["sequence_length"]


def test_a_length_that_an_error_tells_is_tried():
    assert plan_of(t.TableForALength).sizes.n_q == 16


def test_the_width_of_a_file_is_read_from_what_was_made():
    assert plan_of(t.OfGlobals).given("x").width == t.n_embd


def test_a_required_mask_hides_nothing():
    mask = plan_of(t.attend_hidden_where_true).draw()["attn_mask"]
    assert mask.dtype == torch.bool
    assert not mask.any()
    assert (plan_of(t.attend_additive).draw()["mask"] == 0).all()


def test_weights_of_a_function_are_drawn():
    inputs = plan_of(t.attend_weights).draw()
    assert inputs["w_q"].shape == (inputs["x"].shape[-1],) * 2
    assert inputs["n_head"] > 1


def test_roles_of_arguments_that_may_be_left_out():
    plan = plan_of(t.OfThree)
    assert (plan.given("mask").role, plan.given("mask").required) == ("mask", False)
    assert "mask" not in plan.draw()
    with pytest.raises(ValueError, match="no argument 'masks'"):
        plan.given("masks")


def test_numpy_gets_arrays():
    plan = plan_of(t.OfArrays)
    assert (plan.library, plan.method) == ("numpy", "forward")
    assert isinstance(plan.draw()["x"], np.ndarray)
    assert plan.make().b.any()


def test_parameters_are_drawn_so_that_all_are_seen():
    made = plan_of(t.Normed).make()
    gains = made.norm.weight.detach()
    assert 0.5 < gains.min() < gains.max() < 1.5
    assert gains.std() > 0.05
    assert all(p.abs().sum() > 0 for p in (made.norm.bias, made.o.bias, made.table, made.gain))
    assert torch.equal(made.steps, torch.arange(3.0))


def test_each_seed_has_its_numbers():
    plan = plan_of(t.OfX)
    one, same, other = (plan.make(seed).q.weight for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(plan.draw(seed=3)["x"], plan.draw(seed=3)["x"])
    assert not torch.equal(plan.draw(seed=3)["x"], plan.draw(seed=4)["x"])


def test_nothing_handed_out_is_handed_out_again():
    plan = plan_of(t.OfDataclass)
    plan.draw()["x"].fill_(torch.nan)
    assert plan.draw()["x"].isfinite().all()
    assert plan.make() is not plan.make()
    assert plan.make().mask.data_ptr() != plan.make().mask.data_ptr()


def test_an_object_of_the_author_is_taken_as_it_is():
    layer = t.OfX(20, 5)
    before = layer.q.weight.clone()
    plan = plan_of(layer)
    assert plan.given("x").width == 20
    assert plan.make() is not layer
    assert torch.equal(layer.q.weight, before)


def test_hints_are_values_of_the_constructor():
    found = find_plan(t.Cross, hints={"heads": 5, "dim_head": 6})
    assert isinstance(found, Plan)
    assert (found.constructor["heads"], found.constructor["dim_head"]) == (5, 6)


def test_one_switch_at_a_time_is_flipped():
    flips = [plan.constructor for plan in plan_of(t.Normed).switched()]
    base = {"d_model": 24, "num_heads": 3}
    assert {**base, "is_causal": False} in flips
    assert {**base, "mode": "double"} in flips
    assert len(flips) == 2


def test_other_sizes_of_the_same():
    plan = plan_of(t.OfX)
    one = plan.resized(heads=1)
    assert one is not None
    assert one.constructor["num_heads"] == 1
    five = plan.resized(heads=5, head_size=3)
    assert five is not None
    assert five.constructor == {"d_model": 15, "num_heads": 5}
    assert plan_of(t.PowersOfTwo).resized(heads=5, head_size=3) is None


def test_the_call_can_be_pasted():
    plan = plan_of(t.OfX)
    source = plan.source(plan.draw())
    names = {"OfX": t.OfX, "torch": torch}
    exec(source.replace("layer(x", "answer = layer(x"), names)
    assert names["answer"].shape == plan.draw()["x"].shape


def test_what_cannot_be_called_is_refused_in_words():
    refused = find_plan(t.Stubborn)
    assert isinstance(refused, Refusal)
    assert "the disk is full" in refused.reason
    assert "example()" in refused.advice
    nothing = find_plan(t.NotCalled)
    assert isinstance(nothing, Refusal)
    assert "no method" in nothing.reason


def test_random_numbers_and_gradients_are_left_alone():
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    find_plan(t.Normed)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.is_grad_enabled()


def test_it_takes_no_longer_than_promised():
    def slow(x, mystery, enigma):
        time.sleep(0)
        sum(range(200_000))
        raise RuntimeError("no")

    start = time.process_time()
    assert isinstance(find_plan(slow), Refusal)
    assert time.process_time() - start < 3


def test_an_example_shows_the_call():
    def example():
        return (
            t.OfThree(20, 5),
            (torch.zeros(3, 4, 20), torch.zeros(3, 6, 20), torch.zeros(3, 6, 20)),
            {"mask": torch.ones(4, 6)},
        )

    plan = find_plan(None, example=example)
    assert isinstance(plan, Plan)
    assert [a.axes for a in plan.arguments] == ["bnd", "bmd", "bmd", ""]
    inputs = plan.draw(batch=2, n_q=3, n_k=5)
    assert inputs["mask"].shape == (3, 5)
    assert plan.arrays(plan.call(plan.make(), inputs))[plan.output].shape == (2, 3, 20)


def test_an_example_tells_the_sequence_first_by_what_depends_on_what():
    plan = find_plan(None, example=lambda: (t.SequenceFirst(20, 5), torch.zeros(4, 3, 20)))
    assert isinstance(plan, Plan)
    assert (plan.given("x").axes, plan.output_axes, plan.sizes.batch) == ("nbd", "nbd", 3)


def test_an_example_that_raises_is_said():
    refused = find_plan(None, example=lambda: 1 / 0)
    assert isinstance(refused, Refusal)
    assert "division by zero" in refused.reason


def test_a_context_that_may_be_left_out_can_be_given():
    class Optional(t.Cross):
        def forward(self, x, context=None, mask=None):
            return super().forward(x, x[..., :1].repeat(1, 1, self.k.in_features) if context is None else context)

    plan = dataclasses.replace(plan_of(t.Cross), target=Optional)
    left = dataclasses.replace(
        plan, arguments=tuple(dataclasses.replace(a, required=a.name == "x") for a in plan.arguments)
    )
    assert list(left.draw()) == ["x"]
    assert list(left.giving("context").draw()) == ["x", "context"]


def test_every_target_here_is_tried():
    own = {v for v in vars(t).values() if (inspect.isfunction(v) or inspect.isclass(v)) and v.__module__ == t.__name__}
    assert own - CALLS.keys() == {t.Layer, t.Arguments, t.Block, t.Stubborn, t.NotCalled}


class Template(torch.nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.q, self.k, self.v = (torch.nn.Linear(dim, dim) for _ in range(3))

    def forward(self, x):
        return self.attend(self.q(x), self.k(x), self.v(x))


class Filled(Template):
    def attend(self, q, k, v):
        return (q @ k.mT).softmax(-1) @ v


def test_a_step_that_a_subclass_fills_in_is_not_what_is_called():
    plan = find_plan(Filled, source="")
    assert isinstance(plan, Plan)
    assert (plan.method, [one.name for one in plan.arguments]) == ("", ["x"])


def test_what_a_file_takes_from_a_package_says_nothing_of_its_arrays(tmp_path: Path) -> None:
    """`attention_surgeon.testing` works with NumPy; a file that takes a function from there need not."""
    path = tmp_path / "theirs.py"
    path.write_text(
        "from attention_surgeon.testing import check_attention\n\n"
        "def careful(Q, K, V):\n    return (Q @ K.transpose(-2, -1) / Q.shape[-1] ** 0.5).softmax(-1) @ V\n"
    )
    found = find_plan(runpy.run_path(str(path))["careful"], source=path.read_text())
    assert isinstance(found, Plan), found
    assert found.library == "torch"
