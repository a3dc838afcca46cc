from pathlib import Path

import pytest

from attention_surgeon.errors import FileAccessError
from attention_surgeon.journal import HEADING, add_entry


def test_the_first_entry_starts_a_journal(tmp_path: Path):
    add_entry(tmp_path / "learning_journal.md", "## Monday\n\nfirst\n")
    assert (tmp_path / "learning_journal.md").read_text() == HEADING + "\n## Monday\n\nfirst\n"


@pytest.mark.parametrize(
    "before",
    [b"my words", b"my words\n", b"windows\r\nlines\r\n", "é 猫 🐈\n".encode(), b"\xff\xfe not utf-8", b""],
)
def test_what_the_user_wrote_stays_byte_for_byte(tmp_path: Path, before: bytes):
    journal = tmp_path / "learning_journal.md"
    journal.write_bytes(before)
    add_entry(journal, "## Monday")
    add_entry(journal, "## Tuesday")
    after = journal.read_bytes()
    assert after.startswith(before)
    assert after.endswith(b"\n\n## Monday\n\n## Tuesday\n")


def test_an_interruption_leaves_the_old_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    journal = tmp_path / "learning_journal.md"
    journal.write_text("mine\n")

    def interrupt(self: Path, content: bytes) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupt)
    with pytest.raises(KeyboardInterrupt):
        add_entry(journal, "## Monday")
    assert journal.read_text() == "mine\n"
    assert [path.name for path in tmp_path.iterdir()] == ["learning_journal.md"]


def test_a_folder_in_the_way_and_a_missing_one(tmp_path: Path):
    with pytest.raises(FileAccessError, match=r"cannot read .*: a folder stands there; give a file name\."):
        add_entry(tmp_path, "x")
    with pytest.raises(FileAccessError, match=r"cannot write .*: its folder does not exist; make it first"):
        add_entry(tmp_path / "no" / "journal.md", "x")
