"""The program and the style of a page, put together from the files under `page/`."""

import re
from functools import cache
from importlib.resources import files

ORDER = (
    "words",
    "whole_words",
    "codec",
    "grid",
    "colour",
    "camera",
    "dom",
    "state",
    "paint",
    "axes",
    "source",
    "names",
    "strongest",
    "controls",
    "legend",
    "svg",
    "marks",
    "map",
    "save",
    "aside",
    "map_view",
    "heads_view",
    "picture_view",
    "text_view",
    "lines_view",
    "arithmetic",
    "steps_view",
    "numbers_view",
    "compare_view",
    "results",
    "app",
    "main",
)
"""The modules, each after those that it imports."""

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const) (\w+))", re.MULTILINE)
_COMMENT = re.compile(r"^ */\*\*(?:(?!\*/).)*\*/\n", re.MULTILINE | re.DOTALL)


@cache
def program(*more: str) -> str:
    """Return the modules as one script, each in a function of its own that returns what it exports.

    Args:
        more: Modules that only the page of the operating table has, in the order of `ORDER`'s rule.
    """
    parts = "\n".join(_as_function(name, part(f"{name}.js")) for name in (*ORDER, *more))
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


@cache
def style() -> str:
    """Return the style sheet."""
    return part("page.css")


@cache
def template() -> str:
    """Return the page with a comment in each place that is to be filled."""
    return part("page.html")


def _as_function(name: str, source: str) -> str:
    exports = ", ".join(_EXPORT.findall(source))
    body = _IMPORT.sub(r"const {\1} = module_\2;", _EXPORT.sub("", _COMMENT.sub("", source)))
    return f"const module_{name} = (() => {{\n{body.strip()}\nreturn {{ {exports} }};\n}})();\n"


def part(name: str) -> str:
    """Return one of the files under `page/`."""
    return files("attention_surgeon.viewer").joinpath("page", name).read_text(encoding="utf-8")
