"""Draw kernels: plain PyTorch in tiles, with one slip each that small probes do not show, or right with limits.

A slip is a change of one of the texts below, and a call in which it shows: sizes, dtype, causal, strides.
A limit is a line that refuses what the kernel was not made for. Everything follows from the seed.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

Call = dict[str, Any]

BLOCKS = (16, 24, 32, 40, 48, 64, 80, 96, 128)

_TILED = '''
import math

import torch


def {name}(q, k, v, causal=False):
    """Tiled attention with an online softmax. q: (b, h, n, d); k, v: (b, g, m, d), h a multiple of g."""
    b, h, n, d = q.shape
    g, m = k.shape[1], k.shape[2]
    {prepare}
    scale = 1.0 / math.sqrt(d)
    out = torch.empty(b, h, n, v.shape[-1], dtype=q.dtype)
    for batch in range(b):
        for head in range(h):
            kv_head = {kv_head}
            for row in range(0, n, {block_q}):
                rows = torch.arange(row, min(row + {block_q}, n))
                tile = q[batch, head, rows].{acc}()
                top = torch.full((len(rows), 1), -torch.inf, dtype=tile.dtype)
                total = torch.zeros(len(rows), 1, dtype=tile.dtype)
                mix = torch.zeros(len(rows), v.shape[-1], dtype=tile.dtype)
                for col in range({first_col}, {last_col}, {block_k}):
                    cols = torch.arange(col, min(col + {block_k}, m))
                    s = tile @ k[batch, kv_head, cols].{acc}().T * scale
                    if causal:
                        s = s.masked_fill(cols[None, :] > rows[:, None] + (m - n){shift}, -torch.inf)
                    {mask}
                    new = torch.maximum(top, s.amax(-1, keepdim=True))
                    safe = new.masked_fill(new == -torch.inf, 0.0)
                    p = torch.exp(s - safe)
                    old = torch.exp(top - safe)
                    total = {total}
                    mix = {mix}
                    top = new
                    {after}
                out[batch, head, rows] = (mix / total{eps}).to(q.dtype)
    return out
'''

_BATCHED = '''
import torch


def {name}(q, k, v, causal=False):
    """Attention over blocks of queries, all heads at once. (b, h, n, d), {note}"""
    n, m = q.shape[-2], k.shape[-2]
    if k.shape[1] != q.shape[1]:
        k, v = (t.repeat_interleave(q.shape[1] // t.shape[1], dim=1) for t in (k, v))
    {prepare}
    outs = []
    for start in range(0, n, {block_q}):
        part = q[:, :, start : start + {block_q}]
        scores = torch.einsum("bhnd,bhmd->bhnm", part, k).{acc}() * q.shape[-1] ** -0.5
        if causal:
            rows = torch.arange({row_start}, {row_start} + part.shape[2])[:, None] + (m - n)
            scores = scores.masked_fill(torch.arange(m)[None, :] > rows, float("-inf"))
        {mask}
        weights = {weights}
        outs.append((weights.to(v.dtype) @ v))
    return torch.cat(outs, dim=2)
'''

_TILED_RIGHT: dict[str, Any] = {
    "prepare": "assert h % g == 0",
    "kv_head": "head // (h // g)",
    "acc": "float",
    "first_col": "0",
    "last_col": "m",
    "shift": "",
    "mask": "pass",
    "total": "total * old + p.sum(-1, keepdim=True)",
    "mix": "mix * old + p @ v[batch, kv_head, cols].float()",
    "after": "pass",
    "eps": "",
}
_BATCHED_RIGHT: dict[str, Any] = {
    "note": "any sizes.",
    "prepare": "pass",
    "acc": "float",
    "row_start": "start",
    "mask": "pass",
    "weights": "scores.softmax(-1)",
}


# The queries and keys of a call: where the maximum moves from block to block, where all scores are low, alike or large.
_PATTERNS: dict[str, Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]] = {
    "plain": lambda q, k: (q, k),
    "growing": lambda q, k: (q, k * torch.linspace(0.1, 4.0, k.shape[2])[:, None]),
    "falling": lambda q, k: (q, k * torch.linspace(4.0, 0.1, k.shape[2])[:, None]),
    "low": lambda q, k: (q.abs() * 8, -k.abs() * 8),
    "alike": lambda q, k: (q, k * 0.05),
    "large": lambda q, k: (q * 8, k * 2),
}


@dataclass(frozen=True)
class Kernel:
    """One file: its text, and a call that shows its verdict.

    Attributes:
        name: Of the file and of the function.
        verdict: `right` or `wrong`.
        kind: What is wrong, or what it is limited to.
        text: The file.
        call: Sizes `b h g n m d`, and `dtype`, `causal`, `strided`, `rows`, in which it is wrong, or is accepted.
        refused: A call that it refuses, None where it takes every size.
    """

    name: str
    verdict: str
    kind: str
    text: str
    call: Call
    refused: Call | None = None


def inputs(call: Call) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the query, key and value of a call: normal numbers, as views of wider ones where `strided`.

    `rows` is a pattern of the scores, `plain` without it.
    """
    generator = torch.Generator().manual_seed(0)
    size = {"b": 1, "h": 2, "g": None, "n": 8, "m": None, "d": 16} | call
    heads, keys = size["g"] or size["h"], size["m"] or size["n"]
    shapes = ((size["h"], size["n"]), (heads, keys), (heads, keys))

    def one(h: int, length: int) -> torch.Tensor:
        if call.get("strided"):  # (b, n, h, d) moved, as a model's projections come
            return torch.randn(size["b"], length, h, size["d"], generator=generator).transpose(1, 2)
        return torch.randn(size["b"], h, length, size["d"], generator=generator)

    q, k, v = (one(*shape) for shape in shapes)
    q, k = _PATTERNS[call.get("rows", "plain")](q, k)
    return tuple(part.to(call.get("dtype", torch.float32)) for part in (q, k, v))  # pyright: ignore[reportReturnType]


def expected(call: Call) -> torch.Tensor:
    """Return the answer to a call in float64; causal is aligned at the end."""
    q, k, v = (part.double() for part in inputs(call))
    k, v = (part.repeat_interleave(q.shape[1] // part.shape[1], 1) for part in (k, v))
    scores = q @ k.mT / q.shape[-1] ** 0.5
    n, m = scores.shape[-2:]
    if call.get("causal"):
        scores = scores.masked_fill(torch.ones(n, m, dtype=torch.bool).triu(1 + m - n), -torch.inf)
    return scores.softmax(-1) @ v


def draw(num_wrong: int = 200, num_right: int = 50, seed: int = 0) -> list[Kernel]:
    """Draw the kernels: the slips and the limits by turns, each time with other sizes."""
    generator = random.Random(seed)
    wrong = _distinct(SLIPS, num_wrong, generator)
    right = _distinct(LIMITS, num_right, generator)
    return [*_named(wrong, "wrong"), *_named(right, "right")]


def write(folder: Path, num_wrong: int = 200, num_right: int = 50, seed: int = 0) -> list[Kernel]:
    """Write the kernels to a folder, one a file, and return them."""
    folder.mkdir(parents=True, exist_ok=True)
    kernels = draw(num_wrong, num_right, seed)
    for kernel in kernels:
        (folder / f"{kernel.name}.py").write_text(kernel.text, encoding="utf-8")
    return kernels


def answer(kernel: Kernel, call: Call | None = None) -> torch.Tensor:
    """Return what a kernel answers to its own call, or to another."""
    call = kernel.call if call is None else call
    scope: dict[str, Any] = {}
    exec(compile(kernel.text, f"{kernel.name}.py", "exec"), scope)
    return scope["attention_kernel"](*inputs(call), **({"causal": True} if call.get("causal") else {}))


@dataclass(frozen=True)
class _Drawn:
    kind: str
    says: str
    template: str
    parts: dict[str, Any]
    call: Call
    refused: Call | None = None

    @property
    def text(self) -> str:
        return self.template.format(name="attention_kernel", **self.parts).lstrip("\n")


def _distinct(makers: Sequence[Callable[[random.Random], _Drawn]], number: int, r: random.Random) -> list[_Drawn]:
    """Draw from each maker by turns, again where the text has been drawn before."""
    seen: dict[str, _Drawn] = {}
    while len(seen) < number:
        maker = makers[len(seen) % len(makers)]
        drawn = next(each for _ in range(1000) if (each := maker(r)).text not in seen)
        seen[drawn.text] = drawn
    return list(seen.values())


def _named(drawn: list[_Drawn], verdict: str) -> Iterator[Kernel]:
    for number, each in enumerate(drawn):
        said = f"WRONG {each.kind}" if verdict == "wrong" else "RIGHT"
        head = f"# {said}: {each.says}. Object: attention_kernel\n"
        name = f"{verdict}_{number:03}_{each.kind.replace(' ', '_')}"
        yield Kernel(name, verdict, each.kind, head + each.text, each.call, each.refused)


def _tiled(
    kind: str, says: str, changes: dict[str, Any], call: Call, q: int, k: int, refused: Call | None = None
) -> _Drawn:
    return _Drawn(kind, says, _TILED, {**_TILED_RIGHT, "block_q": q, "block_k": k, **changes}, call, refused)


def _batched(kind: str, says: str, changes: dict[str, Any], call: Call, q: int, refused: Call | None = None) -> _Drawn:
    return _Drawn(kind, says, _BATCHED, {**_BATCHED_RIGHT, "block_q": q, **changes}, call, refused)


def _tail_of_keys(r: random.Random) -> _Drawn:
    q, k = r.choice(BLOCKS), r.choice(BLOCKS)
    says = f"keys beyond the last whole block of {k} are dropped once there is one"
    call = {"n": 9, "m": 2 * k + r.randrange(1, k)}
    return _tiled("tail dropped", says, {"last_col": f"max(m // {k}, 1) * {k}"}, call, q, k)


def _mix_not_rescaled(r: random.Random) -> _Drawn:
    k = r.choice(BLOCKS)
    says = f"beyond {k} keys the output is not rescaled"
    changes = {"mix": "mix + p @ v[batch, kv_head, cols].float()"}
    return _tiled("online softmax", says, changes, {"n": 5, "m": 3 * k, "rows": "growing"}, r.choice(BLOCKS), k)


def _total_not_rescaled(r: random.Random) -> _Drawn:
    k = r.choice(BLOCKS)
    says = f"beyond {k} keys the sum is not rescaled"
    changes = {"total": "total + p.sum(-1, keepdim=True)"}
    return _tiled("online softmax", says, changes, {"n": 5, "m": 3 * k, "rows": "growing"}, r.choice(BLOCKS), k)


def _rescale_from_second(r: random.Random) -> _Drawn:
    k = r.choice(BLOCKS)
    says = f"only the first two blocks of {k} keys are rescaled"
    changes = {"mix": f"mix * (old if col < {2 * k} else 1.0) + p @ v[batch, kv_head, cols].float()"}
    return _tiled("online softmax", says, changes, {"n": 5, "m": 5 * k, "rows": "growing"}, r.choice(BLOCKS), k)


def _maximum_of_block(r: random.Random) -> _Drawn:
    k = r.choice(BLOCKS)
    says = f"the running maximum is that of the newest block of {k} keys in the next step"
    call = {"n": 5, "m": 4 * k, "d": 64, "rows": "falling"}
    return _tiled("online softmax", says, {"after": "top = s.amax(-1, keepdim=True)"}, call, r.choice(BLOCKS), k)


def _causal_block_skipped(r: random.Random) -> _Drawn:
    q = r.choice(BLOCKS)
    says = f"causal: from the second block of {q} queries on the block of the diagonal is skipped"
    changes = {"last_col": "(min(max(row, 1) + m - n, m) if causal else m)"}
    return _tiled("causal at block border", says, changes, {"n": 2 * q + 3, "causal": True}, q, q)


def _causal_rows_of_block(r: random.Random) -> _Drawn:
    q = r.choice(BLOCKS)
    says = f"in every block of {q} queries the rows are counted from zero"
    changes = {"row_start": "0"}
    return _batched("causal at block border", says, changes, {"n": 2 * q + 1, "causal": True}, q)


def _causal_diagonal_block(r: random.Random) -> _Drawn:
    q = r.choice(BLOCKS)
    says = f"blocks of {q} on the diagonal see one key ahead, from the second on"
    return _tiled("causal at block border", says, {"shift": " + (row > 0)"}, {"n": 3 * q, "causal": True}, q, q)


def _last_block_mask(r: random.Random) -> _Drawn:
    k = r.choice(BLOCKS)
    says = f"the last key of a ragged last block of {k} is masked"
    changes = {"mask": f"s[:, -1] = s[:, -1] if len(cols) == {k} or m < {k} else -torch.inf"}
    return _tiled("last block masked", says, changes, {"n": 9, "m": k + r.randrange(2, k)}, r.choice(BLOCKS), k)


def _padded_with_zeros(r: random.Random) -> _Drawn:
    k = r.choice(BLOCKS)
    says = f"beyond {k} keys they are filled up to whole blocks with zeros, which take weight"
    lines = (
        f"pad = -m % {k} if m > {k} else 0",
        "k, v = (torch.nn.functional.pad(t, (0, 0, 0, pad)) for t in (k, v))",
        "m = m + pad",
    )
    changes = {"prepare": "\n    ".join(lines), "shift": " - pad"}
    return _tiled("padding takes weight", says, changes, {"n": 9, "m": 2 * k + r.randrange(1, k)}, r.choice(BLOCKS), k)


def _strides(r: random.Random) -> _Drawn:
    q = r.choice(BLOCKS)
    says = "the memory is read as if it were contiguous"
    read = "k = k.as_strided(k.shape, (k.shape[1] * m * d, m * d, d, 1))"
    return _tiled(
        "strides ignored", says, {"prepare": read}, {"n": r.randrange(5, 40), "strided": True}, q, r.choice(BLOCKS)
    )


def _strides_of_values(r: random.Random) -> _Drawn:
    says = "values are read as if they were contiguous"
    read = "v = torch.as_strided(v, v.shape, (v[0].numel(), v[0, 0].numel(), v.shape[-1], 1))"
    return _batched(
        "strides ignored", says, {"prepare": read}, {"n": r.randrange(5, 40), "strided": True}, r.choice(BLOCKS)
    )


def _low_precision_sum(r: random.Random) -> _Drawn:
    k = r.choice((1, 2))
    says = "sums run in the dtype of the input, so bf16 loses with many keys"
    changes = {"acc": "clone", "mix": "mix * old + p @ v[batch, kv_head, cols]"}
    call = {"h": 1, "n": 4, "m": 1024, "dtype": torch.bfloat16, "rows": "alike"}
    return _tiled("low precision", says, changes, call, r.choice(BLOCKS), k)


def _low_precision_weights(r: random.Random) -> _Drawn:
    q = r.choice(BLOCKS)
    says = "the softmax is made by hand in bf16"
    changes = {"acc": "clone", "weights": "(e := (scores - scores.amax(-1, keepdim=True)).exp()) / _sum(e)"}
    lines = (
        "def _sum(e):",
        "    total = torch.zeros_like(e[..., :1])",
        "    for i in range(e.shape[-1]):",
        "        total += e[..., i : i + 1]",
        "    return total",
    )
    text = "\n\n" + "\n".join(lines) + "\n"
    drawn = _batched("low precision", says, changes, {"h": 1, "n": 4, "m": 1024, "dtype": torch.bfloat16}, q)
    return _Drawn(drawn.kind, drawn.says, drawn.template + text, drawn.parts, drawn.call)


def _groups_modulo(r: random.Random) -> _Drawn:
    groups = r.choice((2, 3, 4))
    says = "query head i reads key head i % groups, which is right for one group or as many as heads"
    call = {"h": 2 * groups, "g": groups, "n": r.randrange(5, 20)}
    return _tiled("heads_tiled", says, {"kv_head": "head % g"}, call, r.choice(BLOCKS), r.choice(BLOCKS))


def _groups_over_two(r: random.Random) -> _Drawn:
    groups = r.choice((3, 4, 5))
    says = "with more than two groups the last ones read the second"
    call = {"h": 2 * groups, "g": groups, "n": r.randrange(5, 20)}
    return _tiled(
        "head index",
        says,
        {"kv_head": "min(head // (h // g), 1) if h != g else head"},
        call,
        r.choice(BLOCKS),
        r.choice(BLOCKS),
    )


def _groups_by_heads(r: random.Random) -> _Drawn:
    groups = r.choice((2, 3))
    says = "head // groups and not head // (heads / groups): right where the two are equal"
    call = {"h": 4 * groups, "g": groups, "n": r.randrange(5, 20)}
    return _tiled(
        "head index",
        says,
        {"kv_head": "min(head // g, g - 1) if h != g else head"},
        call,
        r.choice(BLOCKS),
        r.choice(BLOCKS),
    )


def _large_batch(r: random.Random) -> _Drawn:
    limit = r.choice((3, 4, 8))
    says = f"from sequence {limit} on the keys of the first sequences are read"
    changes = {"prepare": f"k = k[torch.arange(b) % {limit}]"}
    return _tiled("batch", says, changes, {"b": limit + 2, "n": 6}, r.choice(BLOCKS), r.choice(BLOCKS))


def _many_heads(r: random.Random) -> _Drawn:
    limit = r.choice((4, 8, 16))
    says = f"beyond {limit} heads the values of the first ones are read"
    changes = {"prepare": f"v = v[:, torch.arange(g) % {limit}]"}
    return _tiled("many heads", says, changes, {"h": limit + 2, "n": 6}, r.choice(BLOCKS), r.choice(BLOCKS))


def _wide_heads(r: random.Random) -> _Drawn:
    limit = r.choice((32, 64, 128))
    says = f"only the first {limit} columns of a head enter the scores"
    changes = {"prepare": f"q = torch.cat([q[..., :{limit}], torch.zeros_like(q[..., {limit}:])], -1)"}
    return _tiled("wide heads", says, changes, {"d": 2 * limit, "n": 9}, r.choice(BLOCKS), r.choice(BLOCKS))


def _window(r: random.Random) -> _Drawn:
    window = r.choice((32, 64, 100, 128, 256))
    says = f"keys more than {window} before the query are not seen"
    changes = {"mask": f"s = s.masked_fill(rows[:, None] + (m - n) - cols[None, :] > {window}, -torch.inf)"}
    return _tiled("hidden window", says, changes, {"h": 1, "n": window + 40, "causal": True}, 64, r.choice((32, 64)))


def _first_block_skipped(r: random.Random) -> _Drawn:
    k = r.choice(BLOCKS)
    says = f"beyond {4 * k} keys the first block is skipped"
    changes = {"first_col": f"{k} if m > {4 * k} else 0"}
    return _tiled("first block", says, changes, {"n": 9, "m": 4 * k + r.randrange(1, 9)}, r.choice(BLOCKS), k)


def _tail_of_queries(r: random.Random) -> _Drawn:
    q = r.choice(BLOCKS)
    says = f"the last, ragged block of queries of {q} is made of the last row"
    last = f"q = torch.cat([q[:, :, : n - n % {q}], q[:, :, -1:].expand(-1, -1, n % {q}, -1)], 2)"
    changes = {"prepare": f"if n > {q} and n % {q}:\n        {last}"}
    return _tiled("tail of queries", says, changes, {"n": q + r.randrange(2, q), "m": 20}, q, r.choice(BLOCKS))


def _finite_start(r: random.Random) -> _Drawn:
    floor = r.choice((20, 50, 100))
    says = f"scores are never below -{floor}, as the running maximum starts there"
    changes = {"mask": f"top = top.clamp(min=-{floor}.0)", "eps": ".clamp(min=1e-30)"}
    return _tiled(
        "finite start", says, changes, {"n": 4, "m": 9, "d": 64, "rows": "low"}, r.choice(BLOCKS), r.choice(BLOCKS)
    )


def _no_maximum(r: random.Random) -> _Drawn:
    says = "the maximum is not subtracted, so large scores overflow in float16"
    changes = {"weights": "(e := scores.to(q.dtype).exp()) / e.sum(-1, keepdim=True)"}
    call = {"n": 4, "m": r.randrange(9, 64), "d": 64, "rows": "large", "dtype": torch.float16}
    return _batched("softmax unstable", says, changes, call, r.choice(BLOCKS))


def _causal_more_keys(r: random.Random) -> _Drawn:
    says = "with more keys than queries the causal mask lies at the start beyond one block"
    q = r.choice(BLOCKS)
    changes = {"row_start": f"start - (m - n if n > {q} else 0)"}
    return _batched("causal alignment", says, changes, {"n": q + 5, "m": q + 12, "causal": True}, q)


def _long_scale(r: random.Random) -> _Drawn:
    limit = r.choice((64, 128, 256))
    says = f"beyond {limit} keys the scores are scaled by the length as well"
    changes = {"mask": f"s = s * (math.log(m) / math.log({limit}) if m > {limit} else 1.0)"}
    return _tiled("scale by length", says, changes, {"n": 5, "m": 4 * limit}, r.choice(BLOCKS), 64)


SLIPS: tuple[Callable[[random.Random], _Drawn], ...] = (
    _tail_of_keys,
    _mix_not_rescaled,
    _total_not_rescaled,
    _rescale_from_second,
    _maximum_of_block,
    _causal_block_skipped,
    _causal_rows_of_block,
    _causal_diagonal_block,
    _last_block_mask,
    _padded_with_zeros,
    _strides,
    _strides_of_values,
    _low_precision_sum,
    _low_precision_weights,
    _groups_modulo,
    _groups_over_two,
    _groups_by_heads,
    _large_batch,
    _many_heads,
    _wide_heads,
    _window,
    _first_block_skipped,
    _tail_of_queries,
    _finite_start,
    _no_maximum,
    _causal_more_keys,
    _long_scale,
)


def _multiple(r: random.Random) -> _Drawn:
    by = r.choice((16, 32, 64))
    says = f"sequences of a multiple of {by} only"
    line = f"assert n % {by} == 0 and m % {by} == 0, 'n must be a multiple of {by}'"
    return _tiled("multiple", says, {"prepare": line}, {"n": 2 * by}, by, r.choice(BLOCKS), {"n": by + 1})


def _head_widths(r: random.Random) -> _Drawn:
    line = "if d not in {16, 32, 64, 128}:\n        raise ValueError(f'head_dim {d} is not supported')"
    return _tiled(
        "head width",
        "heads of 16, 32, 64 or 128 only",
        {"prepare": line},
        {"n": 9, "d": r.choice((16, 32, 64))},
        r.choice(BLOCKS),
        r.choice(BLOCKS),
        {"d": 20},
    )


def _half_only(r: random.Random) -> _Drawn:
    line = "if q.dtype not in (torch.float16, torch.bfloat16):\n        raise TypeError('fp16 and bf16 only')"
    call = {"n": 20, "dtype": r.choice((torch.float16, torch.bfloat16))}
    return _tiled(
        "half only", "fp16 and bf16 only", {"prepare": line}, call, r.choice(BLOCKS), r.choice(BLOCKS), {"n": 20}
    )


def _equal_lengths(r: random.Random) -> _Drawn:
    line = "assert n == m, 'self-attention only'"
    return _tiled(
        "equal lengths",
        "as many keys as queries",
        {"prepare": line},
        {"n": 21},
        r.choice(BLOCKS),
        r.choice(BLOCKS),
        {"n": 5, "m": 7},
    )


def _contiguous_only(r: random.Random) -> _Drawn:
    line = "assert q.is_contiguous() and k.is_contiguous() and v.is_contiguous()"
    return _tiled(
        "contiguous",
        "contiguous tensors only",
        {"prepare": line},
        {"n": 21},
        16,
        r.choice(BLOCKS),
        {"n": 9, "strided": True},
    )


def _one_head_count(r: random.Random) -> _Drawn:
    line = "assert h == g, 'grouped heads are not supported'"
    return _tiled(
        "equal heads",
        "as many key heads as query heads",
        {"prepare": line},
        {"n": 21},
        16,
        r.choice(BLOCKS),
        {"h": 4, "g": 2},
    )


def _causal_only(r: random.Random) -> _Drawn:
    line = "if not causal:\n        raise NotImplementedError('only causal attention')"
    call = {"n": r.randrange(5, 70), "causal": True}
    return _tiled("causal only", "causal only", {"prepare": line}, call, r.choice(BLOCKS), r.choice(BLOCKS), {"n": 9})


def _not_causal(r: random.Random) -> _Drawn:
    drawn = _batched("no mask", "no mask argument, and none needed", {}, {"n": r.randrange(5, 70)}, r.choice(BLOCKS))
    text = drawn.template.replace(", causal=False", "").replace("causal:", "False:")
    return _Drawn(drawn.kind, drawn.says, text, drawn.parts, drawn.call)


def _forward_only(r: random.Random) -> _Drawn:
    line = "q, k, v = q.detach(), k.detach(), v.detach()"
    return _tiled(
        "forward only", "forward only, no gradient", {"prepare": line}, {"n": 21}, r.choice(BLOCKS), r.choice(BLOCKS)
    )


def _power_of_two(r: random.Random) -> _Drawn:
    line = "if d & (d - 1):\n        raise ValueError('head_dim must be a power of two')"
    return _batched(
        "power of two",
        "head widths of powers of two only",
        {"prepare": "d = q.shape[-1]\n    " + line},
        {"n": r.randrange(5, 70)},
        r.choice(BLOCKS),
        {"d": 12},
    )


LIMITS: tuple[Callable[[random.Random], _Drawn], ...] = (
    _multiple,
    _head_widths,
    _half_only,
    _equal_lengths,
    _contiguous_only,
    _one_head_count,
    _causal_only,
    _not_causal,
    _forward_only,
    _power_of_two,
)
