import dataclasses
import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from attention_surgeon import __version__
from attention_surgeon.cli import app
from attention_surgeon.cli.cells import width_of
from attention_surgeon.cli.trace import screen_lines
from attention_surgeon.errors import SurgeonError
from attention_surgeon.masks import Mask, causal_mask
from attention_surgeon.models import trace_text
from attention_surgeon.ops import Mechanism
from attention_surgeon.trace import AttentionTrace, load_trace, record, trace_from_json
from tests.cli.conftest import Surgeon
from tests.cli.screens import CAT, DRAWN, EXIT_CODES, SCREENS, drawn, golden


def grid(screen: str) -> list[str]:
    """Return the rows of the grid, without what stands above and below it."""
    lines = screen.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(("weights,", "weights:")))
    end = next(i for i, line in enumerate(lines) if line.startswith("shades from"))
    return lines[start + 1 : end]


@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_is_as_it_was(name: str, surgeon: Surgeon, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CI", raising=False)  # there a line for code review is printed as well
    width, arguments = SCREENS[name]
    ran = surgeon(*arguments, columns=width)
    assert (ran.code, ran.err) == (EXIT_CODES.get(name, 0), "")
    assert ran.out == golden(name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", DRAWN)
def test_a_screen_of_a_diagnosis_is_as_it_was(name: str):
    assert drawn(name) == golden(name).read_text(encoding="utf-8")


TEXTS = {
    "one word": "Hello",
    "one sign": ".",
    "six": CAT,
    "forty": " ".join(f"{CAT} once more" for _ in range(5)),
    "a hundred and twenty": " ".join(f"word{n} and" for n in range(60)),
    "long words": "Donaudampfschifffahrtsgesellschaft Rindfleischetikettierungsüberwachung Grundstücksverkehr",
    "wide": "猫が座った。 日本語の文章 ｆｕｌｌ 한국어 문장",
    "marks": "नमस्ते हिन्दी தமிழ் สวัสดี e\u0301 a\u0323\u0302",
    "emoji": "👩‍🔬 👍🏽 🇩🇪🇫🇷 ❤️ 1️⃣ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 🫠",
    "right to left": "مرحبا بالعالم שלום",
    "white space": "a\tb\nc\r\nd\x0be\u00a0f\u2028g",
    "markup": "[bold]x[/bold] :smile: \\[y] <b> &amp;",
    "broken": "a\udcffb \ufffe \x1b[31m",
}


@pytest.mark.parametrize("mask", [None, causal_mask])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_line_is_wider_than_the_window(text: str, mask: Callable[[int], Mask] | None):
    trace = trace_text(text, mask=mask)
    checks = trace.checks()
    for columns in (12, 20, 40, 60, 80, 120, 250):
        lines = [line.plain.rstrip() for line in screen_lines(trace, 1, checks, columns)]
        assert not [line for line in lines if width_of(line) > columns]
        assert not [character for character in "".join(lines) if ord(character) < 32]


@pytest.mark.parametrize("text", [TEXTS["wide"], TEXTS["marks"], TEXTS["emoji"]])
@pytest.mark.parametrize("columns", [80, 250])
def test_the_diagonal_of_the_grid_is_straight(text: str, columns: int, surgeon: Surgeon):
    """With only itself to attend to, the n-th token's cell is the n-th one, wherever the row's label is wide."""
    rows = [row for row in grid(surgeon("trace", text, "--mask", "window:1", columns=columns).out) if "█" in row]
    places = [width_of(row[: row.index("█")]) for row in rows]
    steps = {after - before for before, after in itertools.pairwise(places)}
    assert len(rows) > 3
    assert len(steps) == 1


def test_wide_windows_show_numbers_and_narrow_ones_shades(surgeon: Surgeon):
    assert "█0.90" in surgeon("trace", CAT).out
    narrow = surgeon("trace", CAT, columns=24)
    assert "0.90" not in "\n".join(grid(narrow.out))
    assert [row.rstrip() for row in grid(narrow.out)[-9:-5]] == [
        "    T c s   t m",
        "    h a a o h a",
        "    e t t n e t",
        "The ▒▒  ░░  ▒▒░░",
    ]


def test_colours_are_for_terminals_that_want_them(surgeon: Surgeon, monkeypatch: pytest.MonkeyPatch):
    plain = surgeon("trace", CAT).out
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("FORCE_COLOR", "1")  # what is not a terminal is taken for one
    coloured = surgeon("trace", CAT).out
    assert "\x1b[32m✓\x1b[0m" in coloured
    assert "\x1b[1mThe \x1b[0m\x1b[36m▒0.43 \x1b[0m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain
    assert surgeon("trace", CAT, "--head", "9").err.startswith("\x1b[1;31merror\x1b[0m: --head is 9")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.findall(r"\x1b\[[0-9;]*3[0-9]", surgeon("trace", CAT).out)


def test_hidden_cells_are_dots(surgeon: Surgeon):
    rows = grid(surgeon("trace", "a b c", "--mask", "reverse").out)[1:]
    assert [row.count("·") for row in rows] == [0, 1, 2]


@pytest.mark.parametrize(
    ("mask", "hidden"),
    [("none", 0), ("causal", 15), ("reverse", 15), ("window:3", 21), ("prefix:2", 14), ("prefix:6", 0)],
)
def test_masks(mask: str, hidden: int, surgeon: Surgeon):
    trace = trace_from_json(surgeon("trace", CAT, "--mask", mask, "--json").out)
    assert (0 if trace.allowed is None else int((~trace.allowed[0]).sum())) == hidden


def test_options_reach_the_trace(surgeon: Surgeon):
    trace = trace_from_json(
        surgeon("trace", CAT, "--no-scale", "--heads", "3", "--size", "24", "--seed", "7", "--json").out
    )
    expected = trace_text(CAT, scale=False, num_heads=3, size=24, seed=7)
    assert trace.step_functions[1] == "leave_unscaled"
    assert torch.equal(trace.weights, expected.weights)
    assert trace.source == expected.source


def test_the_head_is_chosen(surgeon: Surgeon):
    first, third = (surgeon("trace", CAT, "--head", head).out for head in ("0", "2"))
    assert "weights, head 2 of 0 to 3" in third
    assert grid(first) != grid(third)


def test_text_from_a_file_and_from_stdin(tmp_path: Path, surgeon: Surgeon):
    (tmp_path / "text.txt").write_bytes(b"\xef\xbb\xbfThe cat sat\non the mat\n")
    shown = surgeon("trace", CAT).out
    assert surgeon("trace", "--file", tmp_path / "text.txt").out == shown
    assert surgeon("trace", "-", stdin=b"\xef\xbb\xbfThe cat sat\r\non the mat").out == shown
    assert surgeon("trace", f"{CAT} and slept", "--first", "6").out == shown


def test_json_is_one_valid_object_that_loads_again(tmp_path: Path, surgeon: Surgeon):
    ran = surgeon("trace", CAT, "--mask", "causal", "--json")
    document = json.loads(ran.out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert document["all_passed"] is True
    assert len(document["checks"]) == 24
    assert document["tensors"]["masked"]["values"][0][0][1:] == ["-inf"] * 5
    (tmp_path / "cat.json").write_text(ran.out)
    assert surgeon("trace", "--load", tmp_path / "cat.json").out == surgeon("trace", CAT, "--mask", "causal").out


def test_save_and_load(tmp_path: Path, surgeon: Surgeon):
    path = tmp_path / "cat.trace"
    ran = surgeon("trace", CAT, "--save", path)
    assert (ran.code, ran.err) == (0, f"saved {path}\n")
    assert surgeon("trace", "--load", path).out == ran.out == surgeon("trace", CAT).out
    again = surgeon("trace", "other", "--save", path)
    assert again.err == f"saved {path}; what was there is now {tmp_path / 'cat.1.trace'}\n"
    assert load_trace(tmp_path / "cat.1.trace").query_tokens == tuple(CAT.split())


def saved(trace: AttentionTrace, folder: Path) -> Path:
    trace.save(folder / "a.trace")
    return folder / "a.trace"


def test_a_failed_check_is_shown_and_ends_with_1(tmp_path: Path, surgeon: Surgeon):
    x = torch.tensor([[1.0, 2.0], [0.0, 1.0], [2.0, 0.0]])
    wrong = record(x, x, x, mechanism=Mechanism(normalise=lambda masked, _: masked.softmax(-2)))
    ran = surgeon("trace", "--load", saved(wrong, tmp_path))
    assert (ran.code, ran.err) == (1, "")
    lines = ran.out.splitlines()
    assert "weights  <lambda>       3×3    0.05 … 0.81  ✗ softmax: 6 of 9 differ, the most …" in lines
    assert "3 of 24 checks failed" in lines
    told = lines.index("  weights, rows: rows sum to 0.426 to 1.57, not to 1; the columns do: the")
    assert lines[told + 1] == "    softmax ran over the queries"
    assert surgeon("trace", "--load", tmp_path / "a.trace", "--json").code == 1


def test_nan_is_drawn_as_a_question(tmp_path: Path, surgeon: Surgeon):
    trace = trace_text("a b")
    trace.weights[0, 0, 1] = float("nan")
    ran = surgeon("trace", "--load", saved(trace, tmp_path))
    assert ran.code == 1
    assert "?nan" in grid(ran.out)[1]
    pooled = trace_text(" ".join(str(n) for n in range(50)))
    pooled.weights[0, 0, 1] = float("nan")
    assert "??" in grid(surgeon("trace", "--load", saved(pooled, tmp_path)).out)[-25 if False else 2]


def test_weights_of_the_wrong_shape_are_not_drawn(tmp_path: Path, surgeon: Surgeon):
    trace = trace_text("a b c")
    ran = surgeon("trace", "--load", saved(dataclasses.replace(trace, weights=trace.weights[..., :2]), tmp_path))
    assert ran.code == 1
    assert ran.out.splitlines()[-1] == "weights: nothing to draw"


def test_a_trace_of_another_kind(tmp_path: Path, surgeon: Surgeon):
    """Cross-attention in a batch, without heads, recorded in bfloat16."""
    Q, K = torch.ones(2, 3, 5, dtype=torch.bfloat16), torch.zeros(2, 7, 5, dtype=torch.bfloat16)
    trace = record(Q, K, K, query_tokens=list("abc"), key_tokens=list("tuvwxyz"), leading_axes=["batch"])
    ran = surgeon("trace", "--load", saved(trace, tmp_path))
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0:2] == ["a b c", "2 batches · 3 queries · 7 keys · d_k 5 · d_v 5 · bfloat16"]
    assert "weights, batch 0 of 0 to 1: each row shows whom its token attends to" in lines
    assert lines[-2] == "Strongest: 'a' gives 't' 0.14 of its attention (as strong: 20 other pairs)."
    assert lines[-1] == "Pattern: uniform, 1.00 of the attention."


def test_nothing_at_all_is_not_drawn(tmp_path: Path, surgeon: Surgeon):
    ran = surgeon("trace", "--load", saved(record(torch.ones(0, 2), torch.ones(3, 2), torch.ones(3, 2)), tmp_path))
    assert ran.code == 0
    assert ran.out.splitlines()[-1] == "weights: nothing to draw"


def test_nobody_attends(tmp_path: Path, surgeon: Surgeon):
    x = torch.ones(2, 3)
    ran = surgeon("trace", "--load", saved(record(x, x, x, torch.zeros(2, 2).bool()), tmp_path))
    assert ran.code == 0
    assert ran.out.splitlines()[-1] == "Nobody attends to anybody: no weight is above 0."


def test_weights_of_0_are_blank(tmp_path: Path, surgeon: Surgeon):
    trace = trace_text("a b")
    nothing = dataclasses.replace(trace, weights=torch.zeros_like(trace.weights))
    ran = surgeon("trace", "--load", saved(nothing, tmp_path))
    assert [row.split() for row in grid(ran.out)[1:]] == [["a", "0.00", "0.00"], ["b", "0.00", "0.00"]]


def test_version_and_no_command(surgeon: Surgeon):
    assert surgeon("--version") == (0, f"attention-surgeon {__version__}\n", "")
    assert surgeon().out == surgeon("--help").out


WAYS = (
    'expected one of: surgeon trace "The cat sat on the mat"; surgeon trace --file FILE; '
    "surgeon trace - (the standard input); surgeon trace --load FILE."
)

WRONG = {
    (): f"no text given, {WAYS}",
    ("a", "--file", "b"): f"both a text and --file given, {WAYS}",
    ("",): "the text holds no word and no sign, so there is nothing that could attend.",
    (" \t\n",): "the text holds no word and no sign, so there is nothing that could attend.",
    ("a", "--mask", "window"): (
        "--mask is 'window', expected none, causal, reverse, window:3 (the query and the 2 before it) or prefix:2 "
        "(the first 2 for all)."
    ),
    ("a", "--mask", "causal:2"): (
        "--mask is 'causal:2', expected none, causal, reverse, window:3 (the query and the 2 before it) or prefix:2 "
        "(the first 2 for all)."
    ),
    ("a", "--mask", "window:²"): (
        "--mask is 'window:²', expected none, causal, reverse, window:3 (the query and the 2 before it) or prefix:2 "
        "(the first 2 for all)."
    ),
    ("a", "--heads", "0"): "--heads is 0, expected at least 1.",
    ("a", "--size", "-8"): "--size is -8, expected at least 1.",
    ("a", "--first", "0"): "--first is 0, expected at least 1.",
    ("a", "--head", "4"): "--head is 4, but there are 4 heads, 0 to 3.",
    ("a", "--head", "-1"): "--head is -1, but there are 4 heads, 0 to 3.",
    ("a", "--heads", "1", "--head", "1"): "--head is 1, but there is one head, 0.",
    ("a", "--heads", "3", "--size", "64"): (
        "spelling_attention: size 64 cannot be cut into 3 equal heads; leave size out, or take 72."
    ),
    ("a", "--load", "b", "--no-scale", "--seed", "0"): (
        "--load prints a trace as it was saved, so it goes without TEXT, --no-scale, --seed."
    ),
    ("--file", "/no/such"): "cannot read /no/such: there is no such file; check the name and the folder.",
    ("--file", "/"): "cannot read /: a folder stands there; give a file name.",
    ("--load", "/no/such"): "cannot read /no/such: there is no such file; check the name and the folder.",
    ("--load", "/"): "cannot read /: it is a folder; give the name of a trace file.",
    ("a", "--save", "/no/such/a"): (
        "cannot write /no/such/a: its folder does not exist; make it first, or choose another place."
    ),
    ("--zzz",): "No such option: --zzz. See surgeon trace --help.",
}


@pytest.mark.usefixtures("own_messages")
@pytest.mark.parametrize(("arguments", "message"), WRONG.items(), ids=[" ".join(key) for key in WRONG])
def test_a_wrong_call_says_the_way_out(arguments: tuple[str, ...], message: str, surgeon: Surgeon):
    assert surgeon("trace", *arguments) == (2, "", f"error: {message}\n")


def test_too_many_tokens(tmp_path: Path, surgeon: Surgeon):
    (tmp_path / "long.txt").write_text("word " * 2001)
    ran = surgeon("trace", "--file", tmp_path / "long.txt")
    assert ran == (
        2,
        "",
        "error: the text has 2,001 tokens; a trace keeps the weight of every pair, so 2,000 are the most. "
        "Look at the beginning with --first 2000.\n",
    )


def test_what_is_no_utf8(tmp_path: Path, surgeon: Surgeon):
    (tmp_path / "text.txt").write_bytes(b"caf\xe9")
    assert surgeon("trace", "--file", tmp_path / "text.txt").err == (
        f"error: cannot read {tmp_path / 'text.txt'}: it is not UTF-8 text (byte 3); save it as UTF-8 and try again.\n"
    )
    assert surgeon("trace", "-", stdin=b"caf\xe9").err == (
        "error: cannot read the standard input: it is not UTF-8 text (byte 3); convert it, for example with "
        "iconv -f latin1 -t utf-8.\n"
    )


def test_a_bug_shows_its_traceback_and_says_whose_it_is(monkeypatch: pytest.MonkeyPatch, surgeon: Surgeon):
    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("attention_surgeon.models.trace_text", broken)
    monkeypatch.setattr("attention_surgeon.cli.trace_input.trace_text", broken)
    ran = surgeon("trace", "a")
    assert (ran.code, ran.out) == (70, "")
    assert "Traceback (most recent call last):" in ran.err
    assert ran.err.splitlines()[-2:] == [
        "ZeroDivisionError: a bug",
        "bug: this is a mistake in attention-surgeon, not in your call; please report it with the lines above.",
    ]


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "stopped\n"),
        (EOFError(), 130, "\nstopped\n"),
        (SurgeonError("no."), 2, "error: no.\n"),
    ],
)
def test_other_ends(raised: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, surgeon: Surgeon):
    def broken(*arguments: object, **options: object) -> None:
        raise raised

    monkeypatch.setattr("attention_surgeon.cli.trace_input.trace_text", broken)
    assert surgeon("trace", "a") == (code, "", said)


def test_main_leaves_with_the_exit_code(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(app, "run", lambda arguments: 3)
    with pytest.raises(SystemExit) as left:
        app.main(["anything"])
    assert left.value.code == 3


def test_weights_that_are_none_have_no_pattern(tmp_path: Path, surgeon: Surgeon):
    x = torch.tensor([[1.0, 2.0], [0.0, 1.0]])
    over_queries = Mechanism(normalise=lambda masked, operands: masked.softmax(dim=-2))
    ran = surgeon("trace", "--load", saved(record(x, x, x, mechanism=over_queries), tmp_path))
    assert ran.code == 1
    assert "Strongest:" in ran.out
    assert "Pattern:" not in ran.out
