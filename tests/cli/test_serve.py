"""`surgeon serve`: what the page asks for, done to a model; and the command itself, from its address to Ctrl-C."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from attention_surgeon.cli.serve_offer import offer_of
from attention_surgeon.cli.serve_operation import MASKS, operation_of
from attention_surgeon.cli.serve_table import ModelTable, most_tokens_of
from attention_surgeon.errors import OptionError, SurgeonError, SurgeryError
from attention_surgeon.masks import causal_mask, prefix_mask, reverse_mask, window_mask
from attention_surgeon.models import CharacterTokenizer, Decoder, DecoderConfig
from attention_surgeon.models.checkpoint import Checkpoint, save_checkpoint
from attention_surgeon.surgery import LoadedModel, capture, operate
from attention_surgeon.threads import one_thread
from attention_surgeon.viewer.live import Answer, Limits, Serving, TableRequest
from attention_surgeon.viewer.live.request import read_request
from tests.cli.conftest import Surgeon
from tests.surgery.families import make
from tests.viewer.bad_requests import call, send
from tests.viewer.live_table import served

TEXT = "a cat sat"
N = len(TEXT)


def wanted() -> None:
    """Everything is."""


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    torch.manual_seed(0)
    tokenizer = CharacterTokenizer.from_text("a cat sat on the mat.")
    sizes = {"vocabulary_size": tokenizer.size, "context_len": 17, "embed_dim": 30, "num_heads": 5, "num_layers": 3}
    model = Decoder(DecoderConfig(**sizes)).eval()
    for parameter in model.parameters():  # attention of a fresh model is next to uniform, which hides mistakes
        torch.nn.init.normal_(parameter, std=0.5)
    return LoadedModel(model, tokenizer, "drawn")


@pytest.fixture
def table(loaded: LoadedModel) -> ModelTable:
    return ModelTable(["drawn"], lambda name: loaded)


def asked(**fields: Any) -> TableRequest:
    return TableRequest(**{"page": "a", "number": 1, "model": "drawn", "text": TEXT} | fields)


def numbers_of(loaded: LoadedModel) -> torch.Tensor:
    logits = capture(loaded.model, TEXT, tokenizer=loaded.tokenizer).logits
    assert logits is not None
    return logits


def state_of(loaded: LoadedModel) -> list[Any]:
    """Return what an operation could leave behind."""
    return [
        (id(getattr(module, "circuit", None)), len(module._forward_pre_hooks), sorted(vars(module)))
        for module in loaded.model.modules()
    ]


def weights_after(loaded: LoadedModel, request: TableRequest) -> torch.Tensor:
    operation = operation_of(request)
    with operate(loaded.model, operation):
        return capture(loaded.model, TEXT, tokenizer=loaded.tokenizer).layer(0).trace.weights


REQUESTS = [
    {"fault": "knock_out"},
    {"fault": "softmax_missing", "layers": (0, 2)},
    {"mask": "reverse", "heads": (1, 4)},
    {"mask": "window:2", "scale": "none", "temperature": 0.5, "fault": "heads_averaged"},
    {},
]


@pytest.mark.parametrize("fields", REQUESTS)
def test_the_model_is_as_it_was_after_every_operation(loaded: LoadedModel, table: ModelTable, fields: dict[str, Any]):
    before, state = numbers_of(loaded), state_of(loaded)
    answer = table.operate(asked(**fields), wanted)
    assert torch.equal(numbers_of(loaded), before)
    assert state_of(loaded) == state
    assert bool(fields) == ("undone exactly" in answer.receipt)
    json.dumps({"document": answer.document, "predictions": answer.predictions}, allow_nan=False)


@pytest.mark.parametrize("after", range(9))
def test_the_model_is_as_it_was_where_work_is_given_up_in_the_middle(
    loaded: LoadedModel, table: ModelTable, after: int
):
    before, state, looks = numbers_of(loaded), state_of(loaded), count()

    def no_longer() -> None:
        if next(looks) >= after:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        table.operate(asked(fault="knock_out"), no_longer)
    assert torch.equal(numbers_of(loaded), before)
    assert state_of(loaded) == state


def test_a_text_that_is_too_long_is_cut_and_that_is_said(table: ModelTable):
    told = "the text has 18 tokens and this model reads 17 at once; the first 17 are read."
    as_it_is = table.operate(asked(text="a" * 18), lambda: None)
    assert as_it_is.receipt[0] == told
    assert len(as_it_is.document["sides"][0]["queryTokens"]) == 17
    assert told in table.operate(asked(text="a" * 18, fault="knock_out"), lambda: None).receipt


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text": ""}, "the text is empty; type a few words."),
        ({"text": "a dog"}, "holds 'dg', which is not among"),
        ({"fault": "no_scales"}, "no operation is called 'no_scales'"),
        ({"fault": "projection_shared"}, "projection_shared cannot act on a model"),
        ({"fault": "knock_out", "layers": (3,)}, "there is no layer 3; this model has layers 0 to 2"),
        ({"fault": "knock_out", "heads": (5,)}, "there is no head 5 in layer 0"),
        ({"mask": "diagonal"}, "mask is 'diagonal', expected one of own, none, causal, reverse, window:3, prefix:2"),
        ({"mask": "window"}, "mask is 'window', expected one of"),
        ({"mask": "window:-1"}, "mask is 'window:-1', expected one of"),
        ({"mask": "causal:2"}, "mask is 'causal:2', expected one of"),
        ({"scale": "twice"}, "scale is 'twice', expected one of own, none."),
        ({"fault": "knock_out", "stack": "decoder"}, "stack is 'decoder'; drawn has one stack only"),
    ],
)
def test_what_does_not_fit_the_model_is_a_sentence(
    loaded: LoadedModel, table: ModelTable, fields: dict[str, Any], message: str
):
    before = numbers_of(loaded)
    with pytest.raises(SurgeonError, match=re.escape(message)):
        table.operate(asked(**fields), wanted)
    assert torch.equal(numbers_of(loaded), before)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("none", torch.ones(N, N, dtype=torch.bool)),
        ("causal", causal_mask(N).dense()),
        ("reverse", reverse_mask(N).dense()),
        ("window:2", window_mask(N, size=2).dense()),
        ("prefix:4", prefix_mask(N, prefix_len=4).dense()),
    ],
)
@pytest.mark.parametrize("model", ["decoder", "encoder"])
def test_a_mask_by_name_is_the_one_that_acts(loaded: LoadedModel, name: str, expected: torch.Tensor, model: str):
    operation = operation_of(asked(mask=name))
    assert operation is not None
    where, tokenizer, text = loaded.model, loaded.tokenizer, TEXT
    if model == "encoder":
        where, tokenizer, text = make("bert"), None, list(range(3, 3 + N))
    with operate(where, operation):  # an encoder hands no mask in; it gets one all the same
        weights = capture(where, text, tokenizer=tokenizer).layers[0].trace.weights
    assert torch.equal(weights > 0, expected.expand_as(weights))


def test_temperature_scale_and_fault_act_together(loaded: LoadedModel):
    trace = capture(loaded.model, TEXT, tokenizer=loaded.tokenizer).layer(0).trace
    hidden = ~causal_mask(N).dense()
    expected = torch.softmax((trace.scores / 3).masked_fill(hidden, -torch.inf), dim=-1)
    torch.testing.assert_close(weights_after(loaded, asked(scale="none", temperature=3.0)), expected)
    bare = weights_after(loaded, asked(scale="none", temperature=3.0, fault="softmax_missing"))
    torch.testing.assert_close(bare[:, ~hidden], trace.scores[:, ~hidden] / 3)
    uniform = torch.softmax(torch.zeros_like(trace.scores).masked_fill(~window_mask(N, size=2).dense(), -torch.inf), -1)
    torch.testing.assert_close(weights_after(loaded, asked(fault="uniform", mask="window:2", temperature=3.0)), uniform)


def test_nothing_chosen_is_no_operation(table: ModelTable):
    assert operation_of(asked()) is None
    answer = table.operate(asked(), wanted)
    assert len(answer.document["sides"]) == 1
    assert answer.predictions["rows"][0]["after"] is None


def test_predictions_have_both_probabilities(loaded: LoadedModel, table: ModelTable):
    answer = table.operate(asked(fault="knock_out"), wanted)
    with one_thread():  # as the table: more threads add in another order
        before = torch.softmax(numbers_of(loaded)[-1].double(), -1)
    with one_thread(), operate(loaded.model, "knock_out"):
        after = torch.softmax(numbers_of(loaded)[-1].double(), -1)
    tokenizer = loaded.tokenizer
    rows = {row["label"]: row for row in answer.predictions["rows"]}
    top = [tokenizer.decode(side.topk(1).indices) for side in (before, after)]
    assert set(top) <= set(rows)
    for label, row in rows.items():
        number = int(tokenizer.encode(label))
        assert (row["before"], row["after"]) == pytest.approx((float(before[number]), float(after[number])))


def test_receipt_is_in_words(table: ModelTable):
    told = table.operate(asked(fault="knock_out", layers=(1,), heads=(2, 3)), wanted).receipt
    assert told[0] == "operated: knock_out · layer 1 · heads 2, 3"
    assert {"called 1/1", "untouched heads bit-identical", "2 other layers untouched", "undone exactly"} <= set(told)


def test_the_page_is_told_in_one_sentence_what_was_done_and_where(table: ModelTable):
    answer = table.operate(asked(fault="knock_out", layers=(1,), heads=(2,)), wanted)
    told = answer.document["operation"]
    assert re.fullmatch(
        r"Head 1\.2 is silenced\. Loss \d\.\d\d → \d\.\d\d\. "
        r"Next word: '\.' before \(\d+ %\) and now \(\d+ %\)\.",  # the same
        told["sentence"],
    )
    assert (told["maps"], told["mark"]) == ([7], "silenced")  # of 3 layers of 5 heads
    assert answer.document["title"] == "drawn: knock_out, head 1.2"
    assert told["settings"] == [["text", TEXT], ["operation", "knock_out"], ["where", "Head 1.2"]]
    both = table.operate(asked(fault="uniform", temperature=2.0, layers=(0,), heads=(1, 2)), wanted)
    assert both.document["operation"]["sentence"].startswith(
        "Heads 0.1 and 0.2 look at everything evenly and have temperature 2. Loss "
    )
    assert both.document["operation"]["mark"] == "operated"
    every = table.operate(asked(mask="none"), wanted).document["operation"]
    assert every["sentence"].startswith("All heads of layers 0, 1 and 2 have mask none.")
    assert every["maps"] == list(range(15))


def test_temperature_0_gives_all_to_the_largest(loaded: LoadedModel):
    weights = weights_after(loaded, asked(temperature=0.0))
    assert set(weights.unique().tolist()) == {0.0, 1.0}


def test_a_lesson_is_five_operations_that_act(loaded: LoadedModel, table: ModelTable):
    lessons = offer_of(loaded, 17)["lessons"]
    assert len(lessons) == 5
    for lesson in lessons:
        fields = {name: value for name, value in lesson.items() if name not in ("title", "question")}
        asks = {"page": "a", "number": 1, "model": "drawn", "text": TEXT} | fields
        request = read_request(json.dumps(asks).encode(), Limits())
        assert table.operate(request, wanted).document["operation"], lesson["title"]


def test_operation_after_the_weights_says_why_the_maps_are_the_same(table: ModelTable):
    same = "every map is as it was: this operation acts on what the weights gather"
    assert same in table.operate(asked(fault="knock_out", layers=(2,)), wanted).receipt
    assert same not in table.operate(asked(fault="knock_out", layers=(0,)), wanted).receipt


def test_numbers_that_are_no_weights_leave_the_rest_standing(table: ModelTable):
    answer = table.operate(asked(fault="softmax_missing"), wanted)
    assert any(line.startswith("no map of what came out: layer 0, head 0 holds") for line in answer.receipt)
    assert len(answer.document["sides"]) == 1


def test_offer_says_what_fits_the_model(loaded: LoadedModel):
    offer = offer_of(loaded, most_tokens_of(loaded))
    assert offer["stacks"] == [{"name": "", "numLayers": 3, "numHeads": 5}]
    assert offer["mostTokens"] == 17
    assert [name for name, _ in offer["masks"]] == [name.partition(":")[0] for name, _ in MASKS]
    names = [fault["name"] for fault in offer["faults"]]
    assert len(names) == len(set(names)) > 60
    assert "projection_shared" not in names


def test_stacks_of_an_encoder_decoder_are_shown_one_at_a_time():
    model = make("t5")
    answers: list[Answer] = []
    table = ModelTable(["t5"], lambda name: LoadedModel(model, _Numbers(), name))
    assert [stack["name"] for stack in table.describe("t5", wanted)["stacks"]] == ["encoder", "decoder", "cross"]
    for stack in ("encoder", "decoder", "cross"):
        answers.append(table.operate(asked(model="t5", fault="uniform", stack=stack, layers=(0,)), wanted))
        assert answers[-1].receipt[0].startswith(f"operated: uniform · layer {stack} 0")


class _Numbers:
    """Cuts a text into words and numbers them."""

    def encode(self, text: str) -> list[int]:
        return [3 + len(word) for word in text.split()]

    def decode(self, ids: Any) -> str:
        return " ".join(str(int(number)) for number in ids)


def test_models_without_a_tokenizer_or_without_layers_are_refused():
    with pytest.raises(OptionError, match="came without a tokenizer"):
        ModelTable(["bert"], lambda name: LoadedModel(make("bert"), None, name)).load("bert")
    with pytest.raises(SurgeryError, match="holds no attention layer"):
        ModelTable(["flat"], lambda name: LoadedModel(torch.nn.Linear(2, 3), _Numbers(), name)).load("flat")


def test_a_request_of_the_page_reaches_the_model(loaded: LoadedModel, table: ModelTable):
    before = numbers_of(loaded)
    with served(table, Limits()) as serving:
        reply = send(serving, call(serving, model="drawn", text=TEXT, layers=[0], heads=[1]))
        assert json.loads(reply.body)["receipt"][0] == "operated: knock_out · layer 0 · head 1"
        wrong = send(serving, call(serving, number=2, model="drawn", text=TEXT, heads=[7]))
        assert (wrong.status, "there is no head 7" in wrong.sentence) == (422, True)
        long = send(serving, call(serving, number=3, model="drawn", text="a" * 18))
        document = json.loads(long.body)["document"]
        assert (long.status, document["sides"][0]["numQueries"]) == (
            200,
            17,
        )  # what is longer than the model reads is cut
    assert torch.equal(numbers_of(loaded), before)


def test_taken_port_and_unknown_model_end_with_a_sentence(surgeon: Surgeon):
    ran = surgeon("serve", "--model", "no/such/folder")
    assert (ran.code, ran.out) == (2, "")
    assert "there is no folder no/such/folder" in ran.err
    ran = surgeon("serve", "--port", "70000", "--model", "tiny")
    assert ran.code == 2
    assert "serve: port is 70000" in ran.err


def test_the_command_prints_one_address_and_ctrl_c_ends_it_cleanly(tmp_path: Path, loaded: LoadedModel):
    model = loaded.model
    assert isinstance(model, Decoder)
    settings = {"decoder": dataclasses.asdict(model.config), "characters": loaded.tokenizer.characters}
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    path = save_checkpoint(Checkpoint(step=1, settings=settings, tensors=tensors, records=()), tmp_path)
    command = [str(Path(sys.executable).parent / "surgeon"), "serve", "--model", str(path), "--port", "0"]
    plain = {**os.environ, "NO_COLOR": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=plain) as running:
        assert running.stdout
        address = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\?token=([\w-]{43})\n", running.stdout.readline())
        assert address
        serving = Serving(int(address[1]), address[2], stop=wanted)
        answered = send(serving, call(serving, model=str(path), text=TEXT))
        running.send_signal(signal.SIGINT)
        rest, said = running.communicate(timeout=20)
    assert (answered.status, rest, running.returncode) == (200, "", 0)
    assert said.splitlines() == ["the operating table, for this computer alone · Ctrl-C ends it", "ended"]
