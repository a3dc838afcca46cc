// Rows of attention as statistics and a map, compiled: what `stats/scan/group.py` does, and by the same formulas.
//
// Of 64 queries, which lie along the lanes, the exponentials of all their scores are kept, (keys, 64). What can be had
// before the sum of a row is known is taken while a tile is in the cache, the rest in a second walk. Sums over a tile
// are float32, sums over tiles float64. Scores are in units of log 2, and so small that no maximum has to be taken off.

#include "vectors.h"

// One number each for every row, in the order of `COLUMNS` in `group.py`.
enum {
    NUM_ROWS,
    NUM_CHOICES,
    NUM_WITH_PREVIOUS,
    NUM_WITH_NEXT,
    NUM_REPEATED,
    NUM_CELLS,
    NUM_SMALL,
    ENTROPY,
    ENTROPY_SHARE,
    EFFECTIVE_KEYS,
    ROW_LARGEST,
    OWN,
    PREVIOUS,
    NEXT,
    FIRST,
    NEAR,
    FAR,
    DISTANCE,
    EVEN,
    INDUCTION,
    OUTPUT_NORM,
    COLUMNS_OF_TABLE
};

enum { MAPPED = 32 }; // columns of the map that are written together; a multiple of LANES

typedef struct {
    int64_t n_k, d_k, d_v;
    const float *query, *key, *value; // (rows, d_k), (n_k, d_k), (n_k, d_v) or NULL
    double scale;                     // of the scores, over log 2
    int64_t query_row, key_row, value_row;
    const int64_t *positions, *starts, *stops; // (rows): where a query stands among the keys; the run of keys it sees
    int64_t window;
    double threshold;                        // a weight below it is small
    const int32_t *token_at;                 // (n_k): the same number for the same token; NULL: it is not known
    int64_t repeat_offset;                   // everything comes again after so many positions; 0: that is not known
    int64_t map_from, map_to, cell, columns; // keys that the map shows, in cells of so many; 0 columns: no map
    const int64_t *map_rows;                 // (rows): the row of cells that a row belongs to
    const int64_t *tasks;                    // (num_tasks + 1): rows that are worked on together, a row of cells whole
    int64_t num_tasks, has_statistics, parts;
    double *table;         // (rows, COLUMNS_OF_TABLE)
    double *received;      // (parts, n_k)
    float *mass, *largest; // (rows of cells, columns), added to and raised
    int64_t threads;
    Team team;
} Scan;

typedef struct {
    const Scan *scan;
    int64_t left, failed; // changed by all threads
} Shared;

typedef struct {
    double mass[ROWS], log_mass[ROWS], far[ROWS], near[ROWS], distance[ROWS], even[ROWS], small[ROWS], induction[ROWS];
    float peak[ROWS], reference[ROWS], inverse[ROWS];
    int32_t start[ROWS], stop[ROWS], position[ROWS], token[ROWS], repeats[ROWS];
    float *query, *weights, *scores, *cell_mass, *cell_largest, *output, *copy;
} Block;

static void add_lanes(double *to, int64_t lane, Floats x) {
    for (int at = 0; at < LANES; at++) to[lane + at] += x[at];
}

INLINE Ints ints(const int32_t *from) { return *(const Ints *)from; }
INLINE Floats where(Ints which, Floats x) { return (Floats)((Ints)x & which); }
INLINE Floats as_floats(Ints x) { return __builtin_convertvector(x, Floats); }
INLINE Floats size_of(Floats x) { return (Floats)((Ints)x & 0x7fffffff); }

// The rows of a block: queries transposed, and what is known of each.
static int64_t begin(const Scan *scan, Block *own, int64_t row, int64_t rows, int64_t lanes, int64_t *last) {
    int64_t first = scan->n_k;
    *last = 0;
    for (int64_t at = 0; at < lanes; at++) {
        int is_row = at < rows;
        own->start[at] = is_row ? (int32_t)scan->starts[row + at] : 0;
        own->stop[at] = is_row ? (int32_t)scan->stops[row + at] : 0;
        own->position[at] = is_row ? (int32_t)scan->positions[row + at] : -2;
        own->token[at] = scan->token_at && own->position[at] >= 0 ? scan->token_at[own->position[at]] : -1;
        if (own->start[at] < own->stop[at]) first = least(first, own->start[at]);
        if (own->stop[at] > *last && own->start[at] < own->stop[at]) *last = own->stop[at];
        own->mass[at] = own->log_mass[at] = own->far[at] = own->near[at] = own->distance[at] = 0;
        own->even[at] = own->small[at] = own->induction[at] = 0;
        own->peak[at] = 1e-30f;
        own->reference[at] = -100;
        own->repeats[at] = 0;
        for (int64_t i = 0; i < scan->d_k; i++)
            own->query[i * ROWS + at] =
                is_row ? (float)(scan->query[(row + at) * scan->query_row + i] * scan->scale) : 0;
    }
    return first < *last ? first : *last;
}

// Columns of the map, and of each the sums and the largest ones, (columns, ROWS).
typedef struct {
    int64_t from, to;
    float *mass, *largest;
} Cells;

// Sums and largest ones of one cell, or of the part of it that lies in a tile.
static void pool(const Cells *cells, const float *weights, int64_t keys, int64_t lane, int64_t column) {
    Floats sum = {0}, largest = {0};
    for (int64_t at = 0; at < keys; at++) {
        Floats weight = load(weights + at * ROWS + lane);
        sum += weight;
        largest = larger(weight, largest);
    }
    float *mass = cells->mass + (column - cells->from) * ROWS + lane,
          *most = cells->largest + (column - cells->from) * ROWS + lane;
    store(mass, load(mass) + sum);
    store(most, larger(largest, load(most)));
}

// Exponentials of one tile for the queries of one vector, and what needs no sum of the whole row.
static void take_in(const Scan *scan, Block *own, float *weights, int64_t from, int64_t keys, int64_t lane) {
    Ints start = ints(own->start + lane), stop = ints(own->stop + lane), position = ints(own->position + lane);
    Floats sum = {0}, peak = load(own->peak + lane), score_peak = load(own->reference + lane),
           here = as_floats(position);
    for (int64_t at = 0; at < keys; at++) {
        Ints key = (Ints){0} + (int32_t)(from + at);
        Ints sees = (key >= start) & (key < stop);
        Floats score = load(own->scores + at * ROWS + lane);
        Floats weight = where(sees, exp2_of(score));
        store(weights + at * ROWS + lane, weight);
        sum += weight;
        peak = larger(weight, peak);
        score_peak = larger(choose(sees, score, all(-100)), score_peak);
    }
    store(own->peak + lane, peak);
    add_lanes(own->mass, lane, sum);
    if (!scan->has_statistics) return;
    store(own->reference + lane, score_peak);
    Floats logs = {0}, distances = {0};
    for (int64_t at = 0; at < keys; at++) {
        Floats weight = load(weights + at * ROWS + lane);
        logs += weight * (load(own->scores + at * ROWS + lane) - score_peak);
        distances += weight * size_of(here - (float)(from + at));
    }
    add_lanes(own->distance, lane, distances);
    for (int at = 0; at < LANES; at++) own->log_mass[lane + at] += (double)logs[at] + (double)score_peak[at] * sum[at];
    int64_t reach = scan->window, nearest = INT64_MAX, farthest = INT64_MIN;
    for (int at = 0; at < LANES; at++) {
        nearest = least(nearest, position[at] - reach);
        farthest = position[at] + reach > farthest ? position[at] + reach : farthest;
    }
    if (from > farthest || from + keys <= nearest) {
        add_lanes(own->far, lane, sum);
        return;
    }
    Floats near = {0}, far = {0};
    for (int64_t at = 0; at < keys; at++) {
        Ints is_near = size_of(here - (float)(from + at)) <= all((float)reach);
        Floats weight = load(weights + at * ROWS + lane);
        near += where(is_near, weight);
        far += where(~is_near, weight);
    }
    add_lanes(own->near, lane, near);
    add_lanes(own->far, lane, far);
}

static void first_walk(const Scan *scan, Block *own, const Cells *cells, int64_t first, int64_t last, int64_t rows,
                       int64_t lanes) {
    for (int64_t from = first; from < last; from += KEYS) {
        int64_t keys = least(KEYS, last - from);
        float *weights = own->weights + (from - first) * ROWS;
        times(keys, lanes, scan->d_k, scan->key + from * scan->key_row, scan->key_row, own->query, ROWS, own->scores,
              ROWS, 0);
        for (int64_t lane = 0; lane < lanes; lane += LANES) take_in(scan, own, weights, from, keys, lane);
        int64_t at = from > scan->map_from ? from : scan->map_from, end = least(from + keys, scan->map_to);
        while (scan->columns && scan->cell > 1 && at < end) {
            int64_t column = (at - scan->map_from) / scan->cell,
                    to = least(end, scan->map_from + (column + 1) * scan->cell);
            for (int64_t lane = 0; lane < lanes; lane += LANES)
                pool(cells, weights + (at - from) * ROWS, to - at, lane, column);
            at = to;
        }
        if (!scan->value || !scan->has_statistics) continue;
        int64_t step = scan->value_row;
        const float *value = readable(scan->value + from * scan->value_row, &step, keys, scan->d_v, own->copy);
        transposed_times(rows, scan->d_v, keys, weights, ROWS, value, step, own->output, padded(scan->d_v), 1);
    }
}

// What needs the sum of each row.
static void second_walk(const Scan *scan, Block *own, int64_t first, int64_t last, int64_t lanes, double *received) {
    Floats even_weight[ROWS / LANES], small_weight[ROWS / LANES], evens[ROWS / LANES], induction[ROWS / LANES];
    Ints smalls[ROWS / LANES], repeats[ROWS / LANES];
    int64_t vectors = lanes / LANES;
    for (int64_t v = 0; v < vectors; v++) {
        for (int at = 0; at < LANES; at++) {
            int64_t row = v * LANES + at, visible = own->stop[row] - own->start[row];
            even_weight[v][at] = (float)(own->mass[row] / (double)(visible > 0 ? visible : 1));
            small_weight[v][at] = (float)(own->mass[row] * scan->threshold);
        }
        smalls[v] = repeats[v] = (Ints){0};
    }
    for (int64_t from = first; from < last; from += KEYS) {
        for (int64_t v = 0; v < vectors; v++) evens[v] = induction[v] = (Floats){0};
        for (int64_t key = from; key < least(from + KEYS, last); key++) {
            const float *weights = own->weights + (key - first) * ROWS;
            Floats gets = {0};
            int32_t before = scan->token_at && key > 0 ? scan->token_at[key - 1] : -1;
            for (int64_t v = 0; v < vectors; v++) {
                Floats weight = load(weights + v * LANES);
                gets += weight * load(own->inverse + v * LANES);
                evens[v] += choose(weight < even_weight[v], weight, even_weight[v]);
                smalls[v] -= weight < small_weight[v];
                if (before < 0) continue;
                Ints wanted =
                    (ints(own->token + v * LANES) == before) & (ints(own->position + v * LANES) > (int32_t)key);
                induction[v] += where(wanted, weight);
                repeats[v] |= wanted & (weight > all(0));
            }
            received[key] += sum_of(gets);
        }
        for (int64_t v = 0; v < vectors; v++) {
            add_lanes(own->even, v * LANES, evens[v]);
            add_lanes(own->induction, v * LANES, induction[v]);
        }
    }
    for (int64_t v = 0; v < vectors; v++)
        for (int at = 0; at < LANES; at++) {
            int64_t row = v * LANES + at, hidden = last - first - (own->stop[row] - own->start[row]);
            own->small[row] = smalls[v][at] - (small_weight[v][at] > 0 ? (double)hidden : 0);
            own->repeats[row] = repeats[v][at] != 0;
        }
}

static double weight_at(const Block *own, int64_t row, int64_t key, int64_t first, int64_t last) {
    return key >= first && key < last ? own->weights[(key - first) * ROWS + row] : 0;
}

static void finish_row(const Scan *scan, const Block *own, int64_t row, int64_t first, int64_t last, double *table) {
    double total = own->mass[row], inverse = total > 0 ? 1 / total : 0;
    int64_t visible = own->stop[row] - own->start[row], position = own->position[row];
    int counts = total > 0, has_choice = counts && visible > 1;
    double entropy = has_choice ? log(total) - own->log_mass[row] * inverse * LOG_OF_2 : 0;
    entropy = entropy > 0 ? entropy : 0;
    double induction = own->induction[row];
    int repeats = own->repeats[row];
    int64_t wanted = position - scan->repeat_offset + 1;
    if (scan->repeat_offset > 1 && wanted > 0) {
        induction = weight_at(own, row, wanted, first, last);
        repeats = induction > 0;
    }
    table[NUM_ROWS] = counts;
    table[NUM_CHOICES] = has_choice;
    table[NUM_WITH_PREVIOUS] = counts && position > 0;
    table[NUM_WITH_NEXT] = counts && position >= -1 && position < scan->n_k - 1;
    table[NUM_REPEATED] = repeats;
    table[NUM_CELLS] = counts ? (double)visible : 0;
    table[NUM_SMALL] = own->small[row];
    table[ENTROPY] = entropy;
    table[ENTROPY_SHARE] = entropy / log(visible > 2 ? (double)visible : 2);
    table[EFFECTIVE_KEYS] = counts ? exp(entropy) : 0;
    table[ROW_LARGEST] = own->peak[row] * inverse;
    table[OWN] = weight_at(own, row, position, first, last) * inverse;
    table[PREVIOUS] = weight_at(own, row, position - 1, first, last) * inverse;
    table[NEXT] = weight_at(own, row, position + 1, first, last) * inverse;
    table[FIRST] = weight_at(own, row, 0, first, last) * inverse;
    table[NEAR] = own->near[row] * inverse;
    table[FAR] = own->far[row] * inverse;
    table[DISTANCE] = own->distance[row] * inverse;
    table[EVEN] = own->even[row] * inverse;
    table[INDUCTION] = induction * inverse;
    double square = 0;
    for (int64_t i = 0; scan->value && i < scan->d_v; i++) {
        double x = own->output[row * padded(scan->d_v) + i] * inverse;
        square += x * x;
    }
    table[OUTPUT_NORM] = sqrt(square);
}

// Numbers of some columns, (columns, ROWS), as shares of each row, (ROWS, MAPPED).
static void shares_of(const Block *own, const float *numbers, int64_t columns, int64_t lanes, float *shares) {
    Floats square[LANES];
    for (int64_t lane = 0; lane < lanes; lane += LANES)
        for (int64_t first = 0; first < columns; first += LANES) {
            for (int64_t at = 0; at < LANES; at++)
                square[at] = first + at < columns
                                 ? (Floats)(load(numbers + (first + at) * ROWS + lane) * load(own->inverse + lane))
                                 : (Floats){0};
            turn(square);
            for (int64_t at = 0; at < LANES; at++) store(shares + (lane + at) * MAPPED + first, square[at]);
        }
}

// Add the block's rows to rows of cells, those of one cell as one number, in some columns, at most MAPPED.
static void add_to_map(const Scan *scan, const Block *own, const Cells *cells, int64_t row, int64_t rows, int64_t from,
                       int64_t columns) {
    float masses[ROWS * MAPPED], most_of[ROWS * MAPPED];
    int64_t begin = (from - cells->from) * ROWS;
    shares_of(own, cells->mass + begin, columns, padded(rows), masses);
    if (cells->largest != cells->mass) shares_of(own, cells->largest + begin, columns, padded(rows), most_of);
    const float *most = cells->largest != cells->mass ? most_of : masses;
    for (int64_t first = 0, next; first < rows; first = next) {
        int64_t place = scan->map_rows[row + first] * scan->columns + from;
        double sum[MAPPED] = {0};
        float top[MAPPED] = {0};
        for (next = first; next < rows && scan->map_rows[row + next] == scan->map_rows[row + first]; next++)
            for (int at = 0; at < MAPPED; at++) {
                float share = most[next * MAPPED + at];
                sum[at] += masses[next * MAPPED + at];
                top[at] = share > top[at] ? share : top[at];
            }
        for (int64_t at = 0; at < columns; at++) {
            scan->mass[place + at] += (float)sum[at];
            if (top[at] > scan->largest[place + at]) scan->largest[place + at] = top[at];
        }
    }
}

// The columns of the map that hold the keys from `first` to `last`; cells of one key are the exponentials themselves.
static Cells cells_of(const Scan *scan, Block *own, int64_t first, int64_t last) {
    int64_t from = first > scan->map_from ? first : scan->map_from, to = least(last, scan->map_to);
    Cells cells = {0, 0, own->cell_mass, own->cell_largest};
    if (!scan->columns || from >= to) return cells;
    cells.from = (from - scan->map_from) / scan->cell;
    cells.to = (to - 1 - scan->map_from) / scan->cell + 1;
    if (scan->cell == 1) {
        cells.mass = cells.largest = own->weights + (from - first) * ROWS;
    } else {
        memset(own->cell_mass, 0, (size_t)((cells.to - cells.from) * ROWS) * 4);
        memset(own->cell_largest, 0, (size_t)((cells.to - cells.from) * ROWS) * 4);
    }
    return cells;
}

static void scan_block(const Scan *scan, Block *own, int64_t row, int64_t rows, double *received) {
    int64_t lanes = padded(rows), last, first = begin(scan, own, row, rows, lanes, &last);
    Cells cells = cells_of(scan, own, first, last);
    if (scan->value) memset(own->output, 0, (size_t)(rows * padded(scan->d_v)) * 4);
    first_walk(scan, own, &cells, first, last, rows, lanes);
    for (int64_t at = 0; at < lanes; at++) own->inverse[at] = own->mass[at] > 0 ? (float)(1 / own->mass[at]) : 0;
    for (int64_t from = cells.from; from < cells.to; from += MAPPED)
        add_to_map(scan, own, &cells, row, rows, from, least(MAPPED, cells.to - from));
    if (!scan->has_statistics) return;
    second_walk(scan, own, first, last, lanes, received);
    for (int64_t at = 0; at < rows; at++)
        finish_row(scan, own, at, first, last, scan->table + (row + at) * COLUMNS_OF_TABLE);
}

// Memory that a thread keeps from one call to the next, unless it is much: to ask the system for pages and to give them
// back takes longer than a small call.
typedef struct {
    int64_t count, unused[7];
    float numbers[];
} Memory;

enum { MOST_KEPT = 1 << 19 };
static pthread_key_t kept;
static int can_keep;
static void make_key(void) { can_keep = !pthread_key_create(&kept, free); }

static Memory *borrow(int64_t count) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_key);
    if (can_keep) {
        Memory *memory = pthread_getspecific(kept);
        pthread_setspecific(kept, NULL);
        if (memory && memory->count >= count) return memory;
        free(memory);
    }
    Memory *memory = aligned_alloc(64, sizeof *memory + (size_t)(count * 4 + 63) / 64 * 64);
    if (memory) memory->count = count;
    return memory;
}

static void give_back(Memory *memory) {
    if (!memory || !can_keep || memory->count > MOST_KEPT || pthread_setspecific(kept, memory)) free(memory);
}

// Each part takes every so many-th task, whichever thread it is, so that sums are made in one order every time. The last
// parts, whose queries see most keys under a causal mask, come first: no thread is left alone with one of them.
static void scan_parts(void *data) {
    Shared *shared = data;
    const Scan *scan = shared->scan;
    int64_t wide = padded(scan->d_v), cells = scan->columns * ROWS;
    Block *own = malloc(sizeof *own);
    Memory *memory = borrow(ROWS * scan->d_k + (scan->n_k + KEYS) * ROWS + 2 * cells + (ROWS + KEYS) * wide);
    if (own && memory) {
        own->query = memory->numbers;
        own->weights = own->query + ROWS * scan->d_k;
        own->scores = own->weights + scan->n_k * ROWS;
        own->cell_mass = own->scores + KEYS * ROWS;
        own->cell_largest = own->cell_mass + cells;
        own->output = own->cell_largest + cells;
        own->copy = own->output + ROWS * wide;
        for (int64_t part; (part = __atomic_sub_fetch(&shared->left, 1, __ATOMIC_RELAXED)) >= 0;)
            for (int64_t task = part; task < scan->num_tasks; task += scan->parts)
                for (int64_t row = scan->tasks[task]; row < scan->tasks[task + 1]; row += ROWS)
                    scan_block(scan, own, row, least(ROWS, scan->tasks[task + 1] - row),
                               scan->received + part * scan->n_k);
    } else {
        __atomic_store_n(&shared->failed, 1, __ATOMIC_RELAXED);
    }
    give_back(memory);
    free(own);
}

int attention_scan(const Scan *scan) {
    Shared shared = {.scan = scan, .left = scan->parts};
    in_threads(scan->threads, scan->team, scan->parts, scan_parts, &shared);
    return (int)shared.failed;
}
