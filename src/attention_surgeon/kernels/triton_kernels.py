"""The kernels: one program for each block of queries (or of keys) of each unit.

Scores are in units of log 2. Blocks that end past the last query or key are padded: what is loaded there is 0, and
a padded query or key is hidden.
"""

import triton
import triton.language as tl


@triton.jit
def _load(pointer, rows, num_rows, size, SIZE: tl.constexpr):
    """Load rows of `size` numbers, `(rows, SIZE)`, 0 where there are none."""
    across = tl.arange(0, SIZE)
    inside = (rows[:, None] < num_rows) & (across[None, :] < size)
    return tl.load(pointer + rows[:, None] * size + across[None, :], mask=inside, other=0.0)


@triton.jit
def _store(pointer, rows, num_rows, size, tile, SIZE: tl.constexpr):
    """Store what `_load` loads."""
    across = tl.arange(0, SIZE)
    inside = (rows[:, None] < num_rows) & (across[None, :] < size)
    tl.store(pointer + rows[:, None] * size + across[None, :], tile, mask=inside)


@triton.jit
def _finite(tile):
    """Put 0 in place of NaN and infinity."""
    return tl.where(tl.abs(tile) < float("inf"), tile, 0.0)


@triton.jit
def _scores(query, key, cells, at, rows, n_q, columns, n_k, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    """Return the masked scores of a tile, `-inf` where hidden."""
    scores = tl.dot(query, tl.trans(key), input_precision="ieee")  # (r, d) @ (d, c) -> (r, c)
    if at >= 0:
        down, across = tl.arange(0, ROWS), tl.arange(0, WIDTH)
        added = tl.load(cells + at.to(tl.int64) * ROWS * WIDTH + down[:, None] * WIDTH + across[None, :])
        scores = tl.where(added == float("-inf"), float("-inf"), scores + added)
    return tl.where((rows[:, None] < n_q) & (columns[None, :] < n_k), scores, float("-inf"))


@triton.jit
def forward(
    query_at, key_at, value_at, output_at, logsumexp_at, starts, others, added, cells,
    kv_of, mask_of, n_q, n_k, d_k, d_v, scale: tl.constexpr, log2_e: tl.constexpr,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, KEY_SIZE: tl.constexpr, VALUE_SIZE: tl.constexpr, IS_CAREFUL: tl.constexpr,
):  # fmt: skip
    """Gather the output of one block of queries; `forward.py` says how."""
    block, unit = tl.program_id(0), tl.program_id(1).to(tl.int64)
    kv, lines = tl.load(kv_of + unit).to(tl.int64), tl.cdiv(n_q, ROWS)
    rows = block * ROWS + tl.arange(0, ROWS)
    query = _load(query_at + unit * n_q * d_k, rows, n_q, d_k, KEY_SIZE) * (scale * log2_e)
    peak = tl.full([ROWS], float("-inf"), tl.float32).to(query.dtype)
    total = tl.zeros([ROWS], query.dtype)
    output = tl.zeros([ROWS, VALUE_SIZE], query.dtype)
    poisoned = tl.zeros([ROWS, VALUE_SIZE], query.dtype)
    line = tl.load(mask_of + unit) * lines + block
    for tile in range(tl.load(starts + line), tl.load(starts + line + 1)):
        columns = tl.load(others + tile) * WIDTH + tl.arange(0, WIDTH)
        key = _load(key_at + kv * n_k * d_k, columns, n_k, d_k, KEY_SIZE)
        value = _load(value_at + kv * n_k * d_v, columns, n_k, d_v, VALUE_SIZE)
        scores = _scores(query, key, cells, tl.load(added + tile), rows, n_q, columns, n_k, ROWS, WIDTH)
        raised = tl.maximum(peak, tl.max(scores, 1))
        shift = tl.where(raised == float("-inf"), 0.0, raised)
        weights = tl.exp2(scores - shift[:, None])
        shrink = tl.exp2(peak - shift)
        total = total * shrink + tl.sum(weights, 1)
        if IS_CAREFUL:  # a product cannot leave out what is hidden, so what is not finite is counted apart
            seen = tl.where(scores == float("-inf"), 0.0, 1.0).to(query.dtype)
            odd = tl.where(tl.abs(value) < float("inf"), 0.0, 1.0).to(query.dtype)
            poisoned += tl.dot(seen, odd, input_precision="ieee")
            value = _finite(value)
        output = output * shrink[:, None] + tl.dot(weights, value, input_precision="ieee")
        peak = raised
    is_empty = total == 0
    total = tl.where(is_empty, 1.0, total)
    output = output / total[:, None]
    if IS_CAREFUL:
        output = tl.where(poisoned > 0, float("nan"), output)
    _store(output_at + unit * n_q * d_v, rows, n_q, d_v, output, VALUE_SIZE)
    logsumexp = tl.where(is_empty, float("-inf"), (peak + tl.log2(total)) / log2_e)
    tl.store(logsumexp_at + unit * n_q + rows, logsumexp, mask=rows < n_q)


@triton.jit
def _grad_scores(
    query, key, value, grad_output, logsumexp, average, cells, at, rows, n_q, columns, n_k,
    log2_e: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Return the weights of a tile and the gradient of its scores; both are 0 where hidden."""
    scores = _scores(query, key, cells, at, rows, n_q, columns, n_k, ROWS, WIDTH)
    hidden = scores == float("-inf")
    shift = tl.where(logsumexp == float("-inf"), 0.0, logsumexp * log2_e)  # a row without keys: -inf minus -inf is NaN
    weights = tl.exp2(scores - shift[:, None])
    grad_weights = tl.dot(grad_output, tl.trans(value), input_precision="ieee")  # (r, v) @ (v, c) -> (r, c)
    return weights, tl.where(hidden, 0.0, weights * (grad_weights - average[:, None]))


@triton.jit
def for_queries(
    query_at, key_at, value_at, grad_at, logsumexp_at, average_at, into, starts, others, added, cells,
    kv_of, mask_of, n_q, n_k, d_k, d_v, scale: tl.constexpr, log2_e: tl.constexpr,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, KEY_SIZE: tl.constexpr, VALUE_SIZE: tl.constexpr, IS_CAREFUL: tl.constexpr,
):  # fmt: skip
    """Gather the gradient of one block of queries."""
    block, unit = tl.program_id(0), tl.program_id(1).to(tl.int64)
    kv, lines = tl.load(kv_of + unit).to(tl.int64), tl.cdiv(n_q, ROWS)
    rows = block * ROWS + tl.arange(0, ROWS)
    query = _load(query_at + unit * n_q * d_k, rows, n_q, d_k, KEY_SIZE) * (scale * log2_e)
    grad_output = _load(grad_at + unit * n_q * d_v, rows, n_q, d_v, VALUE_SIZE)
    logsumexp = tl.load(logsumexp_at + unit * n_q + rows, mask=rows < n_q, other=0.0)
    average = tl.load(average_at + unit * n_q + rows, mask=rows < n_q, other=0.0)
    grad = tl.zeros([ROWS, KEY_SIZE], query.dtype)
    line = tl.load(mask_of + unit) * lines + block
    for tile in range(tl.load(starts + line), tl.load(starts + line + 1)):
        columns = tl.load(others + tile) * WIDTH + tl.arange(0, WIDTH)
        key = _load(key_at + kv * n_k * d_k, columns, n_k, d_k, KEY_SIZE)
        value = _load(value_at + kv * n_k * d_v, columns, n_k, d_v, VALUE_SIZE)
        at = tl.load(added + tile)
        _, grad_scores = _grad_scores(
            query, key, value, grad_output, logsumexp, average, cells, at, rows, n_q, columns, n_k, log2_e, ROWS, WIDTH
        )
        if IS_CAREFUL:
            key = _finite(key)
        grad += tl.dot(grad_scores, key, input_precision="ieee")
    _store(into + unit * n_q * d_k, rows, n_q, d_k, grad * scale, KEY_SIZE)


@triton.jit
def for_keys(
    query_at, key_at, value_at, grad_at, logsumexp_at, average_at, into_key, into_value, starts, others, added, cells,
    kv_of, mask_of, n_q, n_k, d_k, d_v, scale: tl.constexpr, log2_e: tl.constexpr,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, KEY_SIZE: tl.constexpr, VALUE_SIZE: tl.constexpr, IS_CAREFUL: tl.constexpr,
):  # fmt: skip
    """Gather the gradients of one block of keys and values, as far as one unit goes; the caller adds up the units."""
    block, unit = tl.program_id(0), tl.program_id(1).to(tl.int64)
    kv, lines = tl.load(kv_of + unit).to(tl.int64), tl.cdiv(n_k, WIDTH)
    columns = block * WIDTH + tl.arange(0, WIDTH)
    key = _load(key_at + kv * n_k * d_k, columns, n_k, d_k, KEY_SIZE)
    value = _load(value_at + kv * n_k * d_v, columns, n_k, d_v, VALUE_SIZE)
    grad_key = tl.zeros([WIDTH, KEY_SIZE], key.dtype)
    grad_value = tl.zeros([WIDTH, VALUE_SIZE], key.dtype)
    line = tl.load(mask_of + unit) * lines + block
    for tile in range(tl.load(starts + line), tl.load(starts + line + 1)):
        rows = tl.load(others + tile) * ROWS + tl.arange(0, ROWS)
        query = _load(query_at + unit * n_q * d_k, rows, n_q, d_k, KEY_SIZE) * (scale * log2_e)
        grad_output = _load(grad_at + unit * n_q * d_v, rows, n_q, d_v, VALUE_SIZE)
        logsumexp = tl.load(logsumexp_at + unit * n_q + rows, mask=rows < n_q, other=0.0)
        average = tl.load(average_at + unit * n_q + rows, mask=rows < n_q, other=0.0)
        at = tl.load(added + tile)
        weights, grad_scores = _grad_scores(
            query, key, value, grad_output, logsumexp, average, cells, at, rows, n_q, columns, n_k, log2_e, ROWS, WIDTH
        )
        if IS_CAREFUL:
            query, grad_output = _finite(query), _finite(grad_output)
        grad_value += tl.dot(tl.trans(weights), grad_output, input_precision="ieee")
        grad_key += tl.dot(tl.trans(grad_scores), query, input_precision="ieee")
    _store(into_key + unit * n_k * d_k, columns, n_k, d_k, grad_key / log2_e, KEY_SIZE)
    _store(into_value + unit * n_k * d_v, columns, n_k, d_v, grad_value, VALUE_SIZE)
