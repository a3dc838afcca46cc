"""What a constructor's parameter stands for by what is done with it, where its name says nothing."""

import re
from collections.abc import Mapping

from attention_surgeon.calls.names import Size


def size_by_use(name: str, source: str, known: Mapping[str, Size]) -> Size:
    r"""Return which size a parameter is: how many parts, how wide a layer is that it makes, the root that divides.

    Args:
        name: Of the parameter.
        source: The text of its class.
        known: What the parameters stand for whose names say it.

    >>> size_by_use("parts", "self.each = wide // parts", {}), size_by_use("wide", "nn.Linear(wide, 3 * wide)", {})
    ('heads', 'width')
    """
    heads = "|".join(re.escape(other) for other, role in known.items() if role == "heads") or r"\0"
    width: Size = "context_width" if "width" in known.values() else "width"
    word = rf"(self\.)?\b{re.escape(name)}\b"
    uses: list[tuple[Size, str]] = [
        ("heads", rf"(//|%) *{word}"),
        ("head_size", rf"{word} *\* *(self\.)?({heads})\b|\b({heads}) *\* *{word}"),
        ("head_size", rf"sqrt\( *{word} *\)|{word} *\*\* *\(?-?0?\.5"),
        (width, rf"Linear\( *{word} *,"),
        ("key_size", rf"Linear\([^()]*, *{word} *[,)]"),
    ]
    if not re.match(r"(num|n)_", name):  # of a count, how many vectors there are
        uses.insert(4, (width, rf"(Tensor|empty|randn?|zeros)\([^()]*, *{word} *, *[\w.]+ *\)"))
    for role, pattern in uses:
        if re.search(pattern, source):
            return role
    return "unknown"
