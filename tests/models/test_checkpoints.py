"""A full disk and every kind of broken checkpoint: a clear word, and the one before it is used."""

import contextlib
import dataclasses
import re
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from attention_surgeon.errors import FileAccessError, FileFormatError, OptionError
from attention_surgeon.models import Decoder, StepRecord, train
from attention_surgeon.models.checkpoint import Checkpoint, list_checkpoints, load_checkpoint, save_checkpoint
from tests.models.small import CONFIG, CORPUS, decoder

SHORT = dataclasses.replace(CONFIG, num_steps=6)


@contextlib.contextmanager
def tmpfs(folder: Path) -> Iterator[None]:
    """Put a disk of its own there, a quarter of a megabyte large."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextlib.contextmanager
def plain_folder(folder: Path) -> Iterator[None]:
    """Leave the disk as it is."""
    folder.mkdir()
    yield


def fill(folder: Path) -> Callable[[], None]:
    """Fill the disk to its last byte; what is returned makes room again."""
    filler = folder / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return filler.unlink


def limit_files(folder: Path) -> Callable[[], None]:
    """Let no file of this process grow past some bytes; what is returned lifts that."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)


def can_mount() -> bool:
    """Return whether this user may mount a disk, as in most containers and in few other places."""
    probe = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    with contextlib.suppress(FileNotFoundError):
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    return False


DISKS = {"a limit on files": (plain_folder, limit_files, "larger than a file may be here; choose another disk")}
if can_mount():
    DISKS["a full disk"] = (tmpfs, fill, "the disk is full; free some space and try again")


@pytest.mark.parametrize("disk", DISKS)
def test_a_full_disk_is_told_and_the_checkpoint_before_is_used(disk: str, tmp_path: Path):
    disk_at, fill_up, message = DISKS[disk]
    folder = tmp_path / "disk"
    make_room: list[Callable[[], None]] = []

    def fill_at_four(record: StepRecord) -> None:
        if record.step == 4:
            make_room.append(fill_up(folder))

    with disk_at(folder):
        with pytest.raises(FileAccessError) as caught:
            train(decoder(dropout=0.3), CORPUS, SHORT, folder=folder, on_step=fill_at_four)
        make_room[0]()
        assert f"cannot write {folder / 'step-00000006.safetensors'}: {message}" in str(caught.value)
        assert [path.name for path in folder.iterdir()] == ["step-00000003.safetensors"]
        told: list[str] = []
        model, straight = decoder(dropout=0.3), decoder(dropout=0.3)
        assert train(model, CORPUS, SHORT, folder=folder, on_broken=told.append) == train(straight, CORPUS, SHORT)
        assert same(model, straight)
        assert told == []


def same(one: Decoder, other: Decoder) -> bool:
    return all(torch.equal(mine, theirs) for mine, theirs in zip(one.parameters(), other.parameters(), strict=True))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[StepRecord, ...], Decoder]:
    """Return a folder with the checkpoints of steps 3 and 6, the records and the model."""
    folder, model = tmp_path_factory.mktemp("trained"), decoder()
    return folder, train(model, CORPUS, SHORT, folder=folder), model


def goes_on(trained: tuple[Path, tuple[StepRecord, ...], Decoder], newest: bytes, folder: Path) -> list[str]:
    """Go on behind a newest checkpoint with these bytes; return what was told, if it ended as it should."""
    for path in list_checkpoints(trained[0]):
        (folder / path.name).write_bytes(path.read_bytes() if path.stem.endswith("3") else newest)
    told: list[str] = []
    model = decoder()
    assert train(model, CORPUS, SHORT, folder=folder, on_broken=told.append) == trained[1]
    assert same(model, trained[2])
    return told


def lengths(content: bytes) -> dict[str, int]:
    """Return where a file may be cut: in the length of its header, in the header, in the numbers."""
    header = 8 + int.from_bytes(content[:8], "little")
    return {
        "nothing": 0,
        "a byte": 1,
        "half a length": 5,
        "the length": 8,
        "some header": 9,
        "half a header": header // 2,
        "all but the header's end": header - 1,
        "the header": header,
        "a byte of numbers": header + 1,
        "half the numbers": (header + len(content)) // 2,
        "all but a byte": len(content) - 1,
    }


CUTS = list(lengths(bytes(8)))


@pytest.mark.parametrize("cut", CUTS)
def test_a_checkpoint_cut_short(cut: str, trained, tmp_path: Path):
    newest = list_checkpoints(trained[0])[0].read_bytes()
    (told,) = goes_on(trained, newest[: lengths(newest)[cut]], tmp_path)
    assert "step-00000006.safetensors is no checkpoint, or it was cut short or damaged: " in told
    assert told.endswith("The one before it is used.")


@pytest.mark.parametrize("place", range(12))
def test_a_checkpoint_with_a_bit_turned(place: int, trained, tmp_path: Path):
    """The places are spread over length, header and numbers, the last byte among them."""
    content = bytearray(list_checkpoints(trained[0])[0].read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    places = [0, 3, 7, 8, 20, header // 2, header - 40, header, header + 1, (header + len(content)) // 2]
    content[[*places, len(content) - 2, len(content) - 1][place]] ^= 1 << (place % 8)
    (told,) = goes_on(trained, bytes(content), tmp_path)
    assert "step-00000006.safetensors" in told
    assert "damaged" in told
    assert told.endswith("The one before it is used.")


def test_numbers_that_the_disk_changed_are_noticed(trained, tmp_path: Path):
    content = bytearray(list_checkpoints(trained[0])[0].read_bytes())
    content[-3] ^= 1
    (tmp_path / "a.safetensors").write_bytes(bytes(content))
    with pytest.raises(FileFormatError, match=r"a\.safetensors is damaged: its content is not what was written\.$"):
        load_checkpoint(tmp_path / "a.safetensors")


def test_losses_that_the_disk_changed_are_noticed(trained, tmp_path: Path):
    """Another digit in the description is JSON still."""
    content = list_checkpoints(trained[0])[0].read_bytes()
    digit = content.index(b'loss\\": ') + len(b'loss\\": ') + 3
    other = b"1" if content[digit : digit + 1] != b"1" else b"2"
    (told,) = goes_on(trained, content[:digit] + other + content[digit + 1 :], tmp_path)
    assert "step-00000006.safetensors is damaged: its content is not what was written. The one before" in told


def changed(checkpoint: Checkpoint, how: str) -> Checkpoint:
    tensors = dict(checkpoint.tensors)
    name = "model.token_embedding.weight"
    if how == "shape":
        tensors[name] = tensors[name].mT
    elif how == "missing":
        del tensors[name]
    else:
        tensors["model.extra"] = torch.zeros(2)
    return dataclasses.replace(checkpoint, tensors=tensors)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("shape", r"token_embedding\.weight has shape \(6, \d+\), expected \(\d+, 6\)\. The one before"),
        ("missing", r"token_embedding\.weight has shape none, expected \(\d+, 6\)\. The one before"),
        ("more", r"model\.extra has shape \(2,\), expected none\. The one before"),
    ],
)
def test_tensors_that_do_not_fit(how: str, message: str, trained, tmp_path: Path):
    other = save_checkpoint(changed(load_checkpoint(list_checkpoints(trained[0])[0]), how), tmp_path / "other")
    folder = tmp_path / "folder"
    folder.mkdir()
    (told,) = goes_on(trained, other.read_bytes(), folder)
    assert "step-00000006.safetensors does not fit the model: model." in told
    assert re.search(message, told)


def test_the_checkpoints_of_another_model_are_refused_and_stay(trained, tmp_path: Path):
    for path in list_checkpoints(trained[0]):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OptionError, match=r"are of another training: decoder\.embed_dim was 6 and is now 4"):
        train(decoder(embed_dim=4), CORPUS, SHORT, folder=tmp_path)
    with pytest.raises(OptionError, match=r"training\.learning_rate was 0\.003 and is now 0\.1"):
        train(decoder(), CORPUS, dataclasses.replace(SHORT, learning_rate=0.1), folder=tmp_path)
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_where_no_checkpoint_can_be_used_it_begins_anew(trained, tmp_path: Path):
    for path in list_checkpoints(trained[0]):
        (tmp_path / path.name).write_bytes(b"")
    told: list[str] = []
    model = decoder()
    assert train(model, CORPUS, SHORT, folder=tmp_path, on_broken=told.append) == trained[1]
    assert len(told) == 2
    assert told[0].endswith("There is none before it that can be used: it begins anew.")
    assert same(model, trained[2])
