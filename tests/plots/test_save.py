"""A saved figure is whole, what its suffix says, and the same bytes every time."""

import errno
import os
from pathlib import Path

import pytest
from matplotlib import rc_context
from matplotlib.figure import Figure

from attention_surgeon.errors import ArgumentTypeError, FileAccessError, OptionError
from attention_surgeon.plots import plot_attention_heatmap, plot_mask, plot_multihead_attention, save_figure
from attention_surgeon.plots.style import saving
from tests.plots.probes import tokens, weights

SUFFIXES = [".png", ".svg", ".pdf"]
BEGINNINGS = {".png": b"\x89PNG\r\n", ".svg": b"<?xml", ".pdf": b"%PDF-"}


def grid() -> Figure:
    return plot_multihead_attention(weights(3, 2, 2), tokens(2), 3)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_suffix_decides_the_format(tmp_path: Path, suffix):
    path = tmp_path / f"a.b{suffix.upper()}"
    assert save_figure(grid(), path) == path
    assert path.read_bytes().startswith(BEGINNINGS[suffix])
    assert [child.name for child in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_figure_gives_the_same_bytes_whatever_was_saved_before(tmp_path: Path, suffix):
    figure = grid()
    first = save_figure(figure, tmp_path / f"first{suffix}").read_bytes()
    save_figure(figure, tmp_path / "between.png")
    assert save_figure(figure, tmp_path / f"again{suffix}").read_bytes() == first
    with rc_context({"savefig.facecolor": "red", "svg.fonttype": "none", "pdf.compression": 0}):
        assert save_figure(grid(), tmp_path / f"made anew{suffix}").read_bytes() == first


def test_a_figure_that_is_drawn_once_is_what_matplotlib_would_write(tmp_path: Path):
    figure = grid()
    canvas, dots_per_inch = figure.canvas, figure.dpi
    ours = save_figure(figure, tmp_path / "ours.png").read_bytes()
    assert (figure.canvas, figure.dpi) == (canvas, dots_per_inch)
    with saving():
        figure.savefig(tmp_path / "theirs.png", dpi=150)
    assert (tmp_path / "theirs.png").read_bytes() == ours


def test_the_dark_background_is_saved_too(tmp_path: Path):
    figure = plot_mask(weights(2, 2) > 0.5, theme="dark")
    assert "#0e131b" in save_figure(figure, tmp_path / "dark.svg").read_text()


def test_tokens_do_not_run_in_an_svg(tmp_path: Path):
    figure = plot_attention_heatmap(weights(2, 2), ["<script>alert(1)</script>", "]]> & --><b>"], "<img onerror=x>")
    content = save_figure(figure, tmp_path / "a.svg").read_text()
    assert "<script" not in content
    assert "<img" not in content
    assert "<b>" not in content


def test_text_in_a_pdf_is_text(tmp_path: Path):
    content = save_figure(grid(), tmp_path / "a.pdf").read_bytes()
    assert b"/TrueType" in content or b"/CIDFontType2" in content


def test_an_older_file_is_replaced_and_keeps_its_neighbours(tmp_path: Path):
    path = tmp_path / "a.png"
    path.write_text("older")
    save_figure(grid(), path)
    assert path.read_bytes().startswith(BEGINNINGS[".png"])


def test_a_full_disk_leaves_the_older_file_and_no_half_file(tmp_path: Path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_text("older")
    figure = grid()

    def full(self: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(FileAccessError, match="the disk is full; free some space and try again"):
        save_figure(figure, path)
    assert path.read_text() == "older"
    assert [child.name for child in tmp_path.iterdir()] == ["a.png"]


def test_a_drawing_that_fails_leaves_the_older_file(tmp_path: Path):
    path = tmp_path / "a.png"
    path.write_text("older")
    broken = Figure()
    broken.text(0, 0, "$\\nonsense{$")
    with pytest.raises(ValueError, match="nonsense"):
        save_figure(broken, path)
    assert [(child.name, child.read_text()) for child in tmp_path.iterdir()] == [("a.png", "older")]


def test_a_missing_folder_is_not_made(tmp_path: Path):
    path = tmp_path / "missing" / "a.png"
    with pytest.raises(FileAccessError) as caught:
        save_figure(grid(), path)
    reason = "its folder does not exist; make it first, or choose another place"
    assert str(caught.value) == f"cannot write {path}: {reason}."
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_way_is_named(tmp_path: Path):
    path = tmp_path / "a.png"
    path.mkdir()
    with pytest.raises(FileAccessError) as caught:
        save_figure(grid(), path)
    assert str(caught.value) == f"cannot write {path}: a folder stands there; give a file name."


@pytest.mark.parametrize(("name", "ending"), [("a.eps", "the suffix .eps"), ("a", "no suffix"), (".png", "no suffix")])
def test_another_suffix_is_refused_with_the_choices(tmp_path: Path, name, ending):
    with pytest.raises(OptionError) as caught:
        save_figure(grid(), tmp_path / name)
    assert str(caught.value) == f"save_figure: {tmp_path / name} has {ending}; the choices are .png, .svg and .pdf."
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("own_messages")
def test_what_is_no_figure_is_refused():
    with pytest.raises(ArgumentTypeError, match="figure is a list, expected a matplotlib Figure"):
        save_figure([], "a.png")  # pyright: ignore[reportArgumentType]
