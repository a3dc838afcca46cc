"""What `surgeon faults` shows: the list by stage, and the page of one fault with its picture."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

from rich.text import Text

from attention_surgeon.cli.cells import code_lines, count, fit, text_lines, title_lines
from attention_surgeon.cli.console import make_console, note, show, write
from attention_surgeon.cli.matrices import compared_lines
from attention_surgeon.errors import OptionError
from attention_surgeon.faults import STAGES, Family, Fault, catalogue, find_fault
from attention_surgeon.faults.example import Example, drawn_example

_FORMAT, _VERSION = "attention-surgeon faults", 1
_LEAST_SUMMARY = 30


def print_faults(
    name: str | None,
    *,
    stage: str | None,
    family: str | None,
    as_json: bool,
    save: Path | None,
    theme: Literal["light", "dark"],
) -> int:
    """Print the list or one page, save its picture if asked to, and return the exit code, 0.

    Raises:
        OptionError: no such fault, stage or family, or options that do not go together.
        FileAccessError: the picture or the output cannot be written.
    """
    if name is None:
        if save is not None:
            raise OptionError("--save draws one fault: surgeon faults NAME --save FILE.")
        _print_list(_chosen(stage, family), as_json)
        return 0
    if stage is not None or family is not None:
        raise OptionError("--stage and --family choose from the list, so they go without a name.")
    fault = find_fault(name)
    if save is not None:
        _save(fault, save, theme)
    if as_json:
        write(f"{json.dumps(fault_as_dict(fault))}\n")
    else:
        console = make_console()
        show(page_lines(fault, console.width), console)
    return 0


def fault_as_dict(fault: Fault) -> dict[str, object]:
    """Return the texts of a fault as plain data."""
    names = ("name", "stage", "summary", "in_training", "in_numbers", "question", "pointer", "fix")
    texts: dict[str, object] = {name: getattr(fault, name) for name in names}
    return texts | {"families": sorted(fault.families), "sightings": [seen.url for seen in fault.sightings]}


def list_lines(faults: Sequence[Fault], width: int) -> Iterator[Text]:
    """Yield every fault under its stage, no line wider than `width` cells."""
    room = max(len(fault.name) for fault in catalogue()) + 2
    for stage in STAGES:
        own = [fault for fault in faults if fault.stage == stage]
        if own:
            yield from title_lines(stage, str(len(own)), width)
            for fault in own:
                yield from _row_lines(fault, room, width)
            yield Text("")
    text = f"{count(len(faults), 'fault')} · surgeon faults NAME shows one, with its picture"
    yield from text_lines(text, width, "quiet")


def page_lines(fault: Fault, width: int) -> Iterator[Text]:
    """Yield the page of one fault; no line but of code is wider than `width` cells."""
    yield from title_lines(fault.name, f"({fault.stage})", width)
    yield from text_lines(fault.summary, width)
    texts = {
        "In training": fault.in_training,
        "In the numbers": fault.in_numbers,
        "The question that leads there": fault.question,
        "Where to look": fault.pointer,
    }
    for heading, text in texts.items():
        yield Text("")
        yield from text_lines(heading, width, "heading")
        yield from text_lines(text, width, indent=2)
    yield Text("")
    yield from text_lines("What mends it", width, "heading")
    yield from code_lines(fault.fix)
    yield from _picture_lines(drawn_example(fault), width)
    yield Text("")
    if fault.sightings:
        yield from text_lines("Where it happened", width, "heading")
        yield from (Text(f"  {seen.url}") for seen in fault.sightings)  # whole: a cut address is no use
        yield Text("")
    yield from text_lines(f"can be in: {', '.join(sorted(fault.families))}", width, "quiet")


def _print_list(faults: Sequence[Fault], as_json: bool) -> None:
    if as_json:
        document = {"format": _FORMAT, "version": _VERSION, "faults": [fault_as_dict(fault) for fault in faults]}
        write(f"{json.dumps(document)}\n")
        return
    console = make_console()
    show(list_lines(faults, console.width), console)


def _chosen(stage: str | None, family: str | None) -> tuple[Fault, ...]:
    _check_choice("--stage", stage, STAGES)
    _check_choice("--family", family, get_args(Family))
    return tuple(
        fault for fault in catalogue() if stage in (None, fault.stage) and (family is None or family in fault.families)
    )


def _check_choice(option: str, value: str | None, choices: Sequence[str]) -> None:
    if value is not None and value not in choices:
        raise OptionError(f"{option} is {value!r}, expected {', '.join(choices[:-1])} or {choices[-1]}.")


def _row_lines(fault: Fault, room: int, width: int) -> Iterator[Text]:
    """Yield the name in `room` cells with the sentence beside it, or below it where the window is narrow."""
    if width < room + _LEAST_SUMMARY:
        yield Text(fit(f"  {fault.name}", width))
        yield from text_lines(fault.summary, width, "quiet", indent=4)
        return
    for number, line in enumerate(text_lines(fault.summary, width - room - 2, "quiet")):
        yield Text(f"  {fault.name if number == 0 else '':<{room}}").append_text(line)


def _picture_lines(example: Example | None, width: int) -> Iterator[Text]:
    yield Text("")
    if example is None:
        yield from text_lines("No picture: the numbers of a single call are right.", width, "quiet")
        return
    names = f" {', '.join(example.columns)}" if len(example.rows) == 1 else ""
    yield from text_lines(f"The {example.what}{names}: {example.call}", width, "heading")
    healthy, faulty = example.healthy.numpy(), example.faulty.numpy()
    yield from compared_lines(healthy, faulty, width, ("healthy", "faulty"), is_second_wrong=True)


def _save(fault: Fault, path: Path, theme: Literal["light", "dark"]) -> None:
    from attention_surgeon.plots import plot_fault, save_figure  # here, because they load matplotlib

    note(f"saved {save_figure(plot_fault(fault, theme=theme), path)}")
