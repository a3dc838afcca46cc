"""Calls on which faults are tried: sizes are distinct primes, or all the same where a fault runs only then."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from attention_surgeon.errors import SurgeonError
from attention_surgeon.faults import Fault, find_fault, with_faults
from attention_surgeon.masks import causal_mask
from attention_surgeon.ops import Circuit, Linears, Operands, leave_unscaled

BATCH, HEADS, N_Q, N_K, D_K, D_V, MODEL = 2, 3, 5, 7, 11, 13, 17
Answer = tuple[Tensor, ...]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def three(n_q: int = N_Q, n_k: int = N_K, d_k: int = D_K, d_v: int = D_V, batch: tuple[int, ...] = (BATCH, HEADS)):
    return draw(*batch, n_q, d_k), draw(*batch, n_k, d_k, seed=1), draw(*batch, n_k, d_v, seed=2)


def ragged(*shape: int) -> Tensor:
    """Return a mask in which query 0 sees every key, query 1 none, the others some, but never all."""
    allowed = draw(*shape, seed=3) > 0
    allowed[..., 0, :] = True
    allowed[..., 1, :] = False
    allowed[..., 2:, 0] = True
    allowed[..., 2:, -1] = False
    return allowed


def padding(n_q: int, n_k: int) -> Tensor:
    """Return the mask of two sequences whose last one and two keys are padding, `(2, 1, n_q, n_k)`."""
    return (torch.arange(n_k) < torch.tensor([n_k - 1, n_k - 2])[:, None, None, None]).expand(2, 1, n_q, n_k)


def given(*tensors: Tensor, allowed: Tensor | None = None, bias: Tensor | None = None) -> Operands:
    query, key, value = tensors
    return Operands(query, key, value, allowed, bias, torch.float64, MODEL)


@dataclass(frozen=True)
class Probe:
    """One call of attention: what is right, what comes in, and whether scores are to be scaled."""

    name: str
    base: Circuit
    operands: Operands
    scale: bool = True

    def ask(self, circuit: Circuit) -> Answer:
        return circuit.run(self.operands, scale=self.scale)


def probes() -> Iterator[Probe]:
    usual = Circuit()
    unscaled = usual.replace(scale=leave_unscaled)
    causal = Circuit(pattern=lambda n_q, n_k: causal_mask(n_q, n_k).dense())
    from_start = Circuit(pattern=lambda n_q, n_k: causal_mask(n_q, n_k, align="start").dense())
    primes, equal = three(), three(5, 5, 5, 5)
    yield Probe("plain", usual, given(*primes))
    yield Probe("ragged", usual, given(*primes, allowed=ragged(BATCH, HEADS, N_Q, N_K)))
    yield Probe("bias", usual, given(*primes, bias=draw(N_Q, N_K, seed=4)))
    yield Probe("switched off", usual, given(*primes), scale=False)
    yield Probe("unscaled", unscaled, given(*primes))
    yield Probe("causal", causal, given(*primes))
    yield Probe("causal from the start", from_start, given(*primes))
    yield Probe("equal", usual, given(*equal))
    yield Probe("equal, ragged", usual, given(*equal, allowed=ragged(BATCH, HEADS, 5, 5)))
    yield Probe("equal, padded", usual, given(*equal, allowed=padding(5, 5)))
    yield Probe("equal, causal", causal, given(*equal))
    yield Probe("equal, causal and padded", causal, given(*equal, allowed=padding(5, 5)))
    huge = given(1e3 * draw(5, 1), draw(7, 1, seed=1), draw(7, 3, seed=2))
    yield Probe("huge", usual, huge)
    yield Probe("huge and negative", usual, given(-huge.query.abs(), huge.key.abs(), huge.value))


def modern_probes(fault: Fault) -> Iterator[Probe]:
    """Yield the calls of attention with heads of an even size, with the part that the fault needs in what is right."""
    for n_q, n_k in ((5, 5), (5, 7)):
        operands = given(*three(n_q, n_k, 12, 8))
        base = Circuit(pattern=lambda n_q, n_k: causal_mask(n_q, n_k).dense())
        for name, circuit in (("plain", Circuit()), ("causal", base)):
            right = circuit if fault.needs is None else fault.needs.put_into(circuit, HEADS)
            yield Probe(f"{name}, {n_q} x {n_k}", right, operands)


class Layer:
    """A layer as a circuit sees it: two sequences, two or four heads, biases, and weights that are not symmetric."""

    def __init__(
        self, heads: int, kv_heads: int, n_q: int = N_Q, n_k: int = N_Q, size: int = 3, batch: int = 2
    ) -> None:
        width = heads * size
        self.heads, self.kv_heads = heads, kv_heads
        self.x = draw(batch, n_q, width, seed=5)
        self.context = self.x if n_q == n_k else draw(batch, n_k, width, seed=6)
        sizes = {"query": width, "key": kv_heads * size, "value": kv_heads * size, "output": width}
        self.linears: Linears = {role: _linear(width, out, seed) for seed, (role, out) in enumerate(sizes.items())}

    def ask(self, circuit: Circuit) -> Answer:
        tensors = circuit.heads(self.x, self.context, self.linears, num_heads=self.heads, num_kv_heads=self.kv_heads)
        gathered, weights = circuit.run(given(*tensors))
        return circuit.finish(self.x, gathered, self.linears), weights

    def __call__(self, circuit: Circuit) -> Tensor:
        return self.ask(circuit)[0]


def layers() -> Iterator[Layer]:
    yield Layer(2, 2)
    yield Layer(2, 2, n_k=N_K)
    yield Layer(4, 2)


def even_layers() -> Iterator[Layer]:
    """Yield layers whose heads can turn in pairs."""
    yield Layer(2, 2, size=4)
    yield Layer(4, 2, size=4)


def tried(ask, circuit: Circuit) -> Answer | None:
    """Return the answer, or None where the circuit raises, as faulty code would."""
    try:
        return ask(circuit)
    except (SurgeonError, RuntimeError, IndexError):
        return None


def same(one: Answer | None, other: Answer | None) -> bool:
    if one is None or other is None:
        return one is other
    pairs = zip(one, other, strict=True)
    return all(a.shape == b.shape and torch.allclose(a, b, rtol=1e-9, atol=1e-12, equal_nan=True) for a, b in pairs)


def with_fault(fault: Fault, probe: Probe) -> Answer | None:
    return tried(probe.ask, with_faults(probe.base, [fault]))


def _linear(width: int, out: int, seed: int) -> nn.Linear:
    linear = nn.Linear(width, out, dtype=torch.float64)
    with torch.no_grad():
        linear.weight.copy_(draw(out, width, seed=10 + seed) / width**0.5)
        linear.bias.copy_(draw(out, seed=20 + seed))
    return linear.requires_grad_(False)


def run(fault: Fault, *tensors: Tensor, allowed: Tensor | None = None, **more) -> Answer:
    """Return what attention with the fault in it gives."""
    base = more.pop("base", Circuit())
    return with_faults(base, [fault]).run(replace(given(*tensors, allowed=allowed), **more))


def faulty(name: str, base: Circuit | None = None) -> Circuit:
    """Return the usual circuit, or another one, with the fault in it."""
    operate = find_fault(name).operate
    assert operate is not None
    return operate(base or Circuit())


def run_usual(*tensors: Tensor, allowed: Tensor | None = None) -> Answer:
    return Circuit().run(given(*tensors, allowed=allowed))


def matrix(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def close(found: Tensor, expected: Tensor | list[float] | float) -> bool:
    expected = torch.as_tensor(expected, dtype=torch.float64)
    return torch.allclose(found, expected.expand_as(found), equal_nan=True)
