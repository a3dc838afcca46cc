"""What a patch looks like, and how it is written."""

import hashlib

import pytest

from attention_surgeon.errors import FileAccessError
from attention_surgeon.repair.patch import apply, changed_lines, size_of, unified_diff, without_needless_parentheses


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_the_old_file_is_kept_and_never_written_over(tmp_path):
    file = tmp_path / "x.py"
    (tmp_path / "x.py.orig").write_text("an older one")
    file.write_bytes(b"a = 1\n")
    kept = apply(file, "a = 2\n", digest(b"a = 1\n"))
    assert kept.name == "x.py.orig.2"
    assert (kept.read_bytes(), file.read_bytes()) == (b"a = 1\n", b"a = 2\n")
    assert (tmp_path / "x.py.orig").read_text() == "an older one"


def test_a_file_that_changed_is_refused(tmp_path):
    file = tmp_path / "x.py"
    file.write_bytes(b"a = 3\n")
    with pytest.raises(FileAccessError, match="it has changed since it was judged; run `surgeon fix` again"):
        apply(file, "a = 2\n", digest(b"a = 1\n"))
    assert file.read_bytes() == b"a = 3\n"
    assert [one.name for one in tmp_path.iterdir()] == ["x.py"]


def test_line_ends_and_the_mark_stay(tmp_path):
    file, content = tmp_path / "x.py", b"\xef\xbb\xbfa = 1\r\nb = 2\r\n"
    file.write_bytes(content)
    apply(file, "a = 1\nb = 3\n", digest(content))
    assert file.read_bytes() == b"\xef\xbb\xbfa = 1\r\nb = 3\r\n"


def test_a_file_without_a_last_line_end_gives_a_diff_that_says_so():
    assert unified_diff("a = 1", "a = 2", "x.py").count("\\ No newline at end of file") == 2


def test_sizes_and_lines():
    assert size_of("a\nb\n", "a\nb\n") == (0, 0)
    assert size_of("a\nbc\n", "a\nbd\n") == (1, 2)
    assert changed_lines("a\nb\nc\n", "a\nc\n") == (2,)
    assert changed_lines("a\nb\n", "a\nnew\nb\n") == (2,)


def test_only_parentheses_of_the_patch_go():
    before = "s = (a + b) * c\n"
    assert without_needless_parentheses(before, "s = ((a + b) * c) / d\n") == "s = (a + b) * c / d\n"
    assert without_needless_parentheses("s = (a * b)\n", "s = (a * b) + 1\n") == "s = (a * b) + 1\n"


def test_a_tab_is_shown_as_a_tab():
    from attention_surgeon.cli.fix import diff_lines

    shown = [line.plain for line in diff_lines("-\tx = 1\n+\tx = 2\x1b\n")]
    assert shown == ["-\tx = 1", "+\tx = 2\\x1b"]
