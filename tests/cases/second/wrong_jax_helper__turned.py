# WRONG mask polarity: seen and hidden are exchanged. Object: dot_product_attention
import math

import jax
import jax.numpy as jnp


def attention_weights(query, key, mask=None):
    logits = jnp.einsum("sd,Sd->sS", query / math.sqrt(query.shape[-1]), key)
    if mask is not None:
        logits = jnp.where(~mask, logits, jnp.finfo(logits.dtype).min)
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.result_type(logits.dtype, jnp.float32)
    return jax.nn.softmax(logits.astype(dtype)).astype(logits.dtype)


def dot_product_attention(query, key, value, mask=None):
    """One head of one sequence: query (n, d), key (m, d), value (m, e); True in the mask (n, m) may attend."""
    return jnp.einsum("sS,Sd->sd", attention_weights(query, key, mask), value)
