"""What a page holds: of every kind of attention, at the size it keeps to, with the numbers that are true."""

import base64
import io
import math
from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from attention_surgeon.errors import ArgumentTypeError, NonFiniteError, OptionError, ShapeError
from attention_surgeon.stats import compare_patterns, head_statistics, pool_weights, scan_attention
from attention_surgeon.trace import AttentionTrace, record
from attention_surgeon.viewer import Page, compare, view
from tests.viewer.probes import TOKENS, trace, weights
from tests.viewer.reading import cells_of, document_in, unpacked


def side_of(page: Page) -> dict:
    return page.document["sides"][0]


def names_of(page: Page) -> list[str]:
    return [entry["name"] for entry in side_of(page)["maps"]]


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        ((3, 5), ["attention"]),
        ((2, 3, 5), ["head 0", "head 1"]),
        ((1, 2, 3, 5), ["head 0", "head 1"]),
        ((2, 1, 3, 5), ["batch 0, head 0", "batch 1, head 0"]),
        ((2, 1, 1, 3, 5), ["layer 0, head 0", "layer 1, head 0"]),
    ],
)
@pytest.mark.parametrize("kind", ["float64", "float32", "float16", "bfloat16", "numpy", "big-endian"])
def test_every_array_is_held_exactly_where_it_fits(shape: tuple[int, ...], names: list[str], kind: str):
    weight = weights(*shape)
    given_weight = {
        "numpy": lambda: weight.numpy(),
        "big-endian": lambda: weight.numpy().astype(">f8"),
    }.get(kind, lambda: weight.to(getattr(torch, kind)))()
    page = view(given_weight)
    assert names_of(page) == names
    expected = np.asarray(
        torch.as_tensor(np.asarray(given_weight, dtype=np.float32))
        if isinstance(given_weight, np.ndarray)
        else given_weight.float()
    )
    flat = expected.reshape(-1, *shape[-2:])
    for number in range(len(flat)):
        values, _, _ = cells_of(side_of(page), number)
        np.testing.assert_array_equal(values, flat[number])


def test_a_trace_brings_tokens_heads_steps_and_source():
    made = trace(causal=True)
    page = view(made)
    side = side_of(page)
    assert side["queryTokens"] == list(TOKENS)
    assert side["source"] == "a probe"
    assert names_of(page) == ["head 0", "head 1", "head 2"]
    call = side["maps"][1]["call"]
    np.testing.assert_array_equal(np.frombuffer(unpacked(call["masked"]), "<f4"), made.masked[1].flatten().numpy())
    assert call["functions"][3] == "softmax_over_keys"
    assert page.title == "the cat sat on mat"


def test_queries_and_keys_have_names_of_their_own():
    side = side_of(view(weights(2, 3), tokens=["a", "b"], key_tokens=["x", "y", "z"]))
    assert (side["queryTokens"], side["keyTokens"]) == (["a", "b"], ["x", "y", "z"])
    assert (side["numQueries"], side["numKeys"]) == (2, 3)


def test_tokens_of_the_queries_do_not_name_other_keys():
    with pytest.raises(ShapeError, match="tokens names only the queries; name the keys with key_tokens"):
        view(weights(2, 3), tokens=["a", "b"])


def test_nan_is_never_shown_as_nothing():
    with pytest.raises(NonFiniteError, match=r"head 1 holds nan at \(1, 2\)"):
        view(
            torch.stack(
                [torch.eye(3), torch.eye(3).index_put((torch.tensor(1), torch.tensor(2)), torch.tensor(math.nan))]
            )
        )


def test_layers_come_as_a_list_or_by_name():
    layers = [trace(), trace(causal=True)]
    assert names_of(view(layers))[::3] == ["layer 0, head 0", "layer 1, head 0"]
    assert names_of(view(OrderedDict(first=layers[0], last=layers[1])))[::3] == [
        "layer first, head 0",
        "layer last, head 0",
    ]
    pair = (weights(1, 2, 3, 3), weights(1, 2, 3, 3))
    assert names_of(view(pair)) == names_of(view(SimpleNamespace(attentions=pair)))
    assert names_of(view(pair))[-1] == "layer 1, head 1"
    captured = SimpleNamespace(
        source="m", layers=tuple(SimpleNamespace(name=str(i), trace=t) for i, t in enumerate(layers))
    )
    assert names_of(view(captured)) == names_of(view(layers))
    assert side_of(view(captured))["source"] == "m"


@pytest.mark.parametrize("given_attentions", [None, (), (None, None)])
def test_a_model_that_gives_no_attentions_is_explained(given_attentions: object):
    with pytest.raises(
        ArgumentTypeError, match=r'set_attn_implementation\("eager"\) and model\(\.\.\., output_attentions=True\)'
    ):
        view(SimpleNamespace(attentions=given_attentions))


def test_a_comparison_of_encoder_decoders_wants_one_stack():
    outputs = SimpleNamespace(attentions=None, cross_attentions=(weights(1, 2, 3, 5),), decoder_attentions=None)
    assert names_of(view(outputs)) == ["layer 0, head 0", "layer 0, head 1"]
    with pytest.raises(
        OptionError, match=r"have cross_attentions; give one of them, for example compare\(outputs.cross_attentions\)"
    ):
        compare(outputs, outputs)


def test_shared_heads_are_found_in_a_trace_and_taken_by_number():
    keys = torch.randn(2, 5, 3).repeat_interleave(2, 0)
    made = record(torch.randn(4, 5, 3), keys, keys + 1)
    assert [entry["group"] for entry in side_of(view(made))["maps"]] == [0, 0, 1, 1]
    assert [
        entry["group"]
        for entry in side_of(view(weights(2, 4, 3, 3), axes=("layer", "head"), key_value_heads=2))["maps"]
    ] == [0, 0, 1, 1] * 2
    assert side_of(view(weights(4, 3, 3)))["maps"][0]["group"] is None


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 3))
def test_odd_sizes_are_held_exactly(n_q: int, n_k: int, heads: int):
    weight = weights(heads, n_q, n_k)
    side = side_of(view(weight))
    np.testing.assert_array_equal(cells_of(side, heads - 1)[0], weight[-1].numpy())


@pytest.mark.parametrize("megabytes", [0.25, 0.4, 1.0])
def test_a_page_keeps_to_its_size_and_its_errors_are_true(megabytes: float):
    weight = torch.cat([weights(5, 301, 307), torch.eye(307)[None, :301]])
    page = view(weight, max_megabytes=megabytes)
    html = page.html()
    assert len(html.encode()) <= megabytes * 1e6
    side = document_in(html)["sides"][0]
    for number in range(6):
        entry = side["maps"][number]
        frame = side["frames"][entry["frame"]]
        pooled = pool_weights(weight[number], resolution=-(-307 // frame["block"]))
        for grid, expected in (("largest", pooled.largest), ("mean", pooled.mean)):
            if entry[grid] is None:
                continue
            _, low, high = cells_of(side, number, grid)
            assert (low <= expected.numpy() * (1 + 1e-5)).all()
            assert (expected.numpy() <= high * (1 + 1e-5)).all()
    assert side["frames"][side["maps"][5]["frame"]]["block"] == 1  # the sharp one is held weight by weight


def test_the_strongest_weights_are_held_to_five_digits():
    weight = weights(7, 301, 301)
    entry = side_of(view(weight, max_megabytes=0.6))["maps"][3]
    strongest = entry["strongest"]
    both = np.frombuffer(unpacked(strongest["data"]), "<u2").reshape(2, 301, strongest["count"])
    values, keys = weight[3].topk(strongest["count"])
    np.testing.assert_array_equal(both[0], keys.numpy())
    np.testing.assert_allclose(both[1] / 65535 * strongest["top"], values.numpy(), atol=strongest["top"] / 131000)


def test_a_map_asked_for_in_full_is_held_so():
    weight = weights(6, 301, 301)
    side = side_of(view(weight, max_megabytes=0.4, in_full=[(2,)]))
    blocks = [(side["frames"][entry["frame"]]["block"], entry["steps"]) for entry in side["maps"]]
    assert blocks[2] == (1, 255)
    assert min(block for block, _ in blocks[:2] + blocks[3:]) > 1


def test_the_numbers_are_those_of_stats():
    weight = weights(3, 11, 11)
    side = side_of(view(weight, tokens=list("abcdeabcdea")))
    found = head_statistics(weight, tokens=list("abcdeabcdea"))
    for place, statistic in enumerate(side["statistics"]):
        for head in range(3):
            expected = float(getattr(found, statistic["name"])[head])
            assert side["maps"][head]["numbers"][place] == pytest.approx(expected, rel=1e-5, abs=1e-7), statistic[
                "name"
            ]


def test_causal_weights_are_measured_against_what_they_may_see():
    even = torch.ones(7, 7).tril() / torch.arange(1, 8)[:, None]
    side = side_of(view(even))
    share = [each["name"] for each in side["statistics"]].index("entropy_share")
    assert side["maps"][0]["numbers"][share] == pytest.approx(1.0)
    assert side["maps"][0]["pattern"]["name"] == "uniform"


def test_the_sink_is_the_column_that_gets_most_not_the_one_with_the_largest_weight():
    weight = torch.tensor([[0.4, 0.6], [0.55, 0.45], [0.58, 0.42]])
    found = side_of(view(weight))["maps"][0]["sink"]
    assert found == pytest.approx({"column": 0, "share": 0.51, "topElsewhere": 0.6})


def test_a_pooled_map_is_shown_as_cells():
    pooled = pool_weights(weights(2, 103, 97), resolution=16)
    side = side_of(view(pooled))
    assert (side["numQueries"], side["numKeys"]) == (103, 97)
    assert side["frames"][0]["rowEdges"] == list(pooled.row_edges)
    _, low, high = cells_of(side, 1, "mean")
    assert ((low <= pooled.mean[1].numpy() + 1e-6) & (pooled.mean[1].numpy() <= high + 1e-6)).all()
    assert side["statistics"] == []


def test_layers_of_one_model_have_one_source():
    def layer(source: str) -> AttentionTrace:
        return record(*torch.eye(3).expand(3, 3, 3), source=source)

    layers = {"0": layer("Decoder, layer 0"), "1": layer("Decoder, layer 1")}
    assert side_of(view(layers))["source"] == "Decoder"
    assert side_of(view({"0": layer("one"), "1": layer("other")}))["source"] == ""


def test_a_comparison_holds_both_in_the_same_cells_with_their_distance():
    before, after = weights(3, 211, 211), weights(3, 211, 211, seed=1)
    before[0] = torch.eye(211)
    page = compare(before, after, max_megabytes=0.4, labels=("a", "b"))
    one, other = page.document["sides"]
    assert (one["label"], other["label"]) == ("a", "b")
    assert [e["frame"] for e in one["maps"]] == [e["frame"] for e in other["maps"]]
    assert one["frames"] == other["frames"]
    assert len(page.html().encode()) <= 0.4e6
    apart = compare_patterns(before, after)
    comparison = page.document["comparison"]
    for place, statistic in enumerate(comparison["statistics"]):
        expected = getattr(apart, statistic["name"])
        found = [row[place] for row in comparison["rows"]]
        assert found == pytest.approx(expected.tolist(), rel=1e-5, abs=1e-7)
    most = int((after - before).abs().mean((-2, -1)).argmax())
    query, key = divmod(int((after - before)[most].abs().argmax()), before.shape[-1])
    assert comparison["start"] == {"map": most, "query": query, "key": key}


def test_rows_that_are_no_shares_are_shown_and_not_measured():
    halves = torch.full((3, 3), 1 / 6)
    assert compare(torch.eye(3), halves).document["comparison"]["rows"] == [[None] * 5]
    shown = side_of(view(torch.stack([halves, torch.eye(3)])))["maps"]
    assert shown[0]["rowSums"] == pytest.approx([0.5, 0.5])
    assert (set(shown[0]["numbers"]), shown[0]["pattern"]) == ({None}, None)
    assert (shown[1]["rowSums"], shown[1]["pattern"]["name"]) == (None, "diagonal")


def test_sizes_that_differ_are_refused_in_a_list():
    with pytest.raises(ShapeError, match="layer 1 has 5 queries, 5 keys"):
        view([weights(3, 3), weights(5, 5)])


@pytest.mark.parametrize("heads", [1, 3])
def test_pictures(heads: int, tmp_path):
    page = view(weights(heads, 5, 5), tokens=TOKENS)
    for ending, start in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")):
        target = page.save(tmp_path / f"map{ending}", place=() if heads == 1 else (2,))
        assert target.read_bytes().startswith(start)


def test_runs_with_other_tokens_are_not_compared():
    """One text padded on the left and on the right lies under other tokens, place by place."""
    weights = torch.full((3, 3), 1 / 3)
    left, right = (
        record(torch.eye(3), torch.eye(3), weights, query_tokens=names) for names in (["0", "a", "b"], ["a", "b", "0"])
    )
    with pytest.raises(OptionError, match="before and after are of different tokens, at position 0 '0' and 'a'"):
        compare(left, right)
    assert compare(left, right, tokens=["1", "2", "3"]).title == "1 2 3"


def test_a_page_begins_where_a_cell_stands_out_and_not_where_it_is_forced():
    weights = torch.tril(torch.ones(5, 5)) / torch.arange(1, 6)[:, None]
    weights[4] = torch.tensor([0.0, 0.1, 0.9, 0.0, 0.0])
    query, key, _ = view(weights).document["sides"][0]["maps"][0]["start"]
    assert (query, key) == (4, 2)  # not (0, 0), which is 1 because there is nothing else


def test_a_scan_is_shown_with_its_statistics_and_the_names_of_its_heads():
    query, key = torch.randn(2, 1, 2, 16, 4, generator=torch.Generator().manual_seed(0))
    scan = scan_attention(query, key, resolution=8)
    side = view({"0": scan, "1": scan}).document["sides"][0]
    assert [entry["place"] for entry in side["maps"]] == [["0", "0"], ["0", "1"], ["1", "0"], ["1", "1"]]
    entropy = next(i for i, each in enumerate(side["statistics"]) if each["name"] == "entropy")
    assert side["maps"][1]["numbers"][entropy] == pytest.approx(float(scan.statistics.entropy[0, 1]), rel=1e-5)
    assert side["maps"][1]["pattern"]["name"]
    with pytest.raises(OptionError, match="the scan has no map"):
        view(scan_attention(query, key, resolution=None))


def test_what_generate_returned_is_one_map_for_each_head_and_knows_its_steps():
    """A prompt of three tokens, then three steps of which the last wrote what no row saw."""
    steps = []
    for n in (3, 4, 5):
        rows = torch.ones(1, 2, n if n == 3 else 1, n).tril(0 if n == 3 else n)
        steps.append((rows / rows.sum(-1, keepdim=True),) * 2)
    page = view(SimpleNamespace(attentions=tuple(steps)), tokens=list("abcde"))
    side = side_of(page)
    assert (side["promptLength"], side["numQueries"], side["numKeys"]) == (3, 5, 5)
    assert names_of(page) == ["layer 0, head 0", "layer 0, head 1", "layer 1, head 0", "layer 1, head 1"]
    values, _, _ = cells_of(side, 3)
    expected = torch.ones(5, 5).tril() / torch.arange(1, 6)[:, None]
    np.testing.assert_allclose(values, expected.numpy(), atol=1e-6)
    assert side_of(view(torch.eye(3)))["promptLength"] is None
    with pytest.raises(OptionError, match="view: prompt_length is 4, but there are 3 queries"):
        view(torch.eye(3), prompt_length=4)


def _crosses() -> SimpleNamespace:
    """Return what an encoder-decoder of one layer gives: 5 tokens that are read, 3 that are written."""
    return SimpleNamespace(
        attentions=None,
        encoder_attentions=(weights(1, 2, 5, 5),),
        decoder_attentions=(weights(1, 2, 3, 3),),
        cross_attentions=(weights(1, 2, 3, 5),),
    )


def test_an_encoder_decoder_is_one_page_of_three_stacks():
    page = view(_crosses(), tokens=["a", "b", "c"], key_tokens=["v", "w", "x", "y", "z"])
    documents = [page.document, *page.document["others"]]
    assert [each["stack"] for each in documents] == ["encoder", "decoder", "cross"]
    sides = [each["sides"][0] for each in documents]
    assert [(side["numQueries"], side["numKeys"]) for side in sides] == [(5, 5), (3, 3), (3, 5)]
    named = [("".join(side["queryTokens"]), "".join(side["keyTokens"])) for side in sides]
    assert named == [("vwxyz", "vwxyz"), ("abc", "abc"), ("abc", "vwxyz")]
    assert repr(page) == "Page('v w x y z', 6 maps)"
    assert len(page.html()) < 5e6


def test_stacks_by_name_share_the_room_of_a_page():
    stacks = {"long": [weights(2, 600, 600)], "short": [weights(2, 5, 5)]}
    page = view(stacks, max_megabytes=0.6)
    assert len(page.html()) <= 0.6e6
    assert [each["stack"] for each in (page.document, *page.document["others"])] == ["long", "short"]
    with pytest.raises(
        OptionError, match=r"in_full names \(9, 0\), but the maps are layer 0, head 0 to layer 0, head 1"
    ):
        view(stacks, in_full=[(9, 0)])


def test_a_picture_names_the_patches_and_goes_to_who_has_them():
    picture = np.zeros((8, 12, 3))
    picture[:4] = 2.0
    page = view({"text": [weights(2, 5, 5)], "seen": [weights(2, 7, 7)]}, picture=picture, patches=(2, 3))
    text, seen = page.document["sides"][0], page.document["others"][0]["sides"][0]
    assert text["picture"] is None
    assert seen["queryTokens"] == ["[CLS]", "0,0", "0,1", "0,2", "1,0", "1,1", "1,2"]
    entry = seen["picture"]
    assert [entry[name] for name in ("rows", "columns", "inFront", "width", "height")] == [2, 3, 1, 12, 8]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(entry["image"].partition(",")[2]))))
    assert shown[1, 1].min() > 240
    assert shown[6, 6].max() < 15
