"""Reading a page as a browser does, far enough to say what is wrong with it."""

import re
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise

_EMPTY = {"meta", "img", "br", "link", "hr", "input"}


class PageReader(HTMLParser):
    """What stands in a page: its elements, texts, places and links."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == [], f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1:] == [tag], f"</{tag}> within {self._open}"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self._open[-1] if self._open else "", " ".join(data.split())))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text_in(self, tag: str) -> list[str]:
        return [text for place, text in self.texts if place == tag]

    def faults(self) -> list[str]:
        """Return everything that a page which is mailed, printed and read aloud must not have."""
        found = [f"id {name} twice" for name, count in self._ids().items() if count > 1]
        for tag, attributes in self.elements:
            found += [f"{tag} runs {name}" for name in attributes if name.startswith("on")]
            found += [
                f"{tag} {name}={value[:60]}" for name, value in attributes.items() if self._leads_out(name, value)
            ]
        found += [f"picture without words: {image}" for image in self.all("img") if not image.get("alt", "").strip()]
        found += [
            "header of a table without scope" for cell in self.all("th") if cell.get("scope") not in ("col", "row")
        ]
        found += [
            f"<{tag}>" for tag, _ in self.elements if tag in ("script", "iframe", "object", "embed", "link", "base")
        ]
        found += [style for style in self.text_in("style") if re.search(r"url\(|@import|https?:", style)]
        levels = [int(tag[1]) for tag, _ in self.elements if re.fullmatch(r"h[1-6]", tag)]
        found += [f"h{level} behind h{before}" for before, level in pairwise(levels) if level > before + 1]
        return found + ([] if levels.count(1) == 1 else ["not one h1"])

    def _ids(self) -> Counter[str]:
        return Counter(attributes["id"] for _, attributes in self.elements if "id" in attributes)

    def _leads_out(self, name: str, value: str) -> bool:
        if name not in ("href", "src", "srcset", "action", "data", "poster"):
            return False
        return (
            value.removeprefix("#") not in self._ids() if value.startswith("#") else not value.startswith("data:image/")
        )
