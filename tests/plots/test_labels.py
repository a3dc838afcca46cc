"""Any token can be drawn: nothing is invisible, nothing is mathematics, nothing is missing from the font."""

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.font_manager import findfont

from attention_surgeon.errors import OptionError
from attention_surgeon.plots import fonts, plot_attention_heatmap
from attention_surgeon.plots.labels import LONGEST_LABEL, text_width, visible_title, visible_token, wrapped
from tests.plots.probes import pixels, tick_texts


@pytest.mark.parametrize(
    ("token", "label"),
    [
        ("cat", "cat"),
        (" cat", "␣cat"),
        ("cat  ", "cat␣␣"),
        ("New York", "New York"),
        ("   ", "␣␣␣"),
        ("", "(empty)"),
        ("\n", "↵"),
        ("\t\n", "⇥↵"),
        ("a\r", "a\\r"),
        ("\x00", "\\x00"),
        ("\xa0", "\\xa0"),
        ("\u200b", "\\u200b"),
        ("\ud800", "\\ud800"),
        ("$x_1$", "$x_1$"),
        ("Ġthe", "Ġthe"),
        ("▁the", "▁the"),
        ("</script>", "</script>"),
        ("你好", "\\u4f60\\u597d"),
        ("你好吗", "\\u4f60\\u597d…"),
        ("🦜", "\\U0001f99c"),
        ("שלום", "שלום"),
        ("a" * 16, "a" * 16),
        ("a" * 17, "a" * 15 + "…"),
    ],
)
def test_a_token_is_made_visible_and_short(token, label, monkeypatch):
    monkeypatch.setattr(fonts, "_fonts_of_the_system", dict)
    fonts._fonts_with.cache_clear()
    assert visible_token(token) == label


def test_a_letter_that_our_font_lacks_is_drawn_by_one_that_has_it():
    others = (name for name in fonts._fonts_of_the_system() if name != fonts.FONT)
    ours = fonts.letters_of(fonts.FONT)
    name, letter = next(
        (name, chr(code))
        for name in others
        for code in sorted(fonts.letters_of(name) - ours)
        if chr(code).isprintable() and chr(code).isalpha()
    )
    fonts._fonts_with.cache_clear()
    assert visible_token(letter) == letter
    assert fonts.families_for([f"a{letter}"])[0] == fonts.FONT
    assert any(ord(letter) in fonts.letters_of(each) for each in fonts.families_for([letter])), name
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a missing glyph warns
        pixels(plot_attention_heatmap(torch.eye(2), [letter, "b"], title=letter))


def test_a_font_is_chosen_by_name_or_file_and_stands_first():
    try:
        fonts.use_font("STIXGeneral")
        assert fonts.families_for(["a"]) == ("STIXGeneral", fonts.FONT)
        fonts.use_font(findfont("DejaVu Serif"))
        assert fonts.families_for(["a"]) == ("DejaVu Serif", fonts.FONT)
        with pytest.raises(OptionError, match="font is 'No Such Font', expected a file"):
            fonts.use_font("No Such Font")
    finally:
        fonts.use_font(fonts.FONT)


ODD = ["$x$", "$", "x_1^2", "\\frac{1}{2}", "\n", "", " ", "你好", "👩🚀", "שלום", "العربية", "é", "\x1b[31m", "\ud800"]


def test_no_token_warns_or_fails_and_each_is_text():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = plot_attention_heatmap(torch.eye(len(ODD)), ODD)
        pixels(figure)
    assert tick_texts(figure, "y") == [visible_token(token) for token in ODD]
    labels = [*figure.axes[0].get_xticklabels(), *figure.axes[0].get_yticklabels()]
    assert not any(label.get_parse_math() for label in labels)


@given(st.text(alphabet=st.characters(), max_size=40))
def test_a_label_is_never_empty_nor_long_nor_invisible(token):
    label = visible_token(token)
    assert 0 < len(label) <= LONGEST_LABEL
    assert label.isprintable()
    assert label.strip(" ") == label


@settings(deadline=None, max_examples=30)
@given(st.text(alphabet="ab \n$你", max_size=100), st.floats(60, 400))
def test_a_title_stays_within_its_width_and_four_lines(title, width):
    lines = visible_title(title, 12.0, width).splitlines()
    assert len(lines) <= 4
    assert all(text_width(line, 12.0) <= width for line in lines)


def test_words_that_fit_are_kept_and_only_spaces_are_broken():
    assert wrapped("one two three", 10.0, 1000.0) == "one two three"
    assert wrapped("one two three", 10.0, text_width("one two", 10.0)) == "one two\nthree"
    assert wrapped("", 10.0, 100.0) == ""
    assert wrapped("w" * 50, 10.0, 100.0).endswith("w…")


def test_text_width_is_what_drawing_needs():
    from matplotlib.figure import Figure

    figure = Figure(dpi=72)
    for text in ("cat", "incomprehensibi…", "x_1$"):
        drawn = figure.text(0, 0, text, size=10, family=["DejaVu Sans"], parse_math=False)
        assert text_width(text, 10.0) == pytest.approx(drawn.get_window_extent().width, abs=1.5)
