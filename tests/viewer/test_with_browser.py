"""The page in a real browser: every view, by mouse, keyboard, finger, in light and dark, wide and narrow."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser

from attention_surgeon.stats import pool_weights
from attention_surgeon.trace import record
from attention_surgeon.viewer import compare, view
from tests.viewer.conftest import Opener
from tests.viewer.probes import HOSTILE, TOKENS, trace, weights

GROUNDS = {"light": "rgb(255, 255, 255)", "dark": "rgb(14, 19, 27)"}


def words_of(weight: float, query: str, key: str) -> str:
    return f"'{query}' gives {weight:.2f} of its attention to '{key}'"


def test_the_map_says_the_cell_under_the_mouse_exactly(opened: Opener):
    weight = torch.tensor([[0.75, 0.25, 0.0], [0.5, 0.125, 0.375], [0.1, 0.3, 0.6]])
    shown = opened(view(weight, tokens=["the", "cat", "sat"]))
    assert "'the' gives 0.75 of its attention to 'the'" in shown.says
    box = shown.stage.locator("canvas").bounding_box()
    assert box
    shown.page.mouse.move(box["x"] + box["width"] - 40, box["y"] + box["height"] / 2)
    assert words_of(0.375, "cat", "sat") in shown.says
    assert "weight 0.375" in shown.says
    assert words_of(0.375, "cat", "sat") in shown.heard


def test_zoom_to_an_exact_cell_of_a_long_text(opened: Opener):
    weight = torch.full((512, 512), 0.0)
    weight[:, 0] = 0.5
    weight[torch.arange(512), torch.arange(512)] += 0.5
    weight[300] = 0.0
    weight[300, 411], weight[300, 17] = 0.8125, 0.1875
    shown = opened(view(weight, tokens=[f"w{i}" for i in range(512)]))
    shown.stage.focus()
    assert "'w300' gives 0.81 of its attention to 'w411'" in shown.says  # where it begins: what stands out
    shown.page.keyboard.press("Home")
    assert "'w300' gives nothing to 'w0'" in shown.says
    for _ in range(41):
        shown.page.keyboard.press("Shift+ArrowRight")
    shown.page.keyboard.press("ArrowRight")
    assert "'w300' gives 0.81 of its attention to 'w411'" in shown.says
    for _ in range(12):
        shown.page.keyboard.press("+")
    assert "weight 0.8125" in shown.says
    box = shown.stage.locator("canvas").bounding_box()
    assert box
    found = shown.page.evaluate(
        "() => { const c = document.querySelector('.stage canvas'), r = devicePixelRatio;"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let dark = 0;"
        "for (let i = 0; i < d.length; i += 4) if (d[i] < 60 && d[i + 2] > 60 && d[i + 2] < 140) dark += 1;"
        "return dark; }"
    )
    assert found > 2000  # the one strong cell is now a large dark square
    shown.page.keyboard.press("0")
    assert "'w300'" in shown.says


def test_wheel_and_drag_move_the_map(opened: Opener):
    shown = opened(view(torch.eye(128)))
    box = shown.stage.locator("canvas").bounding_box()
    assert box
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    shown.page.mouse.move(*middle)
    before = shown.says
    for _ in range(8):
        shown.page.mouse.wheel(0, -300)
        shown.settle()
    assert shown.says == before  # the cell under the mouse stays there
    shown.page.mouse.down()
    shown.page.mouse.move(middle[0] - 200, middle[1] - 100)
    shown.page.mouse.up()
    shown.page.mouse.move(*middle)
    assert shown.says != before


def test_the_sink_is_hidden_with_its_share_stated(opened: Opener):
    weight = torch.tensor([[0.9, 0.1, 0.0], [0.6, 0.2, 0.2], [0.9, 0.05, 0.05]])
    shown = opened(view(weight, tokens=["[CLS]", "cat", "sat"]))
    assert "Hidden" not in shown.page.locator(".note").first.inner_text()
    shown.page.get_by_role("button", name="Hide the sink").click()
    shown.settle()
    assert (
        "Hidden: the column of '[CLS]', which gets 80 % of the attention"
        in shown.page.locator(".note").first.inner_text()
    )
    assert shown.page.get_by_role("button", name="Hide the sink").get_attribute("aria-pressed") == "true"
    assert "scale from 0 to 0.20" in (shown.page.locator(".legend canvas").get_attribute("aria-label") or "")


def test_logarithmic_colours_show_what_linear_ones_hide(opened: Opener):
    weight = torch.tensor([[0.999, 0.001], [0.5, 0.5]])
    shown = opened(view(weight))
    shown.choose("Colours", "logarithmic")
    assert "logarithmic scale from 0 to 1.00" in (
        shown.page.locator(".legend canvas").get_attribute("aria-label") or ""
    )


def test_the_wall_sorts_groups_and_opens(opened: Opener):
    sharp, broad = torch.eye(11), torch.full((11, 11), 1 / 11)
    stacked = torch.stack([torch.stack([broad, sharp]), torch.stack([sharp, broad])])
    shown = opened(view(stacked, axes=("layer", "head"), key_value_heads=1))
    shown.go("heads")
    assert shown.page.locator(".tile").count() == 4
    assert shown.page.locator(".group").count() == 2
    assert shown.page.locator(".group > span").first.inner_text() == "key/value head 0"
    shown.page.wait_for_selector(".tile[data-drawn]")
    shown.choose("Sort by", "Entropy")
    labels = [tile.get_attribute("title") for tile in shown.page.locator(".tile").all()]
    assert [label and label.split(", uniform")[0].split(", diagonal")[0] for label in labels] == [
        "layer 0, head 0", "layer 1, head 1", "layer 0, head 1", "layer 1, head 0",
    ]  # fmt: skip
    shown.page.locator(".tile").nth(1).click()
    shown.page.wait_for_selector("#page[data-drawn=map]")
    assert "layer 1, head 1" in shown.says


def test_lines_name_the_strongest_keys(opened: Opener):
    shown = opened(view(trace(), title="lines"))
    shown.go("lines")
    shown.choose("Map", "head 0")
    shown.stage.focus()
    shown.page.keyboard.press("Shift+ArrowUp")
    shown.page.keyboard.press("ArrowDown")
    row = trace().weights[0, 1]
    best = int(row.argmax())
    assert f"'cat' gives most to '{TOKENS[best]}' ({row[best]:.2f})" in shown.says
    assert shown.heard.startswith("'cat' gives most to")


def test_the_steps_of_a_pair_add_up(opened: Opener):
    made = trace(causal=True)
    shown = opened(view(made))
    shown.go("steps")
    shown.choose("Map", "head 0")
    shown.choose("From", "2 sat")
    shown.choose("to", "1 cat")
    text = shown.page.locator(".steps").inner_text()
    score, scaled, weight = (float(getattr(made, name)[0, 2, 1]) for name in ("scores", "scaled", "weights"))
    assert f"add up to {_signed(score)}." in text
    assert f"{_signed(score)} becomes {_signed(scaled)}." in text
    assert f"this is {_signed(weight)}." in text
    assert shown.page.locator(".step").first.locator("tbody tr").count() == 7
    assert shown.page.locator(".step").last.locator("tbody tr").count() == 2
    shown.choose("to", "4 mat")
    assert "'sat' may not attend to 'mat': the score is set to −∞." in shown.page.locator(".steps").inner_text()
    assert shown.page.locator(".warning").count() == 0


def _signed(value: float) -> str:
    return f"{float(f'{value:.4g}'):g}".replace("-", "−")


def test_a_step_that_was_replaced_is_told(opened: Opener):
    from attention_surgeon.ops import Mechanism

    def halve(masked: torch.Tensor, operands: object) -> torch.Tensor:
        return masked.softmax(-1) / 2

    made = record(torch.ones(3, 2), torch.eye(2), torch.eye(2), mechanism=Mechanism(normalise=halve))
    shown = opened(view(made))
    note = shown.page.locator(".note").first.inner_text()
    assert "The rows of this map sum to 0.5, not to 1: it is shown as it is, and not measured." in note
    shown.go("steps")
    assert "The weight that was recorded is 0.25: this call ran halve." in shown.page.locator(".warning").inner_text()


def test_weights_alone_have_no_steps_and_the_page_says_why(opened: Opener):
    shown = opened(view(torch.eye(3)))
    shown.go("steps")
    assert "The steps are not in this page" in shown.page.locator(".steps").inner_text()


def test_numbers_sort_and_are_saved(opened: Opener):
    stacked = torch.stack([torch.full((7, 7), 1 / 7), torch.eye(7), weights(7, 7)])
    shown = opened(view(stacked, tokens=list("abcdefg"), title="=1+1"))
    shown.go("numbers")
    shown.page.get_by_role("button", name="Entropy", exact=True).click()
    names = shown.page.locator("tbody th").all_inner_texts()
    assert names == ["head 0", "head 2", "head 1"]
    assert shown.page.locator("th[aria-sort=descending]").count() == 1
    assert "Shannon" in shown.page.locator(".note").first.inner_text()
    table = shown.saved("Save CSV").decode().splitlines()
    assert table[0].startswith("head,pattern,entropy,")
    assert len(table) == 4
    found = json.loads(shown.saved("Save JSON"))
    assert abs(found["maps"][0]["numbers"]["entropy"] - 1.945910) < 1e-5
    assert found["maps"][1] | {"numbers": 0} == {"place": {"head": "1"}, "pattern": "diagonal", "numbers": 0}


def test_the_map_is_saved_as_png_and_svg(opened: Opener):
    shown = opened(view(trace(), title="<b>"))
    shown.go("map")
    assert shown.saved("PNG").startswith(b"\x89PNG")
    drawing = shown.saved("SVG").decode()
    assert drawing.startswith("<svg ")
    assert drawing.count(">cat</text>") == 2


def test_before_and_after_share_one_cursor(opened: Opener):
    before, after = weights(2, 5, 5), weights(2, 5, 5)
    before[1, 2] = torch.tensor([0.25, 0.25, 0.25, 0.25, 0.0])
    after[1, 2] = torch.tensor([0.125, 0.125, 0.0, 0.0, 0.75])
    shown = opened(compare(before, after, tokens=TOKENS))
    assert shown.page.locator(".three canvas").count() == 3
    assert "'sat' gave 0 of its attention to 'mat', now 0.75 (+0.75).\nhead 1" in shown.says
    shown.stage.focus()
    shown.page.keyboard.press("Home")
    assert "'sat' gave 0.25 of its attention to 'the', now 0.13 (−0.125)." in shown.says
    assert shown.page.locator("table.numbers tbody tr").count() == 2
    shown.go("map")
    shown.choose("Show", "after")
    assert "'sat' gives 0.13 of its attention to 'the'" in shown.says


def test_a_comparison_with_itself_is_blank(opened: Opener):
    same = weights(5, 5)
    shown = opened(compare(same, same, tokens=TOKENS))
    cells = shown.page.locator(".three canvas").nth(2)
    colour = cells.evaluate(
        "c => [...c.getContext('2d').getImageData(c.width - 30, c.height - 30, 1, 1).data].slice(0, 3)"
    )
    assert colour == [251, 250, 247]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_follow_the_system_and_the_choice(scheme: str, opened: Opener):
    shown = opened(view(trace()), color_scheme=scheme)
    ground = "getComputedStyle(document.body).backgroundColor"
    assert shown.page.evaluate(ground) == GROUNDS[scheme]
    other = "dark" if scheme == "light" else "light"
    shown.choose("Theme", other)
    assert shown.page.evaluate(ground) == GROUNDS[other]


def test_everything_fits_a_phone(opened: Opener):
    shown = opened(compare(trace(), trace(causal=True)), has_touch=True, device_scale_factor=2)
    shown.page.set_viewport_size({"width": 390, "height": 844})
    for name in ("compare", "map", "heads", "lines", "steps", "numbers"):
        shown.go(name)
        shown.settle()
        assert shown.overflow() <= 0, name
    shown.go("map")
    box = shown.stage.locator("canvas").bounding_box()
    assert box
    assert box["width"] <= 390
    shown.page.touchscreen.tap(box["x"] + box["width"] - 20, box["y"] + box["height"] - 20)
    assert "to 'mat'" in shown.says


def test_the_keyboard_alone_reaches_everything(opened: Opener):
    shown = opened(view(trace()))
    press = shown.page.keyboard.press
    press("Tab")  # the theme
    press("Tab")  # the tabs
    focused = "document.activeElement.id || document.activeElement.textContent"
    assert shown.page.evaluate(focused) == "tab-heads"
    for name in ("map", "text", "lines", "steps", "numbers", "heads", "map"):
        press("ArrowRight")
        shown.page.wait_for_selector(f"#page[data-drawn={name}]")
        assert shown.page.evaluate(focused) == f"tab-{name}"
    for _ in range(20):
        press("Tab")
        if shown.page.evaluate("document.activeElement.className") == "stage":
            break
    press("Shift+ArrowUp")
    press("ArrowDown")
    press("End")
    assert "'cat' gives" in shown.says
    assert "to 'mat'" in shown.says
    before = shown.says
    press("PageDown")
    assert "head " in shown.says
    assert shown.says != before
    assert shown.page.evaluate("document.activeElement.className") == "stage"


def test_a_screen_reader_finds_names_and_roles(opened: Opener):
    shown = opened(view(trace()))
    assert shown.page.get_by_role("tablist").count() == 1
    assert shown.page.get_by_role("tab", selected=True).inner_text() == "Heads"
    assert shown.page.get_by_role("tabpanel").get_attribute("aria-labelledby") == "tab-heads"
    shown.go("map")
    assert "Arrow keys" in (shown.stage.get_attribute("aria-label") or "")
    named = "e => Boolean(e.ariaLabel || e.textContent.trim() || e.labels?.length)"
    unnamed = f"[...document.querySelectorAll('button, select')].filter(e => !({named})(e)).length"
    assert shown.page.evaluate(unnamed) == 0
    assert shown.page.evaluate("document.documentElement.lang") == "en"


def test_hostile_tokens_are_shown_as_text_and_run_nothing(opened: Opener):
    made = torch.eye(20)[None] * 0.5 + torch.full((20, 20), 0.5 / 20)
    title = "</title><script>alert(9)</script>"
    shown = opened(compare(made, made, tokens=HOSTILE, title=title, labels=("<i>", "<script>alert(10)</script>")))
    for name in ("compare", "map", "heads", "lines", "steps", "numbers"):
        shown.go(name)
        shown.settle()
    assert shown.page.locator("h1").inner_text() == title
    shown.go("map")
    shown.stage.focus()
    for token in ("</script><script>alert(1)</script>", "<!--<script>", "-->", "<img src=x onerror=alert(2)>"):
        assert f"to '{token}'" in shown.says
        shown.page.keyboard.press("ArrowRight")
    assert shown.page.locator("img, iframe, object").count() == 0
    assert shown.page.evaluate("document.scripts.length") == 2
    drawing = shown.saved("SVG").decode()
    assert "<script" not in drawing
    shown.page.keyboard.press("Home")
    for _ in range(12):
        shown.page.keyboard.press("ArrowRight")
    assert shown.overflow() <= 0


def test_a_pooled_map_says_what_its_cells_are(opened: Opener):
    pooled = pool_weights(torch.eye(1030), resolution=128)
    shown = opened(view(pooled))
    assert "From the 9 queries at 'query 0 to 8' to the 9 keys at 'key 0 to 8' the largest weight is 1.00" in shown.says
    shown.choose("A cell shows", "its mean")
    assert "the mean weight is 0.11" in shown.says
    assert "9 × 9 weights" in shown.page.locator(".note").first.inner_text()


def test_a_page_in_a_notebook_is_shut_in(browser: Browser, tmp_path: Path):
    made = view(trace(), title='"><script>alert(1)</script>')._repr_html_()
    (tmp_path / "notebook.html").write_text(f"<!doctype html><title>n</title>{made}", encoding="utf-8")
    page = browser.new_page()
    problems: list[str] = []
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto((tmp_path / "notebook.html").as_uri())
    frame = page.frame_locator("iframe")
    frame.locator(".tile[data-drawn]").first.wait_for()
    frame.locator("#tab-map").click()
    frame.locator("#page[data-drawn=map]").wait_for()
    assert "of its attention to '" in frame.locator(".says").inner_text()
    assert page.evaluate("document.querySelector('iframe').contentDocument") is None  # another origin
    assert not problems
    page.close()


_PIECES = ["The", " fer", "ryman", " sat", "."]


def _of_pieces(opened: Opener) -> Any:
    """Open a page of three heads over five tokens that make four words; head 0 looks at the token before."""
    before = torch.eye(5).roll(1, 0)
    before[0] = torch.tensor([1.0, 0, 0, 0, 0])
    even = torch.tril(torch.ones(5, 5)) / torch.arange(1, 6)[:, None]
    first = torch.zeros(5, 5)
    first[:, 0] = 1.0
    return opened(view(torch.stack([before, even, first]), tokens=_PIECES))


def test_it_opens_on_the_wall_with_names_and_then_on_what_stands_out(opened: Opener):
    shown = _of_pieces(opened)
    assert shown.page.locator("#page").get_attribute("data-drawn") == "heads"
    tiles = [tile.inner_text().split("\n")[-1] for tile in shown.page.locator(".tile").all()]
    assert tiles == ["previous token", "uniform", "sink"]
    shown.page.locator(".tile").first.click()
    shown.page.wait_for_selector("#page[data-drawn=map]")
    assert "'The' gives" not in shown.says  # its one key is forced on it
    assert "gives 1.00 of its attention to" in shown.says


def test_one_scale_of_colours_for_all_or_each_its_own(opened: Opener):
    weight = torch.stack([torch.full((4, 4), 0.25), torch.eye(4)])
    shown = opened(view(weight, tokens=["a", "b", "c", "d"]))
    pixel = (
        "[...document.querySelectorAll('.tile canvas')].map(c => c.getContext('2d').getImageData(0, 0, 1, 1).data[0])"
    )
    shown.page.wait_for_selector(".tile[data-drawn] + .tile[data-drawn]")
    even, one = shown.page.evaluate(pixel)
    assert even > one + 100  # 0.25 is lighter than 1
    shown.choose("Scale", "each its own")
    shown.page.wait_for_selector(".tile[data-drawn] + .tile[data-drawn]")
    even, one = shown.page.evaluate(pixel)
    assert even == one  # each is the largest of its map


def test_the_text_is_coloured_by_what_the_pointer_is_on(opened: Opener):
    shown = _of_pieces(opened)
    shown.choose_tab_and_map("text", "head 0")
    token = shown.page.locator(".running .pick")
    token.nth(3).hover()
    assert "' sat' gives most to 'ryman' (1.00)." in shown.says
    shown.page.wait_for_function("() => document.querySelectorAll('.pick')[2].style.background === 'rgb(13, 36, 79)'")
    token.nth(4).focus()
    shown.page.keyboard.press("ArrowLeft")
    shown.page.keyboard.press("ArrowLeft")
    assert "'ryman' gives most to ' fer' (1.00)." in shown.says
    shown.page.get_by_role("button", name="What it gets").click()
    token.nth(2).hover()
    assert "'ryman' gets most from ' sat' (1.00)." in shown.says


def test_words_of_several_tokens_are_shown_as_one(opened: Opener):
    shown = _of_pieces(opened)
    shown.choose_tab_and_map("map", "head 0")
    shown.page.get_by_role("button", name="Whole words").click()
    shown.stage.focus()
    for key in ("Shift+ArrowUp", "Home", "ArrowDown"):
        shown.page.keyboard.press(key)
    assert "' ferryman' gives 0.50 of its attention to 'The'" in shown.says  # the mean of 1 and 0
    shown.page.keyboard.press("ArrowRight")
    assert "' ferryman' gives 0.50 of its attention to ' ferryman'" in shown.says


def test_lines_of_all_tokens_and_of_several_heads(opened: Opener):
    shown = _of_pieces(opened)
    shown.choose_tab_and_map("lines", "head 0")
    inked = (
        "() => { const c = document.querySelector('.stage canvas');"
        "const d = c.getContext('2d').getImageData(c.width / 2, 0, 1, c.height).data; let n = 0;"
        "for (let i = 3; i < d.length; i += 4) n += d[i] > 40; return n; }"
    )
    one = shown.page.evaluate(inked)
    shown.page.get_by_role("button", name="All tokens").click()
    shown.page.wait_for_timeout(60)
    all_tokens = shown.page.evaluate(inked)
    assert all_tokens > one
    shown.page.get_by_role("group", name="Heads that are drawn as well").get_by_role("button", name="2").click()
    shown.page.wait_for_timeout(60)
    assert shown.page.evaluate(inked) > all_tokens


def test_paper_gets_every_map_in_light_colours(opened: Opener):
    stacked = torch.eye(30).expand(9, 12, 30, 30)
    shown = opened(view(stacked, axes=("layer", "head")), color_scheme="dark")
    shown.page.set_viewport_size({"width": 700, "height": 400})
    shown.page.wait_for_function("() => !document.querySelector('.tile:not([data-drawn])')")  # also those far below
    shown.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    first = "c => c.getContext('2d').getImageData(1, 0, 1, 1).data[0] > 200"
    light = f"[...document.querySelectorAll('.tile canvas')].filter({first}).length"
    assert shown.page.evaluate(light) == 108
    assert shown.page.evaluate("document.documentElement.dataset.theme") == "light"
    shown.page.evaluate("dispatchEvent(new Event('afterprint'))")
    shown.page.wait_for_function("() => document.documentElement.dataset.theme === 'dark'")


AXE = Path(__file__).parent / "page" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not there (make check fetches it with npm)")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_complain_about_in_a_picture(scheme: str, opened: Opener):
    shown = _of_a_picture(opened, color_scheme=scheme, bypass_csp=True)
    shown.page.evaluate(AXE.read_text(encoding="utf-8"))
    shown.go("picture")
    found = shown.page.evaluate("axe.run().then(({ violations }) => violations)")
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not there (make check fetches it with npm)")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_complain_about(scheme: str, opened: Opener):
    shown = opened(view(trace()), color_scheme=scheme, bypass_csp=True)
    shown.page.evaluate(AXE.read_text(encoding="utf-8"))
    for name in ("heads", "map", "text", "lines", "steps", "numbers"):
        shown.go(name)
        found = shown.page.evaluate("axe.run().then(({ violations }) => violations)")
        assert [(each["id"], each["nodes"][0]["html"]) for each in found] == [], name


def test_the_steps_of_a_written_text_have_a_slider(opened: Opener):
    weight = torch.ones(5, 5).tril()
    shown = opened(
        view(weight / weight.sum(-1, keepdim=True), tokens=["the", " cat", " sat", " on", " it"], prompt_length=2)
    )
    shown.go("text")
    slider = shown.page.get_by_label("Step of writing")
    assert (slider.get_attribute("min"), slider.get_attribute("max")) == ("1", "4")
    slider.fill("2")
    shown.settle()
    assert "' sat' gives most to" in shown.says
    assert "Step 2 wrote ' on'." in shown.says
    assert shown.page.locator(".running .unwritten").all_inner_texts() == ["on", "it"]
    slider.fill("4")
    shown.settle()
    assert "The last step." in shown.says
    assert shown.page.locator(".running .unwritten").count() == 0


def test_the_stack_of_an_encoder_decoder_is_picked_in_the_page(opened: Opener):
    stacks = {"encoder": {"0": torch.eye(4).expand(2, 4, 4)}, "cross": {"cross 0": torch.eye(3, 4).expand(2, 3, 4)}}
    shown = opened(view(stacks, tokens=["a", "b", "c"], key_tokens=["w", "x", "y", "z"]))
    shown.go("map")
    assert shown.says.startswith(words_of(1.0, "w", "w"))
    shown.choose("Stack", "cross")
    assert shown.page.locator("#page").get_attribute("data-drawn") == "map"  # the view stays
    assert shown.says.startswith(words_of(1.0, "a", "w"))
    assert "layer cross 0, head 0" in shown.says
    shown.choose("Stack", "encoder")
    assert shown.says.startswith(words_of(1.0, "w", "w"))


def _of_a_picture(opened: Opener, **options: Any) -> Any:
    """Open a page of two heads over a class token and 2 x 3 patches: one looks at the next, one at patch 1,2."""
    after = torch.eye(7).roll(1, 1)
    last = torch.zeros(7, 7)
    last[:, 6] = 1.0
    picture = np.zeros((20, 30, 3))
    return opened(view(torch.stack([after, last]), picture=picture, patches=(2, 3)), **options)


def test_the_weights_lie_over_the_picture(opened: Opener):
    shown = _of_a_picture(opened)
    assert not shown.page.locator("#tab-text").count()  # patches are no text
    shown.choose_tab_and_map("picture", "head 0")
    shown.page.get_by_role("button", name="[CLS]").click()
    assert "'[CLS]' gives most to '0,0' (1.00)." in shown.says
    box = shown.stage.locator("canvas").bounding_box()
    assert box
    point = (box["width"] * 0.5, box["height"] * 0.25)  # the middle of patch 0,1
    shown.stage.hover(position={"x": point[0], "y": point[1]})
    assert "'0,1' gives most to '0,2' (1.00)." in shown.says
    strong, weak = shown.pixel(box["width"] * 0.9, point[1]), shown.pixel(box["width"] * 0.1, point[1])
    assert weak[2] > strong[2]  # the strongest weight is the darkest blue
    shown.stage.focus()
    shown.page.keyboard.press("ArrowDown")
    assert "'1,1' gives most to '1,2' (1.00)." in shown.says
    shown.page.get_by_role("button", name="What it gets").click()
    shown.page.keyboard.press("Tab")
    shown.page.get_by_label("All heads of this layer").get_by_role("button").nth(1).click()
    shown.stage.hover(position={"x": box["width"] * 0.9, "y": box["height"] * 0.75})
    assert "'1,2' gets most from '[CLS]' (1.00)" in shown.says


@pytest.mark.parametrize("width", [390, 1280])
def test_a_picture_fits_the_window(width: int, opened: Opener):
    shown = _of_a_picture(opened)
    shown.page.set_viewport_size({"width": width, "height": 800})
    shown.go("picture")
    shown.settle()
    assert shown.overflow() <= 0
