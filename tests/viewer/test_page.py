"""The file itself: nothing from elsewhere, nothing that runs but its own program."""

import base64
import hashlib
import re

import pytest

from attention_surgeon.viewer import view
from attention_surgeon.viewer.bundle import ORDER, part, program
from tests.viewer.probes import HOSTILE, trace, weights
from tests.viewer.reading import document_in


def test_the_policy_lets_only_its_own_program_and_style_in():
    html = view(trace()).html()
    found = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert found
    policy = found[1]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag, source in (("script", "script-src"), ("style", "style-src")):
        inside = re.search(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        assert inside
        digest = base64.b64encode(hashlib.sha256(inside[1].encode()).digest()).decode()
        assert f"{source} 'sha256-{digest}'" in policy


def test_no_address_stands_in_the_program():
    html = view(weights(3, 3)).html()
    assert set(re.findall(r"https?://[^\s\"'`<]*", html)) <= {"http://www.w3.org/2000/svg"}
    assert "fetch(" not in program()
    assert "XMLHttpRequest" not in program()
    assert "innerHTML" not in program()
    assert "eval(" not in program()


@pytest.mark.parametrize("token", HOSTILE, ids=ascii)
def test_a_hostile_token_stays_data(token: str):
    html = view(weights(2, 2), tokens=[token, token], title=token[:80]).html()
    assert html.count("<script") == 2
    assert html.count("</script") == 2
    assert "<!--" not in html.removeprefix("<!doctype html>")
    kept = document_in(html)["sides"][0]["queryTokens"]
    assert kept == [token, token]


def test_surrogates_and_control_characters_can_be_written(tmp_path):
    page = view(weights(2, 2), tokens=["\ud800", "\x00"], title="\ud800\n\x00")
    assert "\x00" not in page.save(tmp_path / "page.html").read_text(encoding="utf-8")


def test_every_module_is_in_the_program_after_those_it_imports():
    seen: set[str] = set()
    for name in ORDER:
        needed = set(re.findall(r'from "\./(\w+)\.js"', part(f"{name}.js")))
        assert needed <= seen, name
        seen.add(name)
    assert "import " not in re.sub(r"//.*|/\*.*?\*/", "", program(), flags=re.DOTALL)


def test_a_frame_in_a_notebook_is_a_page_of_its_own():
    made = view(weights(2, 2), title='a"b')._repr_html_()
    assert made.startswith('<iframe title="a&quot;b" srcdoc="&lt;!doctype html&gt;')
    assert 'sandbox="allow-scripts allow-downloads"' in made
    assert made.count('"') == 8
