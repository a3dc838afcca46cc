// Vectors of 8 or 16 numbers, and the one product of which attention is made: a few rows of a, number by number, times
// rows of b. Plain C with the vector extension of GCC and Clang. Nothing here knows Python or PyTorch.

#pragma once

#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if !(defined(__AVX2__) && defined(__FMA__))
#error "only x86 with AVX2 and FMA has been measured; elsewhere PyTorch may be faster"
#endif

#if defined(__AVX512F__)
enum { LANES = 16, HIGH = 6, WIDE = 4 }; // 24 of 32 registers hold sums
#else
enum { LANES = 8, HIGH = 6, WIDE = 2 }; // 12 of 16
#endif

enum { ROWS = 64, KEYS = 64, MOST_THREADS = 256 };

typedef float Floats __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int32_t Ints __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
#define INLINE static inline __attribute__((always_inline))

// ---- vectors ----

INLINE Floats load(const float *from) { return *(const Floats *)from; }
INLINE void store(float *to, Floats x) { *(Floats *)to = x; }
INLINE Floats all(float x) { return x - (Floats){0}; }

INLINE Floats choose(Ints which, Floats yes, Floats no) { return (Floats)(((Ints)yes & which) | ((Ints)no & ~which)); }

INLINE Floats larger(Floats a, Floats b) { return choose(a > b, a, b); }

// 2 ** x for x below 127, within 1.2 units in the last place; 0 below -127.
// x = power + f with |f| <= 1/2; the polynomial is (2 ** f - 1) / f, fitted to the least largest relative error.
INLINE Floats exp2_of(Floats x) {
    const float shifter = 12582912.0f; // 1.5 * 2 ** 23: to add it rounds to an integer, which the last bits then hold
    x = larger(x, all(-127.0f));
    Floats moved = x + shifter;
    Floats f = x - (moved - shifter);
    Ints power = ((Ints)moved - 0x4b400000 + 127) << 23;
    Floats y = all(0x1.41fbbcp-13f);
    y = y * f + 0x1.5f3e54p-10f;
    y = y * f + 0x1.3b2d4cp-7f;
    y = y * f + 0x1.c6aee8p-5f;
    y = y * f + 0x1.ebfbdcp-3f;
    y = y * f + 0x1.62e430p-1f;
    y = y * f + 1.0f;
    return y * (Floats)power;
}

// Every number from the lane that is `by` away: a power of 2, whose bit of the lane's number is the other one.
INLINE Floats across(Floats x, int by) {
#if defined(__clang__)
    Floats found;
    for (int lane = 0; lane < LANES; lane++) found[lane] = x[lane ^ by];
    return found;
#else
    Ints lane;
    for (int number = 0; number < LANES; number++) lane[number] = number;
    return __builtin_shuffle(x, lane ^ by);
#endif
}

INLINE float sum_of(Floats x) {
    for (int half = LANES / 2; half; half /= 2) x += across(x, half);
    return x[0];
}

// Turn a square of numbers, LANES vectors: rows become columns.
INLINE void turn(Floats *square) {
    Ints lane;
    for (int number = 0; number < LANES; number++) lane[number] = number;
#pragma GCC unroll 4
    for (int half = LANES / 2; half; half /= 2)
#pragma GCC unroll 16
        for (int row = 0; row < LANES; row++) {
            if (row & half) continue;
            Floats above = square[row], below = square[row | half];
            square[row] = choose((lane & half) == 0, above, across(below, half));
            square[row | half] = choose((lane & half) == 0, across(above, half), below);
        }
}

INLINE float largest_of(Floats x) {
    float largest = x[0];
    for (int lane = 1; lane < LANES; lane++) largest = x[lane] > largest ? x[lane] : largest;
    return largest;
}

static const double LOG_OF_2 = 0.693147180559945309417;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t padded(int64_t size) { return (size + LANES - 1) / LANES * LANES; }

// ---- the product ----

// c[m][n lanes] (+)= a[m][p] b[p][n lanes], all sums in registers; `m` and `n` are constants wherever this is used.
INLINE void few_rows(int m, int n, int64_t depth, const float *a, int64_t a_row, int64_t a_step, const float *b,
                     int64_t b_step, float *c, int64_t c_row, int adds) {
    Floats sum[HIGH][WIDE];
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) sum[i][j] = (Floats){0};
    for (int64_t p = 0; p < depth; p++) {
        Floats row[WIDE];
        for (int j = 0; j < n; j++) row[j] = load(b + p * b_step + j * LANES);
        for (int i = 0; i < m; i++) {
            float x = a[i * a_row + p * a_step];
            for (int j = 0; j < n; j++) sum[i][j] += x * row[j];
        }
    }
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            float *at = c + i * c_row + j * LANES;
            store(at, adds ? (Floats)(load(at) + sum[i][j]) : sum[i][j]);
        }
}

#define SOME_ROWS(m, n) few_rows(m, n, depth, a + i * a_row, a_row, a_step, b, b_step, c + i * c_row, c_row, adds)
#define COLUMNS(n)                                          \
    for (; i + HIGH <= rows; i += HIGH) SOME_ROWS(HIGH, n); \
    switch (rows - i) {                                     \
        case 1: SOME_ROWS(1, n); break;                     \
        case 2: SOME_ROWS(2, n); break;                     \
        case 3: SOME_ROWS(3, n); break;                     \
        case 4: SOME_ROWS(4, n); break;                     \
        case 5: SOME_ROWS(5, n); break;                     \
    }

// c (rows, width) (+)= a (rows, depth) b (depth, width); width is a multiple of LANES, or c and b are padded to one.
INLINE void product(int64_t rows, int64_t width, int64_t depth, const float *a, int64_t a_row, int64_t a_step,
                    const float *b, int64_t b_step, float *c, int64_t c_row, int adds) {
    for (int64_t left = padded(width) / LANES; left > 0; left -= WIDE, b += WIDE * LANES, c += WIDE * LANES) {
        int64_t i = 0;
        if (left == 1) {
            COLUMNS(1)
#if defined(__AVX512F__)
        } else if (left == 2) {
            COLUMNS(2)
        } else if (left == 3) {
            COLUMNS(3)
#endif
        } else {
            COLUMNS(WIDE)
        }
    }
}

// a as it lies, `a_row` apart ...
static void times(int64_t rows, int64_t width, int64_t depth, const float *a, int64_t a_row, const float *b,
                  int64_t b_step, float *c, int64_t c_row, int adds) {
    product(rows, width, depth, a, a_row, 1, b, b_step, c, c_row, adds);
}

// ... and a transposed: its rows are next to each other.
static void transposed_times(int64_t rows, int64_t width, int64_t depth, const float *a, int64_t a_step, const float *b,
                             int64_t b_step, float *c, int64_t c_row, int adds) {
    product(rows, width, depth, a, 1, a_step, b, b_step, c, c_row, adds);
}

// Rows of a matrix that can be read to a multiple of LANES; what becomes of the numbers behind a row, nobody reads.
static const float *readable(const float *rows, int64_t *step, int64_t count, int64_t size, float *copy) {
    if (size % LANES == 0) return rows;
    int64_t wide = padded(size);
    for (int64_t at = 0; at < count; at++) memcpy(copy + at * wide, rows + at * *step, (size_t)size * 4);
    *step = wide;
    return copy;
}

// ---- threads and memory ----

typedef void (*Work)(void *);
typedef void (*Team)(Work, void *, unsigned threads, unsigned flags);

static void *one_thread(void *pair) {
    ((Work *)pair)[0](((void **)pair)[1]);
    return NULL;
}

// Let as many threads as there are tasks, at most `threads`, do a work, which shares out the tasks itself.
static void in_threads(int64_t threads, Team team, int64_t tasks, Work work, void *data) {
    threads = least(least(threads, tasks), MOST_THREADS);
    if (threads <= 1) {
        work(data);
    } else if (team) {
        team(work, data, (unsigned)threads, 0);
    } else {
        void *pair[2];
        memcpy(pair, &work, sizeof work);
        pair[1] = data;
        pthread_t thread[MOST_THREADS];
        int64_t started = 1;
        while (started < threads && !pthread_create(&thread[started], NULL, one_thread, pair)) started++;
        work(data);
        for (int64_t number = 1; number < started; number++) pthread_join(thread[number], NULL);
    }
}
