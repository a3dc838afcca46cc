// Attention in tiles, compiled: what `forward.py` and `backward.py` do, in one go for each tile and without PyTorch.
//
// Queries lie along the lanes of a vector. The scores of a tile are K Q', of which K is read where it lies, one number
// at a time, and only the 64 queries of a block are transposed; a maximum or a sum over keys needs no lane to look at
// another. Every product here is one and the same: a few rows of a, broadcast number by number, times rows of b.
//
//     scores   S[key][query]    = K[key][.]    . Qt[.][query]          E = 2 ** (S - shift)
//     output   O[query][value] += E[.][query]  . V[.][value]
//     backward G[key][query]    = V[key][.]    . dOt[.][query]         dS = E (G - average)
//              dV[key][value]  += E[key][.]    . dO[.][value]
//              dK[key][size]   += dS[key][.]   . Q[.][size]
//              dQ[query][size] += dS[.][query] . K[.][size]
//
// Scores are in units of log 2, everything is float32. What is not finite, or too large for it, is left to others.

#include "vectors.h"

enum {
    SUMS = 8,     // of the exponentials of a row, added up at the end: each rounds less than one sum of all
    FEW = 4,      // queries that do not lie along the lanes
    APART = 2048, // keys from which on threads without a block of their own share those of another
    MOST_PARTS = 16,
    SLICE = 1024, // rows that a thread looks through at a time
};
enum { DONE = 0, NEEDS_CARE = 1, NO_MEMORY = 2 };

// ---- what a call is; `kernels/compiled.py` has the same structures ----

typedef struct {
    float *start;
    int64_t unit, row; // numbers from one unit to the next, and from one row to the next
} Matrix;

typedef struct {
    int64_t start, stop; // keys
    const float *added;  // (stop - start, padded rows of the block), added to the scores; NULL: nothing
    int64_t row;         // numbers from one key to the next
} Run;

typedef struct {
    int64_t units, n_q, n_k, d_k, d_v, kv_entries;
    Matrix query, key, value;
    const int64_t *kv_of;           // for each unit; NULL: its own
    double factor, most;            // scale in units of log 2; how large |q| |k| may be
    const int64_t *mask_of;         // for each unit; NULL: all see all
    const int64_t *starts, *stops;  // (masks, n_q): the run of keys that a query sees; NULL: the runs below say it
    int64_t block, first_row, rows; // rows that share runs; the rows of this call: a multiple of `block`, and how many
    const int64_t *first_run;       // (masks, blocks of this call, and one)
    const Run *runs;
    Matrix output; // (units, n_q, d_v)
    double *shift; // (units, n_q), or NULL
    float *total;  // (units, n_q), or NULL
    Matrix grad_output, grad_query;
    Matrix grad_key, grad_value;                   // of rows padded to LANES, and added to
    const float *grad_logsumexp;                   // (units, n_q), or NULL
    int64_t parts, grad_key_part, grad_value_part; // copies of the last two, to be summed, and from one to the next
    int64_t threads;
    Team team; // who calls a work in several threads; NULL: threads of our own
} Call;

typedef struct {
    const Call *call;
    int64_t tasks, parts;
    struct Forward *partial;
    int64_t next, status; // changed by all threads
    float longest[3];
} Shared;

static int64_t next_task(Shared *shared) { return __atomic_fetch_add(&shared->next, 1, __ATOMIC_RELAXED); }
static void fails(Shared *shared, int64_t status) { __atomic_store_n(&shared->status, status, __ATOMIC_RELAXED); }

// ---- how large the scores can be ----

// Whether a is larger than b, or NaN; nothing is larger than NaN, so that it stays.
static int exceeds(float a, float b) { return b == b && !(a <= b); }

// The largest sum of squares of a row; NaN or infinity where anything is not finite or nearly so.
static float longest_row(const float *rows, int64_t step, int64_t count, int64_t size) {
    float longest = 0;
    for (int64_t at = 0; at < count; at++, rows += step) {
        Floats sum = {0};
        int64_t i = 0;
        for (; i + LANES <= size; i += LANES) sum += load(rows + i) * load(rows + i);
        float own = 0;
        for (; i < size; i++) own += rows[i] * rows[i];
        own += sum_of(sum);
        if (exceeds(own, longest)) longest = own;
    }
    return longest;
}

static void measure(void *data) {
    Shared *shared = data;
    const Call *call = shared->call;
    float longest[3] = {0};
    int64_t of_query = call->units * ((call->n_q + SLICE - 1) / SLICE);
    int64_t of_key = call->kv_entries * ((call->n_k + SLICE - 1) / SLICE);
    for (int64_t task; (task = next_task(shared)) < shared->tasks;) {
        int which = task < of_query ? 0 : task < of_query + of_key ? 1 : 2;
        int64_t number = which == 0 ? task : (task - of_query) % of_key;
        const Matrix *matrix = which == 0 ? &call->query : which == 1 ? &call->key : &call->value;
        int64_t units = which == 0 ? call->units : call->kv_entries, rows = which == 0 ? call->n_q : call->n_k;
        int64_t from = number / units * SLICE;
        const float *start = matrix->start + number % units * matrix->unit + from * matrix->row;
        float own = longest_row(start, matrix->row, least(SLICE, rows - from), which == 2 ? call->d_v : call->d_k);
        if (exceeds(own, longest[which])) longest[which] = own;
    }
    for (int which = 0; which < 3; which++) {
        float seen;
        __atomic_load(&shared->longest[which], &seen, __ATOMIC_RELAXED);
        while (exceeds(longest[which], seen) &&
               !__atomic_compare_exchange(&shared->longest[which], &seen, &longest[which], 0, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED)) {
        }
    }
}

static int is_tame(const Call *call) {
    int64_t tasks =
        call->units * ((call->n_q + SLICE - 1) / SLICE) + 2 * call->kv_entries * ((call->n_k + SLICE - 1) / SLICE);
    Shared shared = {.call = call, .tasks = tasks};
    in_threads(call->threads, call->team, tasks, measure, &shared);
    double reach = sqrt((double)shared.longest[0]) * sqrt((double)shared.longest[1]) * fabs(call->factor);
    return reach <= call->most && isfinite(shared.longest[0]) && isfinite(shared.longest[1]) &&
           isfinite(shared.longest[2]);
}

// ---- blocks of queries, tiles of keys ----

static const float *unit_of(const Matrix *matrix, int64_t unit, int64_t row) {
    return matrix->start + unit * matrix->unit + row * matrix->row;
}

typedef struct {
    int64_t unit, kv, row, rows, lanes; // which queries, how many, and the same padded
    const Run *runs, *end;
    int64_t first_lane; // of the block's first query in what a run adds
    Run only;           // the one run where the mask gives none
    int64_t seen_by_all[2];
    int32_t start[ROWS], stop[ROWS]; // keys that each query sees, if `has_spans`
    int has_spans;
} Block;

static Block block_of(const Call *call, int64_t unit, int64_t row) {
    Block block = {.unit = unit, .kv = call->kv_of ? call->kv_of[unit] : unit, .row = row};
    block.rows = least(ROWS, call->first_row + call->rows - row);
    block.lanes = padded(block.rows);
    block.only.stop = call->n_k;
    block.has_spans = call->mask_of && call->starts;
    if (block.has_spans) {
        const int64_t *start = call->starts + call->mask_of[unit] * call->n_q + row;
        const int64_t *stop = call->stops + call->mask_of[unit] * call->n_q + row;
        int64_t first = call->n_k, last = 0, all_from = 0, all_to = call->n_k;
        for (int64_t at = 0; at < block.lanes; at++) {
            int64_t from = at < block.rows ? start[at] : 0, to = at < block.rows ? stop[at] : 0;
            block.start[at] = (int32_t)from;
            block.stop[at] = (int32_t)to;
            if (from < to) first = least(first, from), last = to > last ? to : last;
            if (at < block.rows) all_from = from > all_from ? from : all_from, all_to = least(all_to, to);
        }
        block.only.start = first;
        block.only.stop = last;
        block.seen_by_all[0] = all_from;
        block.seen_by_all[1] = all_to;
    } else if (call->mask_of) {
        int64_t blocks = (call->rows + call->block - 1) / call->block, own = (row - call->first_row) / call->block;
        const int64_t *first = call->first_run + call->mask_of[unit] * (blocks + 1) + own;
        block.runs = call->runs + first[0];
        block.end = call->runs + first[1];
        block.first_lane = (row - call->first_row) % call->block;
    }
    return block;
}

static int is_seen(const float *added, int64_t lanes) {
    Floats most = all(-INFINITY);
    for (int64_t lane = 0; lane < lanes; lane += LANES) most = larger(load(added + lane), most);
    return largest_of(most) > -INFINITY;
}

// Leave out the keys at both ends of a run that none of the block's queries sees.
static Run narrowed(const Block *block, Run run) {
    if (!run.added) return run;
    const float *added = run.added + block->first_lane;
    int64_t count = run.stop - run.start, first = 0;
    while (first < count && !is_seen(added + first * run.row, block->lanes)) first++;
    while (first < count && !is_seen(added + (count - 1) * run.row, block->lanes)) count--;
    return (Run){run.start + first, run.start + count, run.added + first * run.row, run.row};
}

// to[column][row] = from[row][column] * factor, rows padded by zeros to `lanes`
static void transpose(const float *from, int64_t step, int64_t rows, int64_t lanes, int64_t columns, float factor,
                      float *to) {
    for (int64_t column = 0; column < columns; column++, to += ROWS) {
        for (int64_t row = 0; row < rows; row++) to[row] = from[row * step + column] * factor;
        for (int64_t row = rows; row < lanes; row++) to[row] = 0;
    }
}

// The scores of a tile, (keys, ROWS).
static void tile_scores(const Call *call, const Block *block, const Run *run, int64_t from, int64_t keys,
                        const float *query, float *scores) {
    const float *key = call->key.start + block->kv * call->key.unit + from * call->key.row;
    times(keys, block->lanes, call->d_k, key, call->key.row, query, ROWS, scores, ROWS, 0);
    if (block->has_spans && (from < block->seen_by_all[0] || from + keys > block->seen_by_all[1]))
        for (int64_t lane = 0; lane < block->lanes; lane += LANES) {
            Ints start = *(const Ints *)(block->start + lane), stop = *(const Ints *)(block->stop + lane);
            for (int64_t at = 0; at < keys; at++) {
                Ints key_number = (Ints){0} + (int32_t)(from + at);
                float *score = scores + at * ROWS + lane;
                store(score, choose((key_number >= start) & (key_number < stop), load(score), all(-INFINITY)));
            }
        }
    if (!run->added) return;
    const float *added = run->added + (from - run->start) * run->row + block->first_lane;
    for (int64_t at = 0; at < keys; at++)
        for (int64_t lane = 0; lane < block->lanes; lane += LANES) {
            float *score = scores + at * ROWS + lane;
            store(score, load(score) + load(added + at * run->row + lane));
        }
}

// ---- forward ----

static int is_few(const Call *call) { return call->rows <= FEW && call->d_k % LANES == 0; }

typedef struct Forward {
    float peak[ROWS], shift[ROWS], total[ROWS];
    float odd; // NaN if a score of few queries was not finite
    float *query, *scores, *output, *copy;
} Forward;

// Raise the peaks to those of a tile, and shrink what was summed before.
static void raise_peaks(const Block *block, Forward *own, int64_t keys, int64_t wide) {
    int has_grown = 0;
    float shrink[ROWS];
    for (int64_t lane = 0; lane < block->lanes; lane += LANES) {
        Floats before = load(own->peak + lane), peak = before;
        for (int64_t at = 0; at < keys; at++) peak = larger(load(own->scores + at * ROWS + lane), peak);
        Floats shift = choose(peak == all(-INFINITY), all(0), peak); // no key seen yet: -inf minus -inf is NaN
        Floats by = exp2_of(before - shift);
        store(own->peak + lane, peak);
        store(own->shift + lane, shift);
        store(own->total + lane, load(own->total + lane) * by);
        store(shrink + lane, by);
        for (int number = 0; number < LANES; number++) has_grown |= peak[number] != before[number];
    }
    if (!has_grown) return;
    for (int64_t row = 0; row < block->rows; row++)
        for (int64_t at = 0; at < wide; at += LANES) {
            float *place = own->output + row * wide + at;
            store(place, load(place) * shrink[row]);
        }
}

static void exponentials(const Block *block, Forward *own, int64_t keys) {
    for (int64_t lane = 0; lane < block->lanes; lane += LANES) {
        Floats shift = load(own->shift + lane), sums[SUMS] = {{0}}, sum = {0};
        for (int64_t from = 0; from < keys; from += SUMS)
            for (int64_t at = from; at < least(keys, from + SUMS); at++) {
                Floats weight = exp2_of(load(own->scores + at * ROWS + lane) - shift);
                store(own->scores + at * ROWS + lane, weight);
                sums[at - from] += weight;
            }
        for (int number = 0; number < SUMS; number++) sum += sums[number];
        store(own->total + lane, load(own->total + lane) + sum);
    }
}

// A tile of keys for a block of queries, which lie along the lanes ...
static void forward_tile(const Call *call, const Block *block, const Run *run, int64_t from, int64_t keys,
                         Forward *own) {
    int64_t wide = padded(call->d_v), step = call->value.row;
    tile_scores(call, block, run, from, keys, own->query, own->scores);
    raise_peaks(block, own, keys, wide);
    exponentials(block, own, keys);
    const float *value = readable(unit_of(&call->value, block->kv, from), &step, keys, call->d_v, own->copy);
    transposed_times(block->rows, call->d_v, keys, own->scores, ROWS, value, step, own->output, wide, 1);
}

// ... and for so few queries that most lanes would idle: there sizes, then keys lie along the lanes.
static void dots(const Call *call, const Block *block, int64_t from, int64_t keys, const float *query, float *scores) {
    const float *key = unit_of(&call->key, block->kv, from);
    for (int64_t at = 0; at < keys; at++, key += call->key.row)
        for (int64_t row = 0; row < block->rows; row++) {
            Floats sum = {0};
            for (int64_t i = 0; i < call->d_k; i += LANES) sum += load(query + row * call->d_k + i) * load(key + i);
            scores[row * KEYS + at] = sum_of(sum);
        }
}

static void few_tile(const Call *call, const Block *block, const Run *run, int64_t from, int64_t keys, Forward *own) {
    int64_t wide = padded(call->d_v), step = call->value.row;
    dots(call, block, from, keys, own->query, own->scores);
    for (int64_t row = 0; row < block->rows; row++) {
        float *scores = own->scores + row * KEYS;
        const float *added = run->added ? run->added + (from - run->start) * run->row + block->first_lane + row : NULL;
        for (int64_t at = keys; at < padded(keys); at++) scores[at] = 0;
        Floats nothing = {0};
        for (int64_t at = 0; at < keys; at += LANES) nothing += load(scores + at) * 0.0f;
        own->odd += sum_of(nothing);
        for (int64_t at = 0; added && at < keys; at++) scores[at] += added[at * run->row];
        for (int64_t at = 0; block->has_spans && at < keys; at++)
            if (from + at < block->start[row] || from + at >= block->stop[row]) scores[at] = -INFINITY;
        for (int64_t at = keys; at < padded(keys); at++) scores[at] = -INFINITY;
        Floats largest = all(own->peak[row]), sum = {0};
        for (int64_t at = 0; at < keys; at += LANES) largest = larger(load(scores + at), largest);
        float peak = largest_of(largest), shift = peak == -INFINITY ? 0 : peak;
        float shrink = exp2_of(all(own->peak[row] - shift))[0];
        for (int64_t at = 0; at < keys; at += LANES) {
            Floats weight = exp2_of(load(scores + at) - shift);
            store(scores + at, weight);
            sum += weight;
        }
        own->peak[row] = peak;
        own->shift[row] = shift;
        own->total[row] = own->total[row] * shrink + sum_of(sum);
        for (int64_t at = 0; at < wide; at++) own->output[row * wide + at] *= shrink;
    }
    const float *value = readable(unit_of(&call->value, block->kv, from), &step, keys, call->d_v, own->copy);
    times(block->rows, call->d_v, keys, own->scores, KEYS, value, step, own->output, wide, 1);
}

// What the keys from `first` to `last` make of a block of queries, not yet divided by the totals.
static void forward_block(const Call *call, Forward *own, int64_t unit, int64_t row, int64_t first, int64_t last) {
    Block block = block_of(call, unit, row);
    if (!block.runs) block.runs = &block.only, block.end = block.runs + 1;
    const float *query = unit_of(&call->query, unit, row);
    int few = is_few(call);
    if (few) {
        for (int64_t at = 0; at < block.rows; at++)
            for (int64_t i = 0; i < call->d_k; i++)
                own->query[at * call->d_k + i] = query[at * call->query.row + i] * (float)call->factor;
    } else {
        transpose(query, call->query.row, block.rows, block.lanes, call->d_k, (float)call->factor, own->query);
    }
    for (int lane = 0; lane < ROWS; lane++) own->peak[lane] = -INFINITY, own->total[lane] = own->shift[lane] = 0;
    own->odd = 0;
    memset(own->output, 0, (size_t)(block.rows * padded(call->d_v)) * 4);
    for (const Run *each = block.runs; each < block.end; each++) {
        Run run = few ? *each : narrowed(&block, *each);
        int64_t from = run.start > first ? run.start : first, stop = least(run.stop, last);
        for (; from < stop; from += KEYS)
            (few ? few_tile : forward_tile)(call, &block, &run, from, least(KEYS, stop - from), own);
    }
}

// Write what a block became. Of few queries keys and values were not read before: what is odd shows only here, and the
// largest score decides in place of a bound, because one far below it has no weight whose rounding could show.
static void write_block(Shared *shared, const Forward *own, int64_t unit, int64_t row) {
    const Call *call = shared->call;
    int64_t rows = least(ROWS, call->first_row + call->rows - row), wide = padded(call->d_v);
    if (is_few(call)) {
        float odd = own->odd;
        for (int64_t at = 0; at < rows * wide; at++) odd += own->output[at] * 0.0f;
        for (int64_t at = 0; at < rows; at++) odd = fabs(own->shift[at]) <= call->most ? odd : NAN;
        if (odd != 0) fails(shared, NEEDS_CARE);
    }
    for (int64_t at = 0; at < rows; at++) {
        float total = own->total[at], divisor = total == 0 ? 1 : total;
        float *output = call->output.start + unit * call->output.unit + (row + at) * call->output.row;
        for (int64_t i = 0; i < call->d_v; i++) output[i] = own->output[at * wide + i] / divisor;
        if (call->total) call->total[unit * call->n_q + row + at] = total;
        if (call->shift) call->shift[unit * call->n_q + row + at] = own->shift[at];
    }
}

// Add what other keys made of the same queries.
static void join(const Forward *other, Forward *own, int64_t rows, int64_t wide) {
    own->odd += other->odd;
    for (int64_t row = 0; row < rows; row++) {
        float peak = own->peak[row] > other->peak[row] ? own->peak[row] : other->peak[row];
        own->shift[row] = peak == -INFINITY ? 0 : peak;
        float mine = exp2_of(all(own->peak[row] - own->shift[row]))[0];
        float theirs = exp2_of(all(other->peak[row] - own->shift[row]))[0];
        own->peak[row] = peak;
        own->total[row] = own->total[row] * mine + other->total[row] * theirs;
        for (int64_t at = row * wide; at < (row + 1) * wide; at++)
            own->output[at] = own->output[at] * mine + other->output[at] * theirs;
    }
}

static float *floats(int64_t count) { return aligned_alloc(64, (size_t)(count * 4 + 63) / 64 * 64); }

static float *forward_memory(const Call *call, Forward *own) {
    int64_t wide = padded(call->d_v);
    own->query = floats(ROWS * call->d_k + KEYS * ROWS + (ROWS + KEYS) * wide);
    own->scores = own->query + ROWS * call->d_k;
    own->output = own->scores + KEYS * ROWS;
    own->copy = own->output + ROWS * wide;
    return own->query;
}

// Blocks are handed out one by one; of a block with parts each works on its own keys, and they are joined afterwards.
static void forward_blocks(void *data) {
    Shared *shared = data;
    const Call *call = shared->call;
    int64_t blocks = (call->rows + ROWS - 1) / ROWS;
    Forward alone;
    float *memory = shared->parts > 1 ? NULL : forward_memory(call, &alone);
    if (shared->parts == 1 && !memory) {
        fails(shared, NO_MEMORY);
        return;
    }
    for (int64_t task; (task = next_task(shared)) < shared->tasks;) {
        int64_t part = task % shared->parts, block = task / shared->parts;
        int64_t row =
            call->first_row + (blocks - 1 - block % blocks) * ROWS; // the last see most where the mask is causal
        Forward *own = shared->parts > 1 ? shared->partial + task : &alone;
        if (shared->parts > 1 && !forward_memory(call, own)) {
            fails(shared, NO_MEMORY);
            return;
        }
        forward_block(call, own, block / blocks, row, call->n_k * part / shared->parts,
                      call->n_k * (part + 1) / shared->parts);
        if (shared->parts == 1) write_block(shared, own, block / blocks, row);
    }
    free(memory);
}

static void join_parts(Shared *shared) {
    const Call *call = shared->call;
    int64_t blocks = (call->rows + ROWS - 1) / ROWS, parts = shared->parts;
    for (int64_t block = 0; block < shared->tasks / parts && !shared->status; block++) {
        int64_t row = call->first_row + (blocks - 1 - block % blocks) * ROWS;
        Forward *own = shared->partial + block * parts;
        for (int64_t part = 1; part < parts; part++)
            join(own + part, own, least(ROWS, call->first_row + call->rows - row), padded(call->d_v));
        write_block(shared, own, block / blocks, row);
    }
    for (int64_t task = 0; task < shared->tasks; task++) free(shared->partial[task].query);
}

int attention_forward(const Call *call) {
    if (!is_few(call) && !is_tame(call)) return NEEDS_CARE;
    int64_t blocks = call->units * ((call->rows + ROWS - 1) / ROWS);
    int64_t parts = blocks < call->threads && call->n_k >= APART ? least(call->threads, MOST_PARTS) : 1;
    Forward partial[MOST_PARTS * MOST_PARTS];
    if (parts > 1 && blocks * parts > MOST_PARTS * MOST_PARTS) parts = 1;
    if (parts > 1) memset(partial, 0, sizeof *partial * (size_t)(blocks * parts));
    Shared shared = {.call = call, .tasks = blocks * parts, .parts = parts, .partial = partial};
    in_threads(call->threads, call->team, shared.tasks, forward_blocks, &shared);
    if (parts > 1) join_parts(&shared);
    return (int)shared.status;
}

// The same for contiguous tensors without a mask, each unit with its own keys, of which nobody asks for a gradient.
int attention_plain(float *query, float *key, float *value, float *output, int64_t units, int64_t n_q, int64_t n_k,
                    int64_t d_k, int64_t d_v, double factor, double most, int64_t threads, Team team) {
    Call call = {
        .units = units,
        .n_q = n_q,
        .n_k = n_k,
        .d_k = d_k,
        .d_v = d_v,
        .kv_entries = units,
        .rows = n_q,
        .query = {query, n_q * d_k, d_k},
        .key = {key, n_k * d_k, d_k},
        .value = {value, n_k * d_v, d_v},
        .output = {output, n_q * d_v, d_v},
        .factor = factor,
        .most = most,
        .threads = threads,
        .team = team,
    };
    return attention_forward(&call);
}

// ---- backward ----

typedef struct {
    float average[ROWS], shift[ROWS];
    float *query, *grad_output;           // transposed: (d_k, ROWS) times factor, (d_v, ROWS) divided by the totals
    float *query_rows, *grad_output_rows; // as they lie, rows padded; the first times scale
    float *weights, *grad_scores, *grad_query, *copy;
} Backward;

// average = (rowsum(dO o O) - dL) / total;  dO / total.
static void prepare_rows(const Call *call, const Block *block, Backward *own) {
    int64_t wide_k = padded(call->d_k), wide_v = padded(call->d_v);
    float scale = (float)(call->factor * LOG_OF_2);
    for (int64_t row = 0; row < block->rows; row++) {
        int64_t at = block->unit * call->n_q + block->row + row;
        const float *query = unit_of(&call->query, block->unit, block->row + row);
        const float *output = unit_of(&call->output, block->unit, block->row + row);
        const float *grad_output = unit_of(&call->grad_output, block->unit, block->row + row);
        float share = call->total[at] == 0 ? 0 : 1 / call->total[at];
        double sum = call->grad_logsumexp ? -(double)call->grad_logsumexp[at] : 0;
        for (int64_t i = 0; i < call->d_v; i++) {
            sum += (double)grad_output[i] * output[i];
            own->grad_output_rows[row * wide_v + i] = own->grad_output[i * ROWS + row] = grad_output[i] * share;
        }
        for (int64_t i = 0; i < call->d_k; i++) own->query_rows[row * wide_k + i] = query[i] * scale;
        own->average[row] = (float)(sum * share);
        own->shift[row] = (float)call->shift[at];
    }
    for (int64_t row = block->rows; row < block->lanes; row++) {
        own->average[row] = own->shift[row] = 0;
        for (int64_t i = 0; i < call->d_v; i++) own->grad_output[i * ROWS + row] = 0;
    }
    transpose(unit_of(&call->query, block->unit, block->row), call->query.row, block->rows, block->lanes, call->d_k,
              (float)call->factor, own->query);
}

// E = 2 ** (S - shift) and dS = E (G - average), where the scores and G lie.
static void weigh(const Block *block, Backward *own, int64_t keys) {
    for (int64_t lane = 0; lane < block->lanes; lane += LANES) {
        Floats shift = load(own->shift + lane), average = load(own->average + lane);
        for (int64_t at = 0; at < keys; at++) {
            float *weight = own->weights + at * ROWS + lane, *grad = own->grad_scores + at * ROWS + lane;
            Floats own_weight = exp2_of(load(weight) - shift);
            store(weight, own_weight);
            store(grad, (load(grad) - average) * own_weight);
        }
    }
}

static void backward_block(const Call *call, Backward *own, int64_t unit, int64_t row, int64_t part) {
    Block block = block_of(call, unit, row);
    if (!block.runs) block.runs = &block.only, block.end = block.runs + 1;
    int64_t wide_k = padded(call->d_k), wide_v = padded(call->d_v);
    prepare_rows(call, &block, own);
    memset(own->grad_query, 0, (size_t)(block.rows * wide_k) * 4);
    for (const Run *each = block.runs; each < block.end; each++) {
        Run run = narrowed(&block, *each);
        for (int64_t from = run.start; from < run.stop; from += KEYS) {
            int64_t keys = least(KEYS, run.stop - from), step = call->key.row;
            const float *key = unit_of(&call->key, block.kv, from), *value = unit_of(&call->value, block.kv, from);
            float *grad_key = call->grad_key.start + part * call->grad_key_part + block.kv * call->grad_key.unit +
                              from * call->grad_key.row;
            float *grad_value = call->grad_value.start + part * call->grad_value_part +
                                block.kv * call->grad_value.unit + from * call->grad_value.row;
            tile_scores(call, &block, &run, from, keys, own->query, own->weights);
            times(keys, block.lanes, call->d_v, value, call->value.row, own->grad_output, ROWS, own->grad_scores, ROWS,
                  0);
            weigh(&block, own, keys);
            times(keys, wide_v, block.rows, own->weights, ROWS, own->grad_output_rows, wide_v, grad_value,
                  call->grad_value.row, 1);
            times(keys, wide_k, block.rows, own->grad_scores, ROWS, own->query_rows, wide_k, grad_key,
                  call->grad_key.row, 1);
            key = readable(key, &step, keys, call->d_k, own->copy);
            transposed_times(block.rows, wide_k, keys, own->grad_scores, ROWS, key, step, own->grad_query, wide_k, 1);
        }
    }
    float scale = (float)(call->factor * LOG_OF_2);
    for (int64_t at = 0; at < block.rows; at++) {
        float *grad_query = call->grad_query.start + unit * call->grad_query.unit + (row + at) * call->grad_query.row;
        for (int64_t i = 0; i < call->d_k; i++) grad_query[i] = own->grad_query[at * wide_k + i] * scale;
    }
}

// Whoever works on an entry of key and value is alone there: each part of its queries has a copy of the gradients.
static void backward_entries(void *data) {
    Shared *shared = data;
    const Call *call = shared->call;
    int64_t wide_k = padded(call->d_k), wide_v = padded(call->d_v);
    float *memory = floats(ROWS * (call->d_k + call->d_v + 2 * wide_k + wide_v) + 2 * KEYS * ROWS + KEYS * wide_k);
    if (!memory) {
        fails(shared, NO_MEMORY);
        return;
    }
    Backward own;
    own.query = memory;
    own.grad_output = own.query + ROWS * call->d_k;
    own.query_rows = own.grad_output + ROWS * call->d_v;
    own.grad_output_rows = own.query_rows + ROWS * wide_k;
    own.grad_query = own.grad_output_rows + ROWS * wide_v;
    own.weights = own.grad_query + ROWS * wide_k;
    own.grad_scores = own.weights + KEYS * ROWS;
    own.copy = own.grad_scores + KEYS * ROWS;
    memset(memory, 0, (size_t)(ROWS * (call->d_k + call->d_v + 2 * wide_k + wide_v)) * 4);
    for (int64_t task; (task = next_task(shared)) < shared->tasks;) {
        int64_t kv = task / call->parts, part = task % call->parts;
        for (int64_t unit = 0; unit < call->units; unit++)
            for (int64_t at = part; call->kv_of[unit] == kv && at * ROWS < call->rows; at += call->parts)
                backward_block(call, &own, unit, call->first_row + at * ROWS, part);
    }
    free(memory);
}

int attention_backward(const Call *call) {
    if (!is_tame(call)) return NEEDS_CARE;
    Shared shared = {.call = call, .tasks = call->kv_entries * call->parts};
    in_threads(call->threads, call->team, shared.tasks, backward_entries, &shared);
    return (int)shared.status;
}

// ---- masks written out ----

// Where each row of a boolean mask, whose cells lie one after the other, has its one run of True; 0 if a row has more.
int attention_spans(const uint8_t *cells, int64_t rows, int64_t row, int64_t keys, int64_t *starts, int64_t *stops) {
    for (int64_t at = 0; at < rows; at++, cells += row) {
        const uint8_t *end = cells + keys, *first = memchr(cells, 1, (size_t)keys);
        const uint8_t *after = first ? memchr(first, 0, (size_t)(end - first)) : NULL;
        if (after && memchr(after, 1, (size_t)(end - after))) return 0;
        starts[at] = first ? first - cells : 0;
        stops[at] = after ? after - cells : first ? keys : 0;
    }
    return 1;
}
