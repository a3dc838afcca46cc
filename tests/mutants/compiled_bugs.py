"""Bugs for `compiled`, in C: what goes wrong at the edges of blocks, vectors and threads."""

from tests.mutants.mutant import Mutant

_VECTORS, _ATTENTION, _SCAN = "compiled/vectors.h", "compiled/attention.c", "compiled/scan.c"

COMPILED_BUGS = [
    Mutant("a power of 2 too much", _VECTORS, "- 0x4b400000 + 127", "- 0x4b400000 + 128"),
    Mutant("a coefficient that is slightly off", _VECTORS, "0x1.c6aee8p-5f", "0x1.c6cee8p-5f"),
    Mutant(
        "the last rows of a product left out", _VECTORS, "    case 5: SOME_ROWS(5, n); break; ", "    case 5: break; "
    ),
    Mutant("rows that are not added to", _VECTORS, "adds ? (Floats)(load(at) + sum[i][j]) : sum[i][j]", "sum[i][j]"),
    Mutant("NaN is overtaken by a number", _ATTENTION, "return b == b && !(a <= b);", "return !(a <= b);"),
    Mutant("the values are not looked at", _ATTENTION, " &&\n           isfinite(shared.longest[2])", ""),
    Mutant("no score is too large", _ATTENTION, "return reach <= call->most && ", "return "),
    Mutant(
        "a key before the span is seen",
        _ATTENTION,
        "(key_number >= start) & (key_number < stop)",
        "(key_number < stop)",
    ),
    Mutant(
        "a key behind the span is seen",
        _ATTENTION,
        "(key_number >= start) & (key_number < stop)",
        "(key_number >= start)",
    ),
    Mutant(
        "few queries see a key too much",
        _ATTENTION,
        "|| from + at >= block->stop[row]",
        "|| from + at > block->stop[row]",
    ),
    Mutant("all are taken to see what the first sees", _ATTENTION, "all_to = least(all_to, to);", "all_to = to;"),
    Mutant(
        "what a mask adds is forgotten",
        _ATTENTION,
        "store(score, load(score) + load(added + at * run->row + lane));",
        ";",
    ),
    Mutant("few queries forget what a mask adds", _ATTENTION, "scores[at] += added[at * run->row];", ";"),
    Mutant(
        "the mask of the block's first queries",
        _ATTENTION,
        "block.first_lane = (row - call->first_row) % call->block;",
        ";",
    ),
    Mutant(
        "a run narrowed by a key too many",
        _ATTENTION,
        "return (Run){run.start + first,",
        "return (Run){run.start + first + (first > 0),",
    ),
    Mutant("a row without keys is NaN", _ATTENTION, "choose(peak == all(-INFINITY), all(0), peak)", "peak"),
    Mutant("old sums not scaled down", _ATTENTION, "store(own->total + lane, load(own->total + lane) * by);", ";"),
    Mutant("old output not scaled down", _ATTENTION, "store(place, load(place) * shrink[row]);", ";"),
    Mutant("few queries: old output not scaled down", _ATTENTION, "own->output[row * wide + at] *= shrink;", ";"),
    Mutant(
        "few queries: the keys behind the last count",
        _ATTENTION,
        "at < padded(keys); at++) scores[at] = -INFINITY;",
        "at < padded(keys); at++) scores[at] = 0;",
    ),
    Mutant("few queries: what is odd stays unseen", _ATTENTION, "if (odd != 0) fails(shared, NEEDS_CARE);", ""),
    Mutant(
        "parts are not brought to one peak",
        _ATTENTION,
        "own->output[at] * mine + other->output[at] * theirs",
        "own->output[at] + other->output[at]",
    ),
    Mutant("what is odd in a part stays unseen", _ATTENTION, "own->odd += other->odd;", ""),
    Mutant(
        "a part that is left out",
        _ATTENTION,
        "for (int64_t part = 1; part < parts; part++)",
        "for (int64_t part = 1; part < parts - 1; part++)",
    ),
    Mutant(
        "the log-sum-exp has no gradient",
        _ATTENTION,
        "call->grad_logsumexp ? -(double)call->grad_logsumexp[at] : 0",
        "0",
    ),
    Mutant(
        "the average is not subtracted", _ATTENTION, "(load(grad) - average) * own_weight", "load(grad) * own_weight"
    ),
    Mutant(
        "queries of the block before",
        _ATTENTION,
        "own->query_rows[row * wide_k + i] = query[i] * scale;",
        "own->query_rows[row * wide_k + i] += query[i] * scale;",
    ),
    Mutant(
        "gradient of the queries without scale",
        _ATTENTION,
        "own->grad_query[at * wide_k + i] * scale;",
        "own->grad_query[at * wide_k + i];",
    ),
    Mutant(
        "all parts add to the first",
        _ATTENTION,
        "call->grad_key.start + part * call->grad_key_part",
        "call->grad_key.start",
    ),
    Mutant(
        "every part does all blocks",
        _ATTENTION,
        "for (int64_t at = part; call->kv_of[unit] == kv",
        "for (int64_t at = 0; call->kv_of[unit] == kv",
    ),
    Mutant(
        "two runs are taken for one", _ATTENTION, "if (after && memchr(after, 1, (size_t)(end - after))) return 0;", ""
    ),
    Mutant(
        "a run ends a key too late",
        _ATTENTION,
        "stops[at] = after ? after - cells : first ? keys : 0;",
        "stops[at] = after ? after - cells + 1 : first ? keys : 0;",
    ),
    Mutant(
        "cells begin a key late",
        _SCAN,
        "column = (at - scan->map_from) / scan->cell,",
        "column = (at - scan->map_from + 1) / scan->cell,",
    ),
    Mutant("sums of the last tile only", _SCAN, "store(mass, load(mass) + sum);", "store(mass, sum);"),
    Mutant("hidden keys count as small", _SCAN, "- (small_weight[v][at] > 0 ? (double)hidden : 0)", ""),
    Mutant("near is far", _SCAN, "far += where(~is_near, weight);", "far += weight;"),
    Mutant("the band is left out a key too early", _SCAN, "from + keys <= nearest", "from + keys <= nearest + 1"),
    Mutant(
        "a token repeats itself",
        _SCAN,
        "(ints(own->position + v * LANES) > (int32_t)key)",
        "(ints(own->position + v * LANES) >= (int32_t)key)",
    ),
    Mutant(
        "the entropy of the last tile",
        _SCAN,
        "own->log_mass[lane + at] += (double)logs[at]",
        "own->log_mass[lane + at] = (double)logs[at]",
    ),
    Mutant("rows of a cell overwrite each other", _SCAN, "sum[at] += masses[", "sum[at] = masses["),
    Mutant("blocks of a cell overwrite each other", _SCAN, "+= (float)sum[at];", "= (float)sum[at];"),
    Mutant("the largest of the last row", _SCAN, "top[at] = share > top[at] ? share : top[at];", "top[at] = share;"),
    Mutant("the largest of the last block", _SCAN, "if (top[at] > scan->largest[place + at]) ", ""),
    Mutant("weights of a map are no shares", _SCAN, " * load(own->inverse + lane))", ")"),
    Mutant("squares of a map are not turned", _SCAN, "turn(square);", ""),
    Mutant(
        "half a square is turned",
        _VECTORS,
        "half; half /= 2)\n#pragma GCC unroll 16",
        "half; half = 0)\n#pragma GCC unroll 16",
    ),
    Mutant(
        "what a key receives is not shared out",
        _SCAN,
        "gets += weight * load(own->inverse + v * LANES);",
        "gets += weight;",
    ),
    Mutant("a thread's memory is large enough", _SCAN, "if (memory && memory->count >= count)", "if (memory)"),
    Mutant(
        "tasks of other parts",
        _SCAN,
        "task < scan->num_tasks; task += scan->parts)",
        "task < scan->num_tasks; task += scan->parts + 1)",
    ),
]
