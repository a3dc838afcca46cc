"""The quick form of `tests.cli.any_input`: a word, a picture, a sound and a batch, for the commands that are fast."""

from pathlib import Path

import pytest

from tests.cli.any_input import COMMANDS, Files, make_inputs, make_models, ran

INPUTS = ("1", "picture", "sound", "batch")
WHOLE_FORM_ONLY = ("report", "view --write", "operate on an encoder", "scan an encoder", "patch --method zero")
"""Commands that take seconds: `python -m tests.cli.any_input` tries them."""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Files], Path]:
    folder = tmp_path_factory.mktemp("any")
    for name in ("inputs", "models"):
        (folder / name).mkdir()
    return make_inputs(folder / "inputs", INPUTS), make_models(folder / "models")


@pytest.mark.filterwarnings("ignore")  # a command warns nobody: what it has to say stands on the standard error
@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in WHOLE_FORM_ONLY])
def test_every_input_ends_in_a_result_or_in_one_sentence(
    command: str, places: tuple[dict[str, Files], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, models = places
    monkeypatch.chdir(tmp_path)
    faults = {}
    for name in INPUTS:
        out = tmp_path / name
        out.mkdir()
        faults[name] = ran(command, inputs[name], models, out).fault
    assert {name: fault for name, fault in faults.items() if fault} == {}
