"""From the options of `surgeon trace` to a trace."""

import sys
from pathlib import Path
from typing import NamedTuple

from attention_surgeon.errors import FileFormatError, OptionError
from attention_surgeon.files import read_text
from attention_surgeon.masks import Mask, causal_mask, prefix_mask, reverse_mask, window_mask
from attention_surgeon.models import tokenize, trace_text
from attention_surgeon.trace import AttentionTrace, load_trace

_MOST_TOKENS = 2000
"""A trace keeps every weight: 2,000 tokens and 4 heads are half a gigabyte while they are checked."""

_MASKS = "none, causal, reverse, window:3 (the query and the 2 before it) or prefix:2 (the first 2 for all)"


class Request(NamedTuple):
    """The options that decide which trace is made; None where one was not given."""

    text: str | None
    file: Path | None
    load: Path | None
    mask: str | None
    no_scale: bool
    heads: int | None
    size: int | None
    seed: int | None
    first: int | None


def make_trace(request: Request) -> AttentionTrace:
    """Return the trace that the options ask for.

    Raises:
        OptionError: options that exclude each other, a text without words or with too many, an unknown mask.
        FileAccessError, FileFormatError: a file that cannot be read.
    """
    if request.load is not None:
        _check_alone(request)
        return load_trace(request.load)
    for option in ("heads", "size", "first"):
        number = getattr(request, option)
        if number is not None and number < 1:
            raise OptionError(f"--{option} is {number}, expected at least 1.")
    tokens = _tokens(request)
    mask = None if request.mask is None else parse_mask(request.mask, len(tokens))
    return trace_text(
        tokens,
        mask=mask,
        scale=not request.no_scale,
        num_heads=4 if request.heads is None else request.heads,
        size=request.size,
        seed=request.seed or 0,
    )


def parse_mask(text: str, n: int) -> Mask | None:
    """Return the mask for n tokens that `text` names; None for "none".

    Raises:
        OptionError: no such mask, or a number that does not fit it.
    """
    name, colon, number = text.partition(":")
    if not colon and name in ("none", "causal", "reverse"):
        return {"none": None, "causal": causal_mask(n), "reverse": reverse_mask(n)}[name]
    if name in ("window", "prefix") and number.isascii() and number.isdigit():
        return window_mask(n, size=int(number)) if name == "window" else prefix_mask(n, prefix_len=int(number))
    raise OptionError(f"--mask is {text!r}, expected {_MASKS}.")


def _check_alone(request: Request) -> None:
    given = {"TEXT": request.text, "--file": request.file, "--mask": request.mask, "--no-scale": request.no_scale}
    given |= {"--heads": request.heads, "--size": request.size, "--seed": request.seed, "--first": request.first}
    others = [name for name, value in given.items() if value is not None and value is not False]
    if others:
        raise OptionError(f"--load prints a trace as it was saved, so it goes without {', '.join(others)}.")


def _tokens(request: Request) -> list[str]:
    if (request.text is None) == (request.file is None):
        problem = "both a text and --file" if request.file else "no text"
        raise OptionError(
            f'{problem} given, expected one of: surgeon trace "The cat sat on the mat"; surgeon trace --file FILE; '
            f"surgeon trace - (the standard input); surgeon trace --load FILE."
        )
    tokens = tokenize(_text(request))
    if not tokens:
        raise OptionError("the text holds no word and no sign, so there is nothing that could attend.")
    if request.first is not None:
        tokens = tokens[: request.first]
    if len(tokens) > _MOST_TOKENS:
        raise OptionError(
            f"the text has {len(tokens):,} tokens; a trace keeps the weight of every pair, so {_MOST_TOKENS:,} are "
            f"the most. Look at the beginning with --first {_MOST_TOKENS}."
        )
    return tokens


def _text(request: Request) -> str:
    if request.file is not None:
        return read_text(request.file)
    return request.text or "" if request.text != "-" else read_standard_input()


def read_standard_input() -> str:
    """Return the text that was handed in.

    Raises:
        FileFormatError: it is not UTF-8.
    """
    content = sys.stdin.buffer.read()
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise FileFormatError(
            f"cannot read the standard input: it is not UTF-8 text (byte {error.start}); convert it, for example "
            f"with iconv -f latin1 -t utf-8."
        ) from None
