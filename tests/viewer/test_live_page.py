"""The operating table in a real browser: typing, choosing, seeing before and after, by mouse and by keyboard."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from attention_surgeon.viewer.live import Serving
from tests.viewer.live_table import StandIn, served
from tests.viewer.probes import HOSTILE
from tests.viewer.test_with_browser import AXE, GROUNDS

_WAIT = 8_000


class Live:
    """The page of a running server, and everything that it asked for or complained about."""

    def __init__(self, browser: Browser, table: StandIn, serving: Serving, fragment: str = "", **options: Any) -> None:
        self.table, self.serving = table, serving
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
        self.page: Page = self.context.new_page()
        self.requests: list[str] = []
        self.problems: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.problems.append(dialog.message), dialog.dismiss()))
        self.page.set_default_timeout(_WAIT)
        self.page.goto(f"{serving.url}{fragment}")
        self.done()

    def done(self) -> "Live":
        """Wait until what is chosen is shown, or an error is."""
        self.page.wait_for_function(
            "() => { const shown = document.querySelector('.results');"
            "return shown.getAttribute('aria-busy') === 'false' && "
            "(shown.dataset.shown === location.hash || document.querySelector('.wrong').textContent); }",
            timeout=_WAIT,
        )
        return self

    def choose(self, label: str, option: str) -> None:
        self.page.get_by_label(label, exact=True).select_option(option)
        self.page.wait_for_timeout(30)
        self.done()

    def press(self, group: str, name: str) -> None:
        self.page.get_by_role("group", name=group).get_by_role("button", name=name, exact=True).click()
        self.page.wait_for_timeout(30)
        self.done()

    @property
    def says(self) -> str:
        return self.page.locator(".results").inner_text()

    def close(self) -> None:
        self.context.close()
        own = f"http://127.0.0.1:{self.serving.port}/"
        assert not [url for url in self.requests if not url.startswith((own, "blob:", "data:"))]
        assert not self.problems


@pytest.fixture(scope="module")
def table() -> StandIn:
    return StandIn()


@pytest.fixture(scope="module")
def serving(table: StandIn) -> Iterator[Serving]:
    with served(table, on_mistake=lambda error: None) as running:
        yield running


@pytest.fixture
def live(browser: Browser, table: StandIn, serving: Serving) -> Iterator[Any]:
    opened: list[Live] = []

    def open_live(fragment: str = "", **options: Any) -> Live:
        opened.append(Live(browser, table, serving, fragment, **options))
        return opened[-1]

    yield open_live
    for each in opened:
        each.close()


def test_page_begins_with_the_example_and_hides_its_token(live: Any, serving: Serving):
    shown = live()
    assert shown.page.get_by_label("Text", exact=True).input_value() == "the cat sat"
    assert "Nothing is done." in shown.says
    assert shown.page.url == f"http://127.0.0.1:{serving.port}/#model=small&text=the+cat+sat"
    assert shown.page.locator("#page").get_attribute("data-drawn") == "heads"
    shown.page.reload()
    assert "Nothing is done." in shown.done().says


def test_a_fault_shows_before_and_after_with_receipt_and_prediction(live: Any):
    shown = live()
    shown.choose("Fault", "knock_out")
    assert "operated: knock_out" in shown.says
    assert "undone exactly" not in shown.says  # the receipt is folded
    shown.page.get_by_text("Receipt: what was counted and measured").click()
    assert "undone exactly" in shown.says
    assert "What the head gathered is set to 0." in shown.page.locator("form").inner_text()
    assert shown.page.locator("#page").get_attribute("data-drawn") == "compare"
    row = shown.page.get_by_role("row").filter(has_text="cat").first
    assert re.sub(r"\s+", " ", row.inner_text()).strip() == "'cat' 25 % 50 %"
    shown.page.get_by_role("button", name="Undo everything").click()
    expect(shown.page.locator(".said")).to_contain_text("Nothing is done.")


def test_every_control_reaches_the_table(live: Any, table: StandIn):
    shown = live()
    shown.choose("Mask", "window")
    shown.page.get_by_label("Size", exact=True).fill("5")
    shown.choose("Scale", "none")
    shown.page.get_by_label("Temperature", exact=True).fill("2.5")
    shown.press("Layers", "1")
    shown.press("Heads", "2")
    shown.press("Heads", "0")
    shown.choose("Model", "second")
    shown.press("Heads", "1")
    shown.choose("Fault", "knock_out")
    asked = table.asked[-1]
    assert (asked.model, asked.mask, asked.scale, asked.temperature) == ("second", "window:5", "none", 2.5)
    assert (asked.fault, asked.layers, asked.heads) == ("knock_out", None, (1,))  # another model begins with all
    assert (1,) in [request.layers for request in table.asked]
    assert (0, 2) in [request.heads for request in table.asked]
    shown.press("Heads", "all")
    assert table.asked[-1].heads is None


def test_typing_asks_once_when_the_person_pauses(live: Any, table: StandIn):
    shown = live()
    before = len(table.asked)
    text = shown.page.get_by_label("Text", exact=True)
    text.fill("")
    text.press_sequentially("a b c d e f g", delay=20)
    expect(shown.page.locator(".results")).to_have_attribute("data-shown", re.compile("text=a.b.c.d.e.f.g$"))
    assert len(table.asked) - before <= 2
    assert table.asked[-1].text == "a b c d e f g"


def test_last_result_stays_while_the_next_is_computed(live: Any):
    shown = live("#fault=knock_out&text=the+cat")
    shown.page.get_by_label("Fault", exact=True).select_option("slow")
    expect(shown.page.get_by_role("status").first).to_have_text("computing …")
    assert "operated: knock_out" in shown.says
    assert shown.page.locator(".results").get_attribute("aria-busy") == "true"
    expect(shown.page.locator(".said")).to_contain_text("operated: slow")
    expect(shown.page.get_by_role("status").first).to_contain_text("before and after")


def test_newer_choice_wins_over_an_older_that_is_computed(live: Any):
    shown = live()
    shown.page.get_by_label("Fault", exact=True).select_option("slow")
    shown.page.wait_for_timeout(150)
    start = time.perf_counter()
    shown.choose("Fault", "knock_out")
    assert "operated: knock_out" in shown.says
    assert time.perf_counter() - start < 3
    assert shown.page.get_by_role("alert").inner_text() == ""


def test_error_is_text_and_the_last_result_stays(live: Any):
    shown = live("#fault=knock_out&text=the+cat")
    shown.choose("Fault", "fails")
    alert = shown.page.get_by_role("alert")
    expect(alert).to_have_text("the operation failed by a mistake of this program: ZeroDivisionError.")
    assert "operated: knock_out" in shown.says
    shown.choose("Fault", "knock_out")
    expect(alert).to_have_text("")


@pytest.mark.parametrize("fault", ["", "&fault=knock_out"])
def test_hostile_text_is_text(live: Any, fault: str):
    typed = " ".join(token for token in HOSTILE if len(token) < 200 and token.isprintable())
    shown = live(fault.replace("&", "#"))
    shown.page.get_by_label("Text", exact=True).fill(typed)
    shown.page.wait_for_timeout(350)
    shown.done()
    assert shown.page.get_by_role("alert").inner_text() == ""
    assert (
        shown.page.evaluate(
            "document.querySelectorAll('#table img, #table script, #table iframe, #table style').length"
        )
        == 0
    )
    shown.page.get_by_role("tab", name="Lines").click()
    shown.page.reload()
    shown.done()
    assert shown.page.get_by_label("Text", exact=True).input_value() == typed


def test_state_is_in_the_address(live: Any):
    shown = live("#model=second&text=one+two+three&mask=window:4&temperature=0.5&fault=knock_out&layers=1&heads=0,2")
    page = shown.page
    assert page.get_by_label("Model", exact=True).input_value() == "second"
    assert page.get_by_label("Mask", exact=True).input_value() == "window"
    assert page.get_by_label("Size", exact=True).input_value() == "4"
    assert page.get_by_label("Temperature", exact=True).input_value() == "0.5"
    assert page.get_by_label("Fault", exact=True).input_value() == "knock_out"
    pressed = page.get_by_role("group", name="Heads").locator("[aria-pressed=true]").all_inner_texts()
    assert pressed == ["0", "2"]
    page.evaluate("location.hash = '#model=small&text=four+five'")
    expect(page.get_by_label("Text", exact=True)).to_have_value("four five")
    expect(page.get_by_label("Fault", exact=True)).to_have_value("")


def test_nonsense_in_the_address_is_as_usual_or_a_sentence(live: Any):
    shown = live("#model=../../etc&temperature=NaN&layers=x&heads=-1,1e9&text=<img src=x onerror=alert(1)>&what=1")
    assert shown.page.get_by_label("Model", exact=True).input_value() == "small"
    assert shown.page.get_by_label("Temperature", exact=True).input_value() == "1"
    assert shown.page.locator("img").count() == 0


def test_view_map_and_focus_stay_with_the_next_answer(live: Any):
    shown = live("#fault=knock_out&text=the+cat+sat")
    page = shown.page
    page.get_by_role("tab", name="Map", exact=True).click()
    page.locator("#view").get_by_label("Map", exact=True).select_option(label="layer 1, head 2")
    page.get_by_role("tab", name="Map", exact=True).focus()
    page.evaluate("location.hash = '#model=small&fault=knock_out&text=one+two+three+four'")
    expect(page.locator(".results")).to_have_attribute("data-shown", re.compile("four"))
    page.wait_for_timeout(100)
    assert page.locator("#page").get_attribute("data-drawn") == "map"
    assert (
        page.locator("#view").get_by_label("Map", exact=True).locator("option:checked").inner_text()
        == "layer 1, head 2"
    )
    assert page.evaluate("document.activeElement.id") == "tab-map"


def test_keyboard_alone_is_enough(live: Any, table: StandIn):
    shown = live()
    page = shown.page
    page.get_by_label("Text", exact=True).focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("one two")
    seen = []
    for _ in range(30):
        page.keyboard.press("Tab")
        name = page.evaluate("document.activeElement.id || document.activeElement.textContent")
        seen.append(name)
        if name == "fault":
            page.keyboard.press("ArrowDown")
        if name == "1" and seen.count("1") == 2:  # layer 1, then head 1
            page.keyboard.press("Space")
            break
    page.wait_for_timeout(350)
    shown.done()
    assert (table.asked[-1].text, table.asked[-1].fault, table.asked[-1].heads) == ("one two", "knock_out", (1,))
    assert page.evaluate("document.activeElement.textContent") == "1"  # the focus stays where the person is


def test_every_control_has_a_name(live: Any):
    shown = live("#mask=window:3")
    unnamed = shown.page.evaluate(
        "[...document.querySelectorAll('form input, form select, form textarea, form button')]"
        ".filter(e => e.checkVisibility() && !(e.labels?.length || e.textContent || e.ariaLabel)).length"
    )
    assert unnamed == 0
    assert shown.page.get_by_role("main").count() == 1
    assert shown.page.get_by_role("form").count() == 1


@pytest.mark.parametrize("ground", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_no_width_clips_and_the_ground_is_the_system_s(live: Any, width: int, ground: str):
    shown = live("#fault=knock_out&mask=window:3", viewport={"width": width, "height": 844}, color_scheme=ground)
    assert shown.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert shown.page.evaluate("getComputedStyle(document.body).backgroundColor") == GROUNDS[ground]
    boxes = shown.page.evaluate(
        "[...document.querySelectorAll('form *, .said *')].filter(e => e.checkVisibility())"
        ".map(e => e.getBoundingClientRect()).filter(b => b.width > 0 && (b.left < 0 || b.right > innerWidth)).length"
    )
    assert boxes == 0


def test_saved_page_works_without_the_server(live: Any, browser: Browser, tmp_path: Path):
    shown = live("#fault=knock_out&text=the+cat")
    with shown.page.expect_download() as download:
        shown.page.get_by_role("button", name="Save as one file").click()
    path = tmp_path / "kept.html"
    download.value.save_as(path)
    page = browser.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector("#page[data-drawn=compare]")
    assert page.locator("h1").inner_text() == "small: knock_out"
    page.close()


def test_server_that_has_ended_is_said(browser: Browser):
    table = StandIn()
    with served(table) as serving:
        shown = Live(browser, table, serving, "#fault=knock_out&text=the+cat")
    shown.page.get_by_label("Fault", exact=True).select_option("")
    expect(shown.page.get_by_role("alert")).to_contain_text("it has ended. Start it again with: surgeon serve")
    assert "operated: knock_out" in shown.says
    shown.close()


def test_page_of_an_earlier_run_says_where_to_look(browser: Browser, serving: Serving):
    context = browser.new_context()
    page = context.new_page()
    page.goto(serving.url)
    page.wait_for_selector("#page[data-drawn]")
    page.evaluate("localStorage.setItem('attention-surgeon token', 'of yesterday')")
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("open the address that was printed")
    context.close()


_SILENCED = "#fault=knock_out&text=the+cat+sat&layers=1&heads=2"


def test_one_sentence_comes_first_and_the_head_is_marked_everywhere(live: Any):
    shown = live(_SILENCED)
    page = shown.page
    assert page.locator(".said > *").first.inner_text() == "Head 1.2 is silenced. Loss 1.00 → 2.00."
    page.locator("#view").get_by_label("Map", exact=True).select_option(label="layer 1, head 2 · silenced")
    expect(page.locator("figcaption").nth(1)).to_have_text("after · silenced")
    assert "This head is silenced" in page.locator("#view").inner_text()
    page.get_by_role("tab", name="Heads", exact=True).click()
    expect(page.locator(".tile[data-operated]")).to_have_count(1)
    assert "silenced" in page.locator(".tile[data-operated]").inner_text()


def test_the_map_jumps_to_the_largest_change_of_what_is_done_now(live: Any):
    shown = live(_SILENCED)
    page = shown.page
    chosen = page.locator("#view").get_by_label("Map", exact=True)
    where = chosen.input_value()
    chosen.select_option(index=(int(where) + 1) % 6)
    shown.choose("Mask", "causal")
    assert page.locator("#view").get_by_label("Map", exact=True).locator("option:checked").count() == 1
    said = page.locator("#view .says").filter(has_text=re.compile(r"\([+−]"))
    said.wait_for()  # the sentence follows the picture, on a busy machine a moment later
    start = said.text_content() or ""
    change = float(re.search(r"\(([+−][\d.]+)\)", start)[1].replace("−", "-"))  # pyright: ignore[reportOptionalSubscript]
    assert abs(change) > 0.2


def test_a_temperature_of_0_is_0(live: Any, table: StandIn):
    shown = live("#text=the+cat")
    field = shown.page.get_by_label("Temperature", exact=True)
    field.fill("0")
    field.blur()
    shown.page.wait_for_timeout(400)
    shown.done()
    assert table.asked[-1].temperature == 0
    field.fill("-7")
    field.blur()
    assert field.input_value() == "0.01"  # what acts is what is shown


def test_a_lesson_has_prepared_operations_in_large_type(live: Any, table: StandIn):
    shown = live("#text=the+cat")
    page = shown.page
    page.get_by_role("button", name="Lesson", exact=True).click()
    assert page.get_by_label("Fault", exact=True).is_hidden()
    assert page.evaluate("getComputedStyle(document.body).fontSize") == "20px"
    page.get_by_role("navigation").get_by_role("button", name="Silence one head").click()
    page.wait_for_timeout(60)
    shown.done()
    assert (table.asked[-1].fault, table.asked[-1].layers, table.asked[-1].heads) == ("knock_out", (0,), (1,))
    assert page.get_by_role("button", name="Silence one head").get_attribute("aria-pressed") == "true"
    page.get_by_role("navigation").get_by_role("button", name="As it is").click()
    expect(page.locator(".said")).to_contain_text("Nothing is done.")
    page.get_by_role("button", name="Lesson", exact=True).click()
    assert page.get_by_label("Fault", exact=True).is_visible()


def test_the_saved_page_tells_what_was_done(live: Any, browser: Browser, tmp_path: Path):
    shown = live(_SILENCED)
    with shown.page.expect_download() as download:
        shown.page.get_by_role("button", name="Save as one file").click()
    assert download.value.suggested_filename == "small-knock-out.html"
    download.value.save_as(tmp_path / "kept.html")
    page = browser.new_page()
    page.goto((tmp_path / "kept.html").as_uri())
    page.get_by_text("Receipt: what was counted and measured").click()
    said = page.locator(".said").inner_text()
    for words in ("Head 1.2 is silenced", "the cat sat", "undone exactly", "50 %"):
        assert words in said
    page.close()


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not there (make check fetches it with npm)")
def test_axe_finds_nothing_on_the_table(live: Any):
    shown = live(_SILENCED, bypass_csp=True)
    shown.page.evaluate(AXE.read_text(encoding="utf-8"))
    found = shown.page.evaluate("axe.run().then(({ violations }) => violations)")
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []
