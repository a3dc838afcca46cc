"""How wide the tokens are and how many there are: read from what was made, tried in order."""

import dataclasses
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attention_surgeon.calls.argument import TOKENS, Sizes
from attention_surgeon.calls.arguments import Layout
from attention_surgeon.calls.construct import Maker
from attention_surgeon.calls.names import Role, Size, size_of
from attention_surgeon.calls.sizes import Proposal

FIRST_LENGTHS = ((5, 7),)
OTHER_LENGTHS = ((6, 6), (9, 9), (8, 8), (16, 16), (64, 64), (49, 49))
_PACKED = re.compile(r"//?\s*3\b|\.(chunk|split|reshape|view)\([^)\n]*\b3\b")
"""What a layer without parameters does with queries, keys and values that lie side by side in its one argument."""
PICTURE = ((12, 7), (13, 7))  # points of a picture, without and with a class token, and keys beside it


def lengths_of(
    layouts: Sequence[Layout], lengths: Sequence[tuple[int, int]], roles: Mapping[str, Role]
) -> Iterator[tuple[tuple[int, int], Layout]]:
    """Yield numbers of queries and keys with each layout that takes them."""
    first = PICTURE if "rows" in roles.values() else ()
    for pair in (*first, *lengths):
        for layout in layouts:
            if "y" in layout.query:
                yield PICTURE[0] if pair in FIRST_LENGTHS else pair, layout
            elif pair[0] != pair[1] or layout.is_equal:
                yield pair, layout


def widths_of(
    made: Any, maker: Maker, proposal: Proposal, layout: Layout, lengths: tuple[int, int], roles: Mapping[str, Role]
) -> Iterator[tuple[Sizes, dict[Role, int]]]:
    """Yield the sizes of a call, and how wide the tokens of each role are."""
    n_q, n_k = lengths
    n_k = n_q if layout.is_equal else n_k
    if not inspect.isroutine(made):
        yield from _of_layer(made, maker, proposal, Sizes(n_q=n_q, n_k=n_k), roles, has_heads="h" in layout.query)
        return
    heads = proposal.heads if "g" in layout.key else proposal.alone
    sizes = Sizes(
        2,
        n_q,
        n_k,
        None,
        None,
        heads,
        proposal.kv_heads if "g" in layout.key else None,
        proposal.head_size,
        proposal.value_size,
    )
    yield from _of_function(sizes, layout, roles)


def _of_function(sizes: Sizes, layout: Layout, roles: Mapping[str, Role]) -> Iterator[tuple[Sizes, dict[Role, int]]]:
    """Heads of their own size where they have an axis or none; all of them side by side where the call counts them."""
    is_whole = "h" not in layout.query and {"heads", "weights"} & set(roles.values())
    if is_whole:
        width = (sizes.heads or 1) * sizes.head_size
        yield dataclasses.replace(sizes, width=width, value_size=sizes.head_size), dict.fromkeys(TOKENS, width)
        return
    same = dict.fromkeys(TOKENS, sizes.head_size)
    yield sizes, {**same, "value": sizes.value_size}
    if sizes.value_size != sizes.head_size:
        yield dataclasses.replace(sizes, value_size=sizes.head_size), same


def _of_layer(
    made: Any, maker: Maker, proposal: Proposal, sizes: Sizes, roles: Mapping[str, Role], *, has_heads: bool
) -> Iterator[tuple[Sizes, dict[Role, int]]]:
    known = maker.numbers(proposal) if inspect.isclass(maker.target) else _attributes(made)
    found = module_widths(made)
    own = _head_size(made)
    head = own or known.get("head_size") or proposal.head_size
    if own is None and "width" in known and not {"heads", "head_size", "key_size", "out_width"} & known.keys():
        head = known["width"]
    sizes = dataclasses.replace(
        sizes,
        heads=known.get("heads"),
        kv_heads=known.get("kv_heads"),
        head_size=head,
        value_size=known.get("value_size", head),
    )
    main = _different(known.get("width", 0), *found["query"], *found["all"], head)
    if not found["all"] and "width" in known and _PACKED.search(maker.text.source):
        main = [3 * known["width"], *main]
    if has_heads and "heads" in known:  # the tokens of each head are as wide as that
        head = own or known.get("head_size") or max(1, known.get("width", head) // known["heads"])
        main = _different(head, *main)
        sizes = dataclasses.replace(sizes, head_size=head, value_size=known.get("value_size", head))
    beside = _different(*found["key"], known.get("context_width", 0), *found["all"])
    for width, other in _pairs(main, beside, has_context=bool({"key", "context"} & set(roles.values()))):
        values = found["value"][0] if found["value"] else other
        yield (
            dataclasses.replace(sizes, width=width, context_width=other if other != width else None),
            {"x": width, "query": width, "key": other, "value": values, "context": other},
        )


def _attributes(made: Any) -> dict[Size, int]:
    """Return the sizes that an object keeps in attributes: `self.num_heads`."""
    return {size_of(name): value for name, value in vars(made).items() if type(value) is int and "head" in name}


def _head_size(made: Any) -> int | None:
    """Return the size of a head that an object keeps, or the first of its parts that keeps one: a block's attention."""
    parts = made.modules() if hasattr(made, "modules") else [made] if hasattr(made, "__dict__") else []
    return next((size for part in parts if (size := _attributes(part).get("head_size"))), None)


def _different(*widths: int) -> list[int]:
    return [width for width in dict.fromkeys(widths) if width]


def _pairs(main: Sequence[int], beside: Sequence[int], *, has_context: bool) -> list[tuple[int, int]]:
    """Return widths of queries and of what they look at, the likely ones first."""
    if not has_context:
        return [(width, width) for width in main[:4]]
    found = [(width, other) for width in main[:3] for other in [*beside[:2], width]]
    return list(dict.fromkeys(found))[:6]


def module_widths(made: Any) -> dict[str, list[int]]:
    """Return the input widths of an object's layers, those of queries, keys and values apart as far as names tell."""
    found: dict[str, list[int]] = {"query": [], "key": [], "value": [], "all": []}
    for name, module in made.named_modules() if hasattr(made, "named_modules") else ():
        width = getattr(module, "in_features", None) or getattr(module, "in_channels", None)
        if isinstance(width, int):
            found["all"].append(width)
            found[_kind(name)].append(width)
    if not found["all"]:
        own = [*made.parameters()] if hasattr(made, "parameters") else []
        for array in [*own, *getattr(made, "__dict__", {}).values()]:
            if getattr(array, "ndim", 0) >= 2:
                found["all"] += [int(size) for size in array.shape[-2:]]
    return found


def _kind(name: str) -> str:
    """Return what a layer of a module makes, by its name: `to_q`, `key_proj`, `W_v`."""
    last = name.lower().rsplit(".", 1)[-1]
    bare = last.removeprefix("to_").removeprefix("w_").removeprefix("w").removeprefix("fc_").removeprefix("linear_")
    if "qkv" in last:
        return "query"
    return {"k": "key", "v": "value", "q": "query"}.get(bare[:1], "all")
