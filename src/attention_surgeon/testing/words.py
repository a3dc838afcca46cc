"""What people call things: the parts of a name, and which role they stand for. Names are an interface, not evidence."""

import re
from collections.abc import Mapping

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
