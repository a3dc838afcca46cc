"""What people call things: the parts of a name, and which role they stand for. Names are an interface, not evidence."""

import ast
import inspect
import io
import re
import textwrap
import tokenize
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from attention_surgeon.errors import UnjudgedError
from attention_surgeon.signatures import parameters_of

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_ROLES: Mapping[str, frozenset[str]] = {
    "query": frozenset("q qs wq wqs qw query queries toq toqueries qproj qlin".split()),
    "key": frozenset("k ks wk wks kw key keys tok tokeys kproj klin".split()),
    "value": frozenset("v vs wv wvs vw value values tov tovalues vproj vlin".split()),
    "qkv": frozenset("qkv wqkv toqkv packed".split()),
    "kv": frozenset("kv wkv tokv".split()),
    "output": frozenset(
        "o wo ow out output outputs proj projection dense fc unify unifyheads unifier toout final combine mix "
        "merge".split()
    ),
}

_ORDER = ("qkv", "kv", "query", "key", "value", "output")


def words(name: str) -> list[str]:
    """Cut a name into its lower-case words: `W_query.weight` into w, query, weight."""
    return [word.lower() for word in _WORD.findall(name)]


def role_of(name: str) -> str | None:
    """Return `query`, `key`, `value`, `output`, `qkv`, `kv`, or None where a name does not say.

    >>> role_of("attn.c_attn.weight"), role_of("q_proj.weight"), role_of("to_out.0.weight"), role_of("linears.2.weight")
    ('qkv', 'query', 'output', None)
    """
    parts = words(name)
    if (
        ("c" in parts and "attn" in parts)
        or ("in" in parts and "proj" in parts)
        or {"query", "key", "value"} <= {*parts}
    ):
        return "qkv"
    if {"key", "value"} <= {*parts}:
        return "kv"
    roles = {role for role in _ORDER for part in parts if part in _ROLES[role]}
    return next((role for role in _ORDER if role in roles), None)


SIZES: Mapping[str, frozenset[str]] = {
    "embed": frozenset(
        "embed_dim d_model n_embd dim hidden_size emb_dim embed_size embedding_dim d_in d_out in_features out_features "
        "input_dim output_dim model_dim hidden_dim width emb k d_embed dmodel n_state channels features dim_in dim_out "
        "in_dim out_dim query_dim q_dim model_size embed embedding_size input_size n_embed n_emb embd d size emb_size "
        "c".split()
    ),
    "heads": frozenset(
        "num_heads n_heads heads h n_head nhead num_attention_heads nheads num_head nb_heads n_h".split()
    ),
    "kv_heads": frozenset(
        "num_kv_heads n_kv_heads kv_heads num_key_value_heads n_kv_head num_groups n_groups groups num_query_groups "
        "num_kv_groups n_kv kv_groups g".split()
    ),
    "head": frozenset(
        "head_dim d_k d_v head_size dim_head d_head key_dim value_dim size_per_head dk dv d_q qk_dim".split()
    ),
    "context": frozenset(
        "context_dim kdim vdim kv_dim cross_dim d_context encoder_dim dim_context d_cross d_kv kv_width".split()
    ),
    "length": frozenset(
        "context_length block_size max_len max_seq_len seq_len n_ctx context_size max_length max_position_embeddings "
        "ctx_len t".split()
    ),
}


def size_of(name: str) -> str | None:
    """Return which size a constructor's parameter asks for: a key of `SIZES`, or None.

    >>> size_of("d_model"), size_of("n_head"), size_of("colour")
    ('embed', 'heads', None)
    """
    return next((size for size, names in SIZES.items() if name.lower() in names), None)


@dataclass(frozen=True)
class Signature:
    """Where the optional arguments of an attention function go.

    Attributes:
        mask: Name of the mask's parameter, or None where there is none.
        scale: Name of the on/off switch of the scale, or None.
        by_position: Whether the mask may be given as the fourth argument only.
        needs_mask: Whether it must be given, if only as None.
    """

    mask: str | None
    scale: str | None
    by_position: bool = False
    needs_mask: bool = False


def read_signature(function: Callable[..., Any], num_operands: int = 3) -> Signature:
    """Find the mask and the switch among the parameters that follow the operands.

    Raises:
        UnjudgedError: it takes too few arguments, or needs others.
    """
    parameters = parameters_of(function)
    if parameters is None:
        return Signature("attn_mask", None, by_position=True)
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return Signature("mask", None, by_position=True)
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(positional) < num_operands:
        raise UnjudgedError(
            f"it takes {len(positional)} positional arguments, expected at least {num_operands}: query, key, value."
        )
    rest = [p for p in parameters if p not in positional[:num_operands] and p.kind is not p.VAR_KEYWORD]
    mask = next((p for p in rest if "mask" in p.name.lower()), None)
    scale = next((p for p in rest if "scal" in p.name.lower() and _is_switch(p)), None)
    if mask is None:
        mask = next((p for p in rest if p is not scale and p.default is None and not _is_number(p)), None)
    unknown = [p.name for p in rest if p.default is p.empty and p not in (mask, scale)]
    if mask is None and len(unknown) == 1 and len(positional) > num_operands:
        mask, unknown = positional[num_operands], []
    if unknown:
        raise UnjudgedError(f"it needs the argument {unknown[0]!r}, whose meaning the contract does not know.")
    return Signature(
        mask.name if mask else None,
        scale.name if scale else None,
        by_position=mask is not None and mask.kind is mask.POSITIONAL_ONLY,
        needs_mask=mask is not None and mask.default is mask.empty,
    )


def _is_switch(parameter: inspect.Parameter) -> bool:
    return isinstance(parameter.default, bool) or parameter.annotation in (bool, "bool")


def _is_number(parameter: inspect.Parameter) -> bool:
    return any(
        word in parameter.name.lower() for word in ("drop", "scal", "temp", "eps", "dim", "axis", "dtype", "device")
    )


def prose_of(source: str) -> str:
    """Return what a source says in its comments and docstrings, not in its code.

    >>> prose_of("def f(x):  # adds one\\n    'More by one.'\\n    y = 'z'\\n    return x + 1")
    "# adds one 'More by one.'"
    """
    found, before = [], tokenize.NEWLINE
    try:
        for token in tokenize.generate_tokens(io.StringIO(textwrap.dedent(source)).readline):
            is_docstring = token.type == tokenize.STRING and before in (tokenize.NEWLINE, tokenize.INDENT)
            found += [token.string] if is_docstring or token.type == tokenize.COMMENT else []
            before = before if token.type in (tokenize.NL, tokenize.COMMENT, tokenize.DEDENT) else token.type
    except (tokenize.TokenError, IndentationError):
        pass
    return " ".join(found)


_TRUE = r"(?:\bTrue|\b1|\bones?)\b(?:(?!\b(?:0|False|zeros?)\b)[^.;\n]){0,30}?"
_DECLARED = {
    "hide": _TRUE
    + r"(?:\bhid|\bmasked|\bignor|(?<!no )(?<!not )\bpad|\bnot (?:be )?(?:seen|attend|looked)|\bblock|\bforbid)",
    "keep": _TRUE
    + r"(?:\bkeep|\btakes? part|\bparticipat|\bcounts?\b|\bvalid\b|"
    + r"(?<!not )(?<!not be )\battend|\bvisible|\bmay\b|\ballow|(?<!not be )\bseen\b|\breal\b|\bno pad)",
}
"""What a text may say of True (or of 1) in a mask."""


def declared_polarity(says: str) -> str | None:
    """Return what the text says of True in a mask, `keep` or `hide`; None where it says nothing, or both."""
    prose = prose_of(says) if _is_code(says) else says
    found = [name for name, pattern in _DECLARED.items() if re.search(pattern, prose, re.IGNORECASE)]
    return found[0] if len(found) == 1 else None


def _is_code(text: str) -> bool:
    """Whether a text is Python that defines something, whose own lines say nothing in words."""
    try:
        statements = ast.parse(textwrap.dedent(text)).body
    except SyntaxError:
        return False
    return any(isinstance(each, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) for each in statements)
