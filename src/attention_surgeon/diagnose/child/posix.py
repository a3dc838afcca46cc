"""What only POSIX systems have: sessions, signals, limits of the kernel."""

import faulthandler
import fcntl
import mmap
import os
import resource
import signal
import subprocess
from pathlib import Path

from attention_surgeon.diagnose.child.limits import Limits

_HIGH = 200  # code that closes "all" descriptors, or reuses a number it closed, rarely gets that far

_RESERVE_BYTES = 4 * 2**20  # Python asks for its small objects in pieces of 1 MiB
_reserve: list[mmap.mmap] = []

_LOOK_EVERY = 0.005  # seconds of the processor; a kernel counts no finer

_AHEAD_BYTES = 64 * 2**20  # what small objects can grow by between two looks, several times over

_WITHOUT_PARENT = 10  # so many times its seconds by the clock a child lives that waits, and whose parent is gone


def reset_signals() -> None:
    """Give every signal its usual meaning; the parent's handlers mean nothing in a child."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def out_of_the_way(descriptor: int) -> int:
    """Move a descriptor to a high number, where hardly anybody closes it by accident."""
    try:
        high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    except OSError:  # so few descriptors are allowed that there are no high ones
        return descriptor
    os.close(descriptor)
    return high


def set_alarm(limits: Limits, trace: int) -> None:
    """Let the process end when its time is over, having written where it was.

    faulthandler answers the signals in C: also inside a matrix product, and without a parent. Its own clock,
    `dump_traceback_later`, would wait for ever in a child whose parent uses it too, as pytest can.

    Args:
        limits: The time, of a processor; by the clock it is the parent that looks, and this alarm only where there is
            none left.
        trace: The descriptor to write to; a SIGUSR1 writes there without an end.
    """
    ending = (signal.SIGALRM, signal.SIGPROF)
    for number in (*ending, signal.SIGUSR1):
        faulthandler.unregister(number)  # what the parent registered would count as done
        signal.signal(number, signal.SIG_DFL)
    for number in ending:
        faulthandler.register(number, file=trace, all_threads=True, chain=True)  # and then the default: the end
    faulthandler.register(signal.SIGUSR1, file=trace, all_threads=True)
    signal.setitimer(signal.ITIMER_PROF, limits.cpu_seconds or limits.seconds)
    signal.setitimer(signal.ITIMER_REAL, _WITHOUT_PARENT * limits.seconds)


def set_limits(limits: Limits) -> None:
    """Limit this process: no core file, processor time, memory.

    The time by the clock is the alarm's and the parent's business. Processor time is the net under both, for a child
    that ignores signals and whose parent is gone: it allows for every processor, and a second later the kernel
    kills. Memory is the kernel's count of private writable memory (RLIMIT_DATA): RLIMIT_AS would also count what
    torch only reserves. A failing allocation then raises at its line. Small objects leave no room for the traceback
    that says which line it was, so a lookout stops them before: the kernel's limit lies a little above the one asked.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    allowed = limits.cpu_seconds or limits.seconds * (os.cpu_count() or 1)
    seconds = int(used + allowed) + 2
    _lower(resource.RLIMIT_CPU, seconds, seconds + 1)
    has = memory_of(os.getpid(), "VmData")
    if has is not None:
        _reserve.append(mmap.mmap(-1, _RESERVE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        allowed = has + _RESERVE_BYTES + limits.memory_bytes
        _lower(resource.RLIMIT_DATA, allowed + _AHEAD_BYTES, resource.RLIM_INFINITY)
        _look_out(allowed)


def _look_out(allowed: int) -> None:
    """Raise MemoryError, once, where the main thread is when the process has more than `allowed` bytes (VmData)."""
    try:
        statm = out_of_the_way(os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC))
    except OSError:  # the kernel's limit is left
        return
    page = os.sysconf("SC_PAGE_SIZE")

    def look(_number: int, _frame: object) -> None:
        try:
            has_pages = int(os.pread(statm, 128, 0).split()[5])
        except (OSError, IndexError, ValueError):  # the code closed it, or took its number for a file of its own
            _stop_looking_out()
            return
        if has_pages * page > allowed:
            _stop_looking_out()
            raise MemoryError

    signal.signal(signal.SIGVTALRM, look)
    signal.siginterrupt(signal.SIGVTALRM, False)  # nobody's read is to end early for this
    signal.setitimer(signal.ITIMER_VIRTUAL, _LOOK_EVERY, _LOOK_EVERY)


def _stop_looking_out() -> None:
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, signal.SIG_IGN)


def lift_memory_limit() -> None:
    """Take the limit on memory back, so that there is room to say that it was reached.

    Where not a byte is left, not even that is possible: the reserve goes first, straight back to the system.
    """
    _stop_looking_out()
    while _reserve:
        _reserve.pop().close()
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def memory_of(pid: int, field: str = "VmRSS") -> int | None:
    """Return how many bytes a process has, None if it is gone or the system does not say.

    Args:
        pid: The process.
        field: `VmRSS` (in memory now) or `VmData` (private and writable; only Linux counts it).
    """
    if not Path("/proc/self/status").exists():
        return _resident_by_ps(pid) if field == "VmRSS" else None
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return int(found[0]) * 1024 if found else None


def pace_of(pid: int) -> tuple[bool, float] | None:
    """Return whether a process could run at this moment, and the processor seconds it has used; None off Linux."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # its name may hold blanks and brackets
    return fields[0] == "R", (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_by_ps(pid: int) -> int | None:
    listed = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return int(listed.stdout) * 1024 if listed.stdout.strip() else None


def _lower(kind: int, *wanted: int) -> None:
    """Set the soft and the hard limit, but none above what it is already."""
    unlimited = resource.RLIM_INFINITY
    before = resource.getrlimit(kind)
    soft, hard = (
        min((n for n in pair if n != unlimited), default=unlimited) for pair in zip(wanted, before, strict=True)
    )
    resource.setrlimit(kind, (soft, hard))
