"""Nothing stays: no process, no descriptor, no file; and Ctrl-C is Ctrl-C."""

import errno
import faulthandler
import os
import signal
import tempfile
import threading
import time
from pathlib import Path

import pytest

from attention_surgeon.diagnose.child import Limits, run_in_child
from tests.diagnose.child.running import SHORT, is_running, run_source

GRANDCHILD = """
    import os, subprocess, time
    def f():
        pids = [subprocess.Popen(["sleep", "99"]).pid, os.fork()]
        if pids[1] == 0:
            time.sleep(99)
        open({file!r}, "w").write(" ".join(map(str, pids)))
        {then}
        return 1
"""


@pytest.mark.parametrize(("then", "ended"), [("", "finished"), ("time.sleep(99)", "timed_out"), ("1 / 0", "raised")])
def test_what_it_started_ends_with_it(tmp_path: Path, then: str, ended: str):
    source = GRANDCHILD.format(file=str(tmp_path / "pids"), then=then)
    assert run_source(tmp_path, source, SHORT).ended == ended
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    patience = time.monotonic() + 2  # a killed process takes a moment to go
    while any(map(is_running, pids)) and time.monotonic() < patience:
        time.sleep(0.01)
    assert [is_running(pid) for pid in pids] == [False, False]


def test_a_copy_of_the_child_has_no_say(tmp_path: Path):
    source = """
        import os
        copy = os.fork()
        if copy:
            os.waitpid(copy, 0)
            os._exit(3)
        def f(): return "the copy speaks"
    """
    outcome = run_source(tmp_path, source)
    assert (outcome.ended, outcome.value) == ("exited", None)


def test_no_descriptor_no_zombie_no_file_and_no_core_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path)
    before, before_it = sorted(os.listdir("/proc/self/fd")), children()
    for source in (
        "def f(): pass",
        "def f(): exit()",
        "import os\ndef f(): os.abort()",
        "def f():\n    while True: print(1)",
    ):
        run_source(tmp_path, source, SHORT)
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert children() == before_it
    assert os.listdir(tmp_path / "temporary") == []
    assert sorted(os.listdir(tmp_path)) == ["attention.py", "temporary"]


def children() -> set[str]:
    """Return the children of this process, dead ones that nobody waited for among them; other tests may have some."""
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def loop_for_ever(pid_file: Path) -> None:
    pid_file.with_suffix(".draft").write_text(str(os.getpid()))
    pid_file.with_suffix(".draft").rename(pid_file)
    while True:
        time.sleep(1)


def signal_this_process_when(file: Path, number: int) -> None:
    """Send a signal to this very process as soon as the file is there."""

    def wait_and_send() -> None:
        while not file.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    threading.Thread(target=wait_and_send).start()


def test_ctrl_c_kills_the_child_and_is_raised(tmp_path: Path):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    signal_this_process_when(tmp_path / "pid", signal.SIGINT)
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_in_child(lambda: loop_for_ever(tmp_path / "pid"), start="fork")
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - began < 5  # of the 10 that it had
    assert not is_running(int((tmp_path / "pid").read_text()))
    assert run_in_child(lambda: 1, start="fork").value == 1


def test_ctrl_c_in_the_middle_of_a_slow_fork(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fork = os.fork

    def slow_fork() -> int:
        (tmp_path / "forking").touch()
        time.sleep(0.3)
        return fork()

    monkeypatch.setattr(os, "fork", slow_fork)
    before, before_it = signal.signal(signal.SIGINT, signal.default_int_handler), children()
    signal_this_process_when(tmp_path / "forking", signal.SIGINT)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_in_child(lambda: loop_for_ever(tmp_path / "pid"), start="fork")
    finally:
        signal.signal(signal.SIGINT, before)
    assert children() == before_it


def test_a_system_that_allows_no_further_process(monkeypatch: pytest.MonkeyPatch):
    def refuse() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(BlockingIOError, match="Resource temporarily unavailable"):
        run_in_child(lambda: 1, start="fork")
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_child_whose_parent_is_gone_ends_on_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # a killed parent cannot clear away

    def parent() -> None:
        signal_this_process_when(tmp_path / "pid", signal.SIGKILL)
        run_in_child(lambda: loop_for_ever(tmp_path / "pid"), limits=Limits(seconds=1), start="fork")

    assert run_in_child(parent, start="fork").ended == "crashed"
    pid = int((tmp_path / "pid").read_text())
    assert is_running(pid)
    patience = time.monotonic() + 60  # a second of a processor, however busy it is
    while is_running(pid) and time.monotonic() < patience:
        time.sleep(0.02)
    assert not is_running(pid)


def test_a_clock_of_faulthandler_in_the_parent_does_no_harm():
    faulthandler.dump_traceback_later(60)
    try:
        assert run_in_child(lambda: 1, start="fork").value == 1
    finally:
        faulthandler.cancel_dump_traceback_later()


def test_what_faulthandler_does_in_the_parent_does_not_hide_the_line(tmp_path: Path):
    with (tmp_path / "trace of the parent").open("w+") as file:
        for number in (signal.SIGALRM, signal.SIGUSR1):
            faulthandler.register(number, file=file)
        try:
            late = run_source(tmp_path, "def f():\n    while True: pass", SHORT)
            flooded = run_source(tmp_path, "def f():\n    while True: print('x' * 999)")
        finally:
            for number in (signal.SIGALRM, signal.SIGUSR1):
                faulthandler.unregister(number)
        assert file.read() == ""
    assert (late.ended, late.line, flooded.ended, flooded.line) == ("timed_out", 2, "flooded", 2)


def test_it_may_be_called_from_any_thread():
    values: list[object] = []
    threads = [
        threading.Thread(target=lambda i=i: values.append(run_in_child(lambda: i, start="fork").value))
        for i in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(values, key=str) == [0, 1, 2, 3, 4]
