import errno
import os
from pathlib import Path

import pytest

from attention_surgeon import files
from attention_surgeon.errors import FileAccessError, SurgeonError


def test_the_file_has_the_content_and_nothing_else_stays(tmp_path: Path):
    files.write_file(tmp_path / "a.md", "é\n")
    assert (tmp_path / "a.md").read_bytes() == "é\n".encode()
    files.write_file(tmp_path / "a.md", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.md"]
    assert (tmp_path / "a.md").read_bytes() == b"new"


def test_a_failure_in_the_middle_leaves_the_old_file_whole(tmp_path: Path):
    target = tmp_path / "a.md"
    target.write_text("old")

    def fail_halfway():
        with files.replacing(target) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_halfway()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.md"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOSPC, "the disk is full; free some space and try again"),
        (errno.EACCES, "permission denied; choose another place"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_a_failing_disk_says_so_and_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, text: str
):
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(FileAccessError) as caught:
        files.write_file(tmp_path / "a.md", "x")
    assert str(caught.value) == f"cannot write {tmp_path / 'a.md'}: {text}."
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_a_folder_in_the_way_and_a_file_as_folder(tmp_path: Path):
    (tmp_path / "file").write_text("")
    for path, text in {
        tmp_path / "no" / "a.md": "its folder does not exist; make it first, or choose another place",
        tmp_path: "a folder stands there; give a file name",
        tmp_path / "file" / "a.md": "a part of its path is a file, not a folder; choose another place",
    }.items():
        with pytest.raises(FileAccessError) as caught:
            files.write_file(path, "x")
        assert str(caught.value) == f"cannot write {path}: {text}."


def test_copies_are_numbered_and_never_overwrite(tmp_path: Path):
    target = tmp_path / "a.md"
    assert files.keep_copy(target) is None
    for number, text in enumerate(["one", "two"], start=1):
        target.write_text(text)
        assert files.keep_copy(target) == tmp_path / f"a.{number}.md"
    assert [(tmp_path / f"a.{n}.md").read_text() for n in (1, 2)] == ["one", "two"]


def test_a_link_stays_a_link(tmp_path: Path):
    (tmp_path / "real.md").write_text("old")
    (tmp_path / "link.md").symlink_to(tmp_path / "real.md")
    files.write_file(tmp_path / "link.md", "new")
    assert (tmp_path / "link.md").is_symlink()
    assert (tmp_path / "real.md").read_text() == "new"


def test_permissions_are_those_of_an_ordinary_file(tmp_path: Path):
    files.write_file(tmp_path / "a", "x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode
    (tmp_path / "a").chmod(0o600)
    files.write_file(tmp_path / "a", "y")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_reading_what_is_not_there():
    error = files.file_access_error("read", "b.txt", FileNotFoundError(errno.ENOENT, "x"))
    assert str(error) == "cannot read b.txt: there is no such file; check the name and the folder."


def test_reading_a_text(tmp_path: Path):
    (tmp_path / "bom.txt").write_bytes("\ufeffé".encode())
    assert files.read_text(tmp_path / "bom.txt") == "é"
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    for path, message in {
        tmp_path / "latin.txt": "it is not UTF-8 text (byte 3); save it as UTF-8 and try again.",
        tmp_path / "no.txt": "there is no such file; check the name and the folder.",
        tmp_path: "a folder stands there; give a file name.",
    }.items():
        with pytest.raises(SurgeonError) as caught:
            files.read_text(path)
        assert str(caught.value) == f"cannot read {path}: {message}"


def test_a_pipe_is_not_replaced(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(FileAccessError, match=r"it is a device or a pipe; give the name of a file\.$"):
        files.write_file(pipe, "x")
    assert pipe.is_fifo()


def test_a_file_that_cannot_be_copied_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.md").write_text("mine")

    def refuse(self: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(FileAccessError, match=r"^cannot read .*a\.md: permission denied"):
        files.keep_copy(tmp_path / "a.md")


def test_what_held_something_else_is_kept_as_a_copy(tmp_path: Path):
    path = tmp_path / "a.html"
    assert files.write_keeping(path, b"one") is None
    assert files.write_keeping(path, b"one") is None
    assert files.write_keeping(path, b"two") == tmp_path / "a.1.html"
    assert [(tmp_path / name).read_bytes() for name in ("a.html", "a.1.html")] == [b"two", b"one"]


def test_a_place_is_tried_without_touching_what_stands_there(tmp_path: Path):
    path = tmp_path / "a.html"
    files.require_place(path)
    assert list(tmp_path.iterdir()) == []
    path.write_text("mine")
    files.require_place(path)
    assert path.read_text() == "mine"
    for wrong, text in ((tmp_path, "a folder stands there"), (tmp_path / "no" / "a.html", "its folder does not exist")):
        with pytest.raises(FileAccessError, match=text):
            files.require_place(wrong)
