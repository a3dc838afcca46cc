"""The program and the style of a page, put together from the files under `page/`."""

import re
from functools import cache
from importlib.resources import files

ORDER = (
    "words",
    "codec",
    "grid",
    "colour",
    "camera",
    "dom",
    "state",
    "paint",
    "axes",
    "source",
    "legend",
    "map",
    "map_view",
    "app",
)
"""The modules, each after those that it imports."""

_IMPORT = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)
_COMMENT = re.compile(r"^\s*/\*\*.*?\*/\n", re.MULTILINE | re.DOTALL)


@cache
def program(*more: str) -> str:
    """Return the modules as one script: imports and exports dropped, so no name may stand in two of them.

    Args:
        more: Modules that only the page of the operating table has, in the order of `ORDER`'s rule.
    """
    parts = (_COMMENT.sub("", _EXPORT.sub("", _IMPORT.sub("", part(f"{name}.js")))) for name in (*ORDER, *more))
    return '"use strict";\n(() => {\n' + "\n".join(parts) + "\n})();\n"


@cache
def style() -> str:
    """Return the style sheet."""
    return part("page.css")


@cache
def template() -> str:
    """Return the page with a comment in each place that is to be filled."""
    return part("page.html")


def part(name: str) -> str:
    """Return one of the files under `page/`."""
    return files("attention_surgeon.viewer").joinpath("page", name).read_text(encoding="utf-8")
