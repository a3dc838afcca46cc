"""What is remembered survives a crash, a full disk, a damaged file and two who write at once."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from attention_surgeon.course.history import Event, History
from attention_surgeon.course.objects import Objects
from attention_surgeon.course.state import State, StateFile
from attention_surgeon.errors import FileAccessError, FileFormatError


def state_file(folder: Path) -> StateFile:
    return StateFile(folder, History(folder / "history.jsonl"))


def test_what_is_written_is_read(tmp_path: Path):
    with state_file(tmp_path).changing() as state:
        state.current = "a.b"
        state.of("a.b").beaten.append("scale_missing")
        state.given["a/b.py"] = "12"
    read = state_file(tmp_path).read()
    assert (read.current, read.of("a.b").beaten, read.given) == ("a.b", ["scale_missing"], {"a/b.py": "12"})


def test_a_block_that_fails_changes_nothing(tmp_path: Path):
    with state_file(tmp_path).changing() as state:
        state.current = "first"

    def fail() -> None:
        with state_file(tmp_path).changing() as state:
            state.current = "second"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert state_file(tmp_path).read().current == "first"


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "{",
        "[]",
        "null",
        '{"format": "other", "version": 1}',
        '{"format": "attention_surgeon_workspace", "version": 1}',
        '{"format": "attention_surgeon_workspace", "version": 1, "courses": 3, "current": "", "given": {}, '
        '"exercises": {}}',
        '{"format": "attention_surgeon_workspace", "version": 1, "courses": [], "current": "", "given": {}, '
        '"exercises": {"a.b": {"passed": 7}}}',
        '{"format": "attention_surgeon_workspace", "version": 1, "courses": [], "current": "", "given": {}, '
        '"exercises": {"a.b": {"colour": "red"}}}',
    ],
)
def test_a_damaged_state_is_set_aside_and_told_again(tmp_path: Path, damaged: str):
    file = state_file(tmp_path)
    with file.changing() as state:
        state.courses, state.given = ["/units"], {"a/b.py": "12"}
    with file.changing() as state:
        state.current = "later"
    history = History(tmp_path / "history.jsonl")
    history.add(Event("a/b.py", "1", "judged", "a.b", "mistake", ("scale_missing",), at="2026-01-01T10:00:00+00:00"))
    history.add(Event("a/b.py", "2", "judged", "a.b", "passed", at="2026-01-01T10:05:00+00:00"))
    (tmp_path / "state.json").write_text(damaged)
    file = state_file(tmp_path)
    state = file.read()
    assert (tmp_path / "state.broken-1.json").read_text() == damaged
    assert state.of("a.b").passed == "2026-01-01T10:05:00+00:00"
    assert state.of("a.b").beaten == ["scale_missing"]
    assert (state.courses, state.given) == (["/units"], {"a/b.py": "12"})
    assert len(file.notes) == 1
    assert "it is kept as state.broken-1.json" in file.notes[0]
    assert "1 passed. Your files were not touched." in file.notes[0]
    assert state_file(tmp_path).read() == state


def test_a_newer_state_is_left_alone(tmp_path: Path):
    newer = json.dumps({"format": "attention_surgeon_workspace", "version": 2})
    (tmp_path / "state.json").write_text(newer)
    with pytest.raises(FileFormatError, match="was written by a newer attention-surgeon; update it"):
        state_file(tmp_path).read()
    assert (tmp_path / "state.json").read_text() == newer


def test_two_who_write_at_once_lose_nothing(tmp_path: Path):
    def add(name: str) -> None:
        for number in range(15):
            with state_file(tmp_path).changing() as state:
                state.of(f"{name}.{number}").attempts += 1

    threads = [threading.Thread(target=add, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(state_file(tmp_path).read().exercises) == 45


def test_killed_in_the_middle_of_writing(tmp_path: Path):
    """SIGKILL between any two system calls: the state is the old one or the new one."""
    code = (
        "import sys; from pathlib import Path; from attention_surgeon.course.state import StateFile;"
        "from attention_surgeon.course.history import History, Event; folder = Path(sys.argv[1]);"
        "history = History(folder / 'history.jsonl'); number = 0\n"
        "while True:\n"
        "    with StateFile(folder, history).changing() as state:\n"
        "        state.current = str(number := number + 1) * 2000\n"
        "    history.add(Event('a.py', state.current, 'judged', 'a.b', 'mistake')); print(flush=True)\n"
    )
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        for _ in range(12):
            process.stdout.readline()
        process.kill()
        process.wait()
        process.stdout.close()
        file = state_file(tmp_path)
        state = file.read()
        assert file.notes == []
        assert state.current == state.current[: len(state.current) // 2000] * 2000
        assert History(tmp_path / "history.jsonl").events()


def test_a_history_whose_last_line_was_torn(tmp_path: Path):
    history = History(tmp_path / "history.jsonl")
    history.add(Event("a.py", "1", "judged"))
    history.file.write_bytes(history.file.read_bytes() + b'{"path": "a.py", "sha2')
    history.add(Event("a.py", "2", "judged"))
    history.file.write_bytes(history.file.read_bytes() + b"[]\n7\n{}\n\xff\n")
    assert [event.sha256 for event in history.events()] == ["1", "2"]


def test_versions_go_back_step_by_step(tmp_path: Path):
    history = History(tmp_path / "history.jsonl")
    for sha, what in (("A", "judged"), ("B", "judged"), ("B", "judged"), ("C", "reset")):
        history.add(Event("a.py", sha, what))
    assert history.versions("a.py") == ["A", "B", "C"]
    history.add(Event("a.py", "B", "undone"))
    assert history.versions("a.py") == ["A", "B"]
    history.add(Event("a.py", "D", "judged"))
    history.add(Event("b.py", "E", "judged"))
    assert history.versions("a.py") == ["A", "B", "D"]


def test_a_content_is_kept_once_and_checked(tmp_path: Path):
    objects = Objects(tmp_path)
    name = objects.put(b"some text" * 100)
    assert objects.put(b"some text" * 100) == name
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) == 1
    assert files[0].stat().st_size < 100
    assert objects.get(name) == b"some text" * 100
    files[0].write_bytes(b"other")
    with pytest.raises(FileFormatError, match="is damaged"):
        objects.get(name)
    with pytest.raises(FileAccessError, match="there is no such file"):
        objects.get("ab" * 32)


def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with state_file(tmp_path).changing() as state:
        state.current = "first"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with (
        pytest.raises(FileAccessError, match="the disk is full; free some space"),
        state_file(tmp_path).changing() as state,
    ):
        state.current = "second"
    monkeypatch.undo()
    assert state_file(tmp_path).read() == State(current="first")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["lock", "state.json"]
