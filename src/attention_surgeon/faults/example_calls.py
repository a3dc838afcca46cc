"""The small calls on which faults are drawn: each kind of fault needs another one to be seen."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TypeAlias

import torch
from torch import Tensor

from attention_surgeon.faults.families import LAYERS
from attention_surgeon.faults.fault import Fault
from attention_surgeon.faults.projection import Projection
from attention_surgeon.masks import causal_mask
from attention_surgeon.ops import Circuit, Linears, Operands, leave_unscaled
from attention_surgeon.ops.circuit import Three

TOKENS = ("The", "cat", "sat", "on", "it")
_OTHER_TOKENS = ("Le", "chat", "dort")
_N, _KEY_SIZE, _VALUE_SIZE, _WIDTH = len(TOKENS), 8, 6, 8

Values: TypeAlias = Mapping[str, Tensor]


@dataclass(frozen=True)
class Call:
    """One drawn call.

    Attributes:
        words: What is called.
        base: The circuit that is right.
        run: What a circuit gives, by name, the most telling value first.
        keys: A name for each key.
        queries: A name for each query.
        heads: How many heads there are.
    """

    words: str
    base: Circuit
    run: Callable[[Circuit], Values]
    keys: tuple[str, ...] = TOKENS
    queries: tuple[str, ...] = TOKENS
    heads: int = 1


def calls_for(fault: Fault) -> Iterator[Call]:
    """Yield the calls in which a fault of these families may be seen, the simplest first."""
    if fault.families <= {"modern"}:
        return _modern_calls(fault)
    if fault.families <= {"statistics"}:
        return iter((_statistics_call(),))
    if fault.families <= {"padding"}:
        return _padding_calls()
    if fault.families <= {"causal", "mask"}:
        return _causal_calls()
    return _layer_calls() if fault.families <= LAYERS else _function_calls()


def _call(
    words: str,
    three: Three,
    *,
    allowed: Tensor | None = None,
    bias: Tensor | None = None,
    base: Circuit | None = None,
    scale: bool = True,
    queries: tuple[str, ...] = TOKENS,
    heads: int = 1,
) -> Call:
    given = Operands(*three, allowed, bias, torch.float64)
    return Call(words, base or Circuit(), partial(_reported, given=given, scale=scale), queries=queries, heads=heads)


def _modern_calls(fault: Fault) -> Iterator[Call]:
    """Yield the calls of functions, then those of layers, with what the fault needs in the circuit that is right."""
    for call in (*_function_calls(), _padded_heads_call(), *_layer_calls(), _padded_causal_call()):
        if fault.needs is None:
            yield call
        else:
            words = f"{call.words}, with {fault.needs.words}"
            yield replace(call, words=words, base=fault.needs.put_into(call.base, call.heads))


def _function_calls() -> Iterator[Call]:
    three, causal = _three(), causal_mask(_N).dense()
    yield _call("five tokens", three)
    yield _call("five tokens, the future hidden by a mask", three, allowed=causal)
    yield from _padding_calls()
    yield _call("five tokens, a mask of numbers", three, bias=_draw(_N, _N, seed=3))
    yield _call("five tokens, scale=False", three, scale=False)
    yield _call("five tokens, unscaled attention", three, base=Circuit().replace(scale=leave_unscaled))
    yield from _causal_calls()
    yield _call("five tokens, vectors of five numbers", (_draw(_N, _N), _draw(_N, _N, seed=1), _draw(_N, _N, seed=2)))
    yield _call("two heads", _three(1, 2), heads=2)
    yield _call("huge scores", (*_huge(1.0), three[2]))
    yield _call("huge scores of both signs", (*_huge(-1.0), three[2]))
    hides_all = causal & (torch.arange(_N) != 0)[:, None]
    yield _call("a mask that hides every key from the first query", three, allowed=hides_all)


def _padding_calls() -> Iterator[Call]:
    allowed = _padding()
    yield _call("five tokens, the last two of them padding", _three(), allowed=allowed[0])
    yield _call("two sequences, padded from the fourth and from the fifth token", _three(2), allowed=allowed)


def _padded_heads_call() -> Call:
    return _call("two padded sequences, two heads", _three(2, 2), allowed=_padding()[:, None], heads=2)


def _padded_causal_call() -> Call:
    at_end = Circuit(pattern=lambda n_q, n_k: causal_mask(n_q, n_k).dense())
    return _call("causal attention, the last two tokens padding", _three(), allowed=_padding()[0], base=at_end)


def _padding() -> Tensor:
    """Return the mask of two sequences of five tokens, `(2, n, n)`, whose last two and last one are padding."""
    lengths = torch.stack([torch.arange(_N) < length for length in (_N - 2, _N - 1)])
    return lengths[:, None].expand(2, _N, _N)


def _causal_calls() -> Iterator[Call]:
    """Yield calls of attention that hides the future by itself: as many queries as keys, then fewer."""
    at_end = Circuit(pattern=lambda n_q, n_k: causal_mask(n_q, n_k).dense())
    at_start = Circuit(pattern=lambda n_q, n_k: causal_mask(n_q, n_k, align="start").dense())
    query, key, value = _three()
    for words, some, base in (
        ("causal attention", slice(None), at_end),
        ("causal attention, the last three queries", slice(-3, None), at_end),
        ("causal attention, the first three queries", slice(3), at_start),
    ):
        yield _call(words, (query[some], key, value), base=base, queries=TOKENS[some])


def _layer_calls() -> Iterator[Call]:
    x = _draw(2, _N, _WIDTH)
    context = _draw(2, len(_OTHER_TOKENS), _WIDTH, seed=1)
    yield _layer_call("a layer with two heads", x, x, heads=2, kv_heads=2)
    yield _layer_call("a layer with four heads that share two", x, x, heads=4, kv_heads=2)
    yield _layer_call("a layer of cross-attention", x, context, heads=2, kv_heads=2)


def _layer_call(words: str, x: Tensor, context: Tensor, *, heads: int, kv_heads: int) -> Call:
    narrow = _WIDTH * kv_heads // heads
    sizes = {"query": _WIDTH, "key": narrow, "value": narrow, "output": _WIDTH}
    linears: Linears = {
        role: Projection(_draw(size, _WIDTH, seed=10 + n) / _WIDTH**0.5, 0.5 * _draw(size, seed=20 + n))
        for n, (role, size) in enumerate(sizes.items())
    }

    def run(circuit: Circuit) -> Values:
        three = circuit.heads(x, context, linears, num_heads=heads, num_kv_heads=kv_heads)
        gathered, weights = circuit.run(Operands(*three, None, None, torch.float64, model_size=_WIDTH))
        return {"weights": weights, "output": circuit.finish(x, gathered, linears)}

    return Call(words, Circuit(), run, keys=TOKENS if context is x else _OTHER_TOKENS, heads=heads)


def _statistics_call() -> Call:
    scores = _draw(_N, _N).masked_fill(~causal_mask(_N).dense(), -torch.inf)

    def run(circuit: Circuit) -> Values:
        return {"numbers": torch.stack([number.double() for number in circuit.measure(scores.softmax(-1)).values()])}

    names = tuple(Circuit().measure(scores.softmax(-1)))
    return Call("the weights of five tokens, the future hidden", Circuit(), run, keys=names, queries=("",))


def _reported(circuit: Circuit, given: Operands, *, scale: bool = True) -> Values:
    first, second = circuit.run(given, scale=scale)
    return {"weights": second, "output": first}


def _huge(sign: float) -> tuple[Tensor, Tensor]:
    """Return query and key whose scores are in the thousands; the second query's have the given sign."""
    signs = torch.tensor([1.0, sign, 1.0, 1.0, 1.0], dtype=torch.float64)
    key = torch.tensor([[1.0], [2.0], [4.0], [3.0], [3.999]], dtype=torch.float64)
    return 1000 * signs[:, None], key


def _three(*batch: int) -> Three:
    """Return query, key and value of five tokens; no two of their sizes are the same."""
    return (
        _draw(*batch, _N, _KEY_SIZE),
        _draw(*batch, _N, _KEY_SIZE, seed=1),
        _draw(*batch, _N, _VALUE_SIZE, seed=2),
    )


@cache
def _draw(*shape: int, seed: int = 0) -> Tensor:
    source = torch.Generator().manual_seed(100 + seed)
    return 1.25 * torch.randn(*shape, generator=source, dtype=torch.float64)
