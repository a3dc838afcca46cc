"""The contract of a kernel: softmax(Q Kᵀ / √d) V at every size, stride, dtype and number of groups that it takes."""

import dataclasses
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, final

from attention_surgeon.errors import SurgeonError
from attention_surgeon.faults import Family, Fault
from attention_surgeon.ops import Circuit, Steps
from attention_surgeon.testing.answer import Answer, arrays_in, quietly, raised, to_array
from attention_surgeon.testing.contract import Contract, Subject
from attention_surgeon.testing.kernel.call import KernelCall
from attention_surgeon.testing.kernel.limits import Limits, dtypes_of, find_limits, find_way
from attention_surgeon.testing.kernel.manners import manners_of
from attention_surgeon.testing.kernel.right import operands_of
from attention_surgeon.testing.kernel.signature import read_kernel
from attention_surgeon.testing.kernel.sweep import Swept, lies, sweep
from attention_surgeon.verdict import Behaviour


@final
@dataclass(frozen=True)
class KernelContract(Contract):
    """A function of query, key and value, judged at the sizes that it takes, up to 1,025 tokens.

    What it refuses by raising is a limit and no fault; so is a gradient that it does not have. In low precision it may
    err by twice what plain attention errs in the same precision.
    """

    name: ClassVar[str] = "kernel"
    value_names: ClassVar[tuple[str, ...]] = ("output",)

    def bind(self, target: Any) -> "KernelSubject":
        """Find out which sizes, layouts and dtypes it takes.

        Raises:
            UnjudgedError: it is no function of query, key and value, or answers no call.
        """
        return KernelSubject(self, target)


@final
class KernelSubject(Subject[KernelContract]):
    """A kernel that can be asked."""

    def __init__(self, contract: KernelContract, target: Any) -> None:
        """Bind."""
        self.contract = contract
        self.base = Circuit()
        self.families: frozenset[Family] = frozenset({"attention"})
        self.remarks: list[str] = []
        self.asker, self._small = find_way(read_kernel(target))
        self.is_right = self.asker.ask(self._small).is_right

    @property
    def key(self) -> Hashable:
        """The contract and the cases."""
        return self.contract, self._small, self.asker.way

    @cached_property
    def limits(self) -> Limits:
        """What it takes.

        Raises:
            UnjudgedError: it answers its smallest call wrongly.
        """
        return find_limits(self.asker, self._small)

    @cached_property
    def swept(self) -> Swept:
        """What came of calling it at many sizes."""
        self.asker.way = lies(self.asker, self.limits)
        return sweep(dataclasses.replace(self.asker, answered={}), self.limits)

    def cases(self, probe: int) -> tuple[KernelCall, ...]:
        """Return one small call."""
        return (dataclasses.replace(self._small, name="plain", seed=10 + probe),)

    def small_cases(self) -> Iterator[KernelCall]:
        """Yield the smallest call that it takes."""
        yield self._small

    def ask(self, case: KernelCall) -> Answer:
        """Call it; what is as near to right as the dtype allows counts as right."""
        outcome = self.asker.ask_anew(case)
        if outcome.error is not None:
            return Answer(error=outcome.error)
        if outcome.is_right or outcome.output is None:
            return Answer((to_array(self.asker.right(case)) if outcome.is_right else None,), dtype="float64")
        return Answer((to_array(outcome.output),), dtype=case.dtype)

    def raw(self, case: KernelCall) -> list[Any]:
        """Call it and return the very tensors or arrays that it returned."""
        with quietly():
            return arrays_in(self.asker.signature.call(case, self.asker.way.layout, self.asker.way.library))

    def as_code(self, case: KernelCall) -> str:
        """Return the call as Python."""
        return self.asker.signature.code(case, self.asker.way.layout, self.asker.way.library)

    def answer(self, circuit: Circuit, case: KernelCall) -> Answer:
        """Run a circuit on the same numbers."""
        try:
            output, _ = circuit.run(operands_of(self._meant(case), self.asker.way.align))
        except (SurgeonError, RuntimeError, IndexError) as error:  # a faulty circuit may not fit these shapes
            return raised(error)
        return Answer((to_array(output),), dtype="float64")

    def steps(self, circuit: Circuit, case: KernelCall) -> Steps | None:
        """Return what a circuit computes on the way."""
        try:
            return circuit.steps(operands_of(self._meant(case), self.asker.way.align))
        except (SurgeonError, RuntimeError, IndexError):
            return None

    def faults(self, offered: tuple[Fault, ...]) -> tuple[Fault, ...]:
        """Leave out what needs a switch of the scale."""
        no_switch = {"scale_flag_ignored", "scale_flag_inverted", "scale_not_asked"}
        return tuple(fault for fault in offered if fault.name not in no_switch)

    def allowed(self, case: KernelCall) -> Any:
        """Return the causal mask of a call, in the shape of the weights."""
        allowed = operands_of(self._meant(case), self.asker.way.align).allowed
        return None if allowed is None else allowed.expand(case.batch, case.heads, case.n_q, case.n_k).numpy()

    def behaviour(self, circuit: Circuit | None) -> list[Behaviour]:
        """Say at which sizes, strides, dtypes and groups it is wrong, where it is right in a small call."""
        if not self.is_right:
            return []
        promised = self.asker.signature.align
        way = lies(self.asker, self.limits)
        found = [Behaviour(each.fault, each.sentence) for each in self.swept.found]
        if promised is not None and way.align != promised:
            where = {"start": "the first query sees the first key only", "end": "the last query sees every key"}
            sentence = f"causal, with more keys than queries, {where[way.align]}; expected: {where[promised]}"
            found.append(Behaviour(f"causal_aligned_at_{way.align}", sentence))
        found += manners_of(self.asker, self.limits)
        remarks = (*self.swept.remarks, *self.limits_in_words())
        return [*found, *(Behaviour(None, words, is_fault=False) for words in remarks)]

    @property
    def untried(self) -> tuple[str, ...]:
        """The arguments that were never given a value."""
        signature = self.asker.signature
        return tuple(name for name in signature.defaults if name not in signature.roles)

    def limits_in_words(self) -> list[str]:
        """Return what it does not take, in words; nothing of it is a fault."""
        limits, said = self.limits, []
        if limits.multiple > 1 and limits.ragged is None:
            said.append(f"it takes multiples of {limits.multiple} tokens only")
        if self.asker.signature.is_triton:
            said.append("Triton's interpreter ran it on the CPU, without bfloat16")
        if limits.is_equal:
            said.append("it takes as many keys as queries only")
        if len(limits.dtypes) < len(dtypes_of(self.asker.signature, self.asker.way)):
            said.append(f"it takes {' and '.join(limits.dtypes)} only")
        if "transposed" not in limits.strides:
            said.append("it takes contiguous tensors only")
        if limits.causal == (True,) and self.asker.signature.given_name("causal"):
            said.append("it is causal only")
        refused = sorted(set(limits.refused) & {f"heads of {w}" for w in (16, 20, 32, 64, 80, 128)})
        if refused:
            taken = ", ".join(map(str, sorted(limits.widths)))
            said.append(f"of the widths of a head that were tried it takes {taken}")
        return said

    def _meant(self, case: KernelCall) -> KernelCall:
        return dataclasses.replace(case, is_causal=True) if self.asker.way.is_always_causal else case
