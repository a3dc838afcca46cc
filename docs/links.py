"""Every link, picture and style of the built site leads to a file that is there, and to a part that the file has.

    python -m docs.links site

Addresses of other computers are left out: whether they answer says nothing about the site.
"""

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_ATTRIBUTES = ("href", "src", "srcset")


class _Page(HTMLParser):
    """What a page links to, and the parts that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.parts: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep its addresses and its names."""
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.parts.add(value)
            elif name in _ATTRIBUTES and value and tag != "base":
                addresses = [each.split()[0] for each in value.split(",")] if name == "srcset" else [value]
                self.links += [each for each in addresses if each]


def broken_links(site: Path) -> Iterator[tuple[Path, str]]:
    """Yield page and address of each link that leads nowhere.

    Args:
        site: The folder that mkdocs built.
    """
    pages = {path.resolve(): _Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        if path.name == "404.html":  # its links begin at the root of whatever computer serves it
            continue
        for link in page.links:
            if not _leads_somewhere(link, path, pages):
                yield path.relative_to(site.resolve()), link


def _leads_somewhere(link: str, path: Path, pages: dict[Path, _Page]) -> bool:
    address = urlsplit(link)
    if address.scheme or address.netloc:
        return True
    target = (path.parent / unquote(address.path)).resolve() if address.path else path
    target = target / "index.html" if target.is_dir() else target
    if not target.is_file():
        return False
    is_part = address.fragment and target in pages and not address.fragment.startswith("__")
    return not is_part or unquote(address.fragment) in pages[target].parts


def main() -> int:
    """Print what leads nowhere, and return whether something does."""
    site = Path(sys.argv[1] if len(sys.argv) > 1 else "site")
    found = list(broken_links(site))
    for page, link in found:
        print(f"{page}: {link} leads nowhere")
    print(f"{sum(1 for _ in site.rglob('*.html'))} pages, {len(found)} links that lead nowhere")
    return bool(found) or not site.is_dir()


if __name__ == "__main__":
    sys.exit(main())
