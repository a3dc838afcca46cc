/** @file One map: its cells, its coarser levels, and what is known about a single weight. */

import { readingOf, unpacked, weightsOf } from "./codec.js";
import { betweenWords } from "./whole_words.js";

/** @typedef {import("./types").Level} Level */
/** @typedef {import("./types").MapEntry} MapEntry */
/** @typedef {import("./types").Frame} Frame */
/** @typedef {import("./types").Reading} Reading */

/** The cells of one map, decoded. */
export class Grid {
  /**
   * @param {Frame} frame
   * @param {MapEntry} entry
   * @param {{values: Float32Array, codes: Uint8Array | null}} largest
   * @param {{values: Float32Array, codes: Uint8Array | null}} mean
   * @param {Map<number, number>} strongest weights by query * numKeys + key, known better than the cells
   * @param {number} sink the column that gets most
   */
  constructor(frame, entry, largest, mean, strongest, sink) {
    this.frame = frame;
    this.entry = entry;
    this.rows = frame.rowEdges.length - 1;
    this.columns = frame.columnEdges.length - 1;
    this.strongest = strongest;
    this.sink = sink;
    this.codes = { largest: largest.codes, mean: mean.codes };
    /** @type {Level} */
    this.level = {
      rows: this.rows,
      columns: this.columns,
      rowEdges: frame.rowEdges,
      columnEdges: frame.columnEdges,
      largest: largest.values,
      mean: mean.values,
    };
    this.isWhole = frame.block === 1;
    /** @type {Map<boolean, Level[]>} */
    this.made = new Map();
    if (this.isWhole && strongest.size > 0) {
      for (const [at, weight] of strongest) this.level.largest[at] = weight;
    }
  }

  /**
   * Returns the levels from the finest to a single cell.
   * @param {boolean} hideSink leave out the column that gets most
   * @returns {Level[]}
   */
  levels(hideSink) {
    let levels = this.made.get(hideSink);
    if (!levels) {
      levels = [hideSink ? withoutColumn(this.level, this.sink) : this.level];
      while (levels[levels.length - 1].rows > 1 || levels[levels.length - 1].columns > 1) {
        levels.push(halved(levels[levels.length - 1]));
      }
      this.made.set(hideSink, levels);
    }
    return levels;
  }

  /**
   * Returns what is known about the cell in which a query and a key stand.
   * @param {number} row the cell's
   * @param {number} column the cell's
   * @param {"largest" | "mean"} pooling
   * @returns {Reading}
   */
  reading(row, column, pooling) {
    const at = row * this.columns + column;
    const value = this.level[pooling][at];
    const codes = this.codes[pooling];
    const entry = pooling === "mean" && this.entry.mean ? this.entry.mean : this.entry.largest;
    if (!codes || entry.kind === "numbers") return { value, low: value, high: value };
    const known = this.isWhole ? this.strongestReading(row, column) : null;
    return known ?? readingOf(codes[at], entry.top, entry.steps);
  }

  /**
   * Returns the strongest known weight within a cell, null where none is known there.
   * @param {number} row
   * @param {number} column
   * @returns {{query: number, key: number, weight: number} | null}
   */
  strongestWithin(row, column) {
    const { rowEdges, columnEdges, numKeys } = this.frame;
    let best = null;
    for (let query = rowEdges[row]; query < rowEdges[row + 1]; query += 1) {
      for (let key = columnEdges[column]; key < columnEdges[column + 1]; key += 1) {
        const weight = this.strongest.get(query * numKeys + key);
        if (weight !== undefined && weight > (best?.weight ?? 0)) best = { query, key, weight };
      }
    }
    return best;
  }

  /**
   * Returns one of the strongest weights of a query, null where it is not among them.
   * @param {number} query
   * @param {number} key
   * @returns {Reading | null}
   */
  strongestReading(query, key) {
    const value = this.strongest.get(query * this.frame.numKeys + key);
    if (value === undefined || !this.entry.strongest) return null;
    const off = this.entry.strongest.top / 131070;
    return { value, low: Math.max(0, value - off), high: value + off };
  }
}

/**
 * Returns a map of whole words, made of one of tokens.
 * @param {Grid} grid
 * @param {Frame} frame of whole words
 * @returns {Grid}
 */
export function gridOfWords(grid, frame) {
  const level = betweenWords(grid.levels(false)[0], frame);
  const values = { values: level.largest, codes: null };
  return new Grid(frame, grid.entry, values, values, new Map(), cellOf(frame.columnEdges, grid.sink));
}

/**
 * Decodes one map.
 * @param {Frame} frame
 * @param {MapEntry} entry
 * @returns {Promise<Grid>}
 */
export async function decoded(frame, entry) {
  const largest = await weightsOf(entry.largest);
  const mean = entry.mean ? await weightsOf(entry.mean) : largest;
  return new Grid(frame, entry, largest, mean, await strongestOf(frame, entry), entry.sink.column);
}

/**
 * @param {Frame} frame
 * @param {MapEntry} entry
 * @returns {Promise<Map<number, number>>}
 */
async function strongestOf(frame, entry) {
  /** @type {Map<number, number>} */
  const found = new Map();
  if (!entry.strongest) return found;
  const { count, top, data } = entry.strongest;
  const bytes = await unpacked(data);
  const view = new DataView(bytes.buffer);
  const half = bytes.length / 2;
  for (let i = 0; i < half / 2; i += 1) {
    const key = view.getUint16(2 * i, true);
    found.set(Math.floor(i / count) * frame.numKeys + key, (view.getUint16(half + 2 * i, true) / 65535) * top);
  }
  return found;
}

/**
 * Returns cells of twice the height and width; a last odd row or column keeps its size. The largest is the one that is
 * furthest from 0, so that this serves differences too.
 * @param {Level} fine
 * @returns {Level}
 */
export function halved(fine) {
  const rowEdges = everySecond(fine.rowEdges);
  const columnEdges = everySecond(fine.columnEdges);
  const rows = rowEdges.length - 1;
  const columns = columnEdges.length - 1;
  const largest = new Float32Array(rows * columns);
  const mean = new Float32Array(rows * columns);
  for (let row = 0; row < fine.rows; row += 1) {
    const height = fine.rowEdges[row + 1] - fine.rowEdges[row];
    for (let column = 0; column < fine.columns; column += 1) {
      const from = row * fine.columns + column;
      const to = (row >> 1) * columns + (column >> 1);
      if (Math.abs(fine.largest[from]) > Math.abs(largest[to])) largest[to] = fine.largest[from];
      mean[to] += fine.mean[from] * height * (fine.columnEdges[column + 1] - fine.columnEdges[column]);
    }
  }
  for (let row = 0; row < rows; row += 1) {
    const height = rowEdges[row + 1] - rowEdges[row];
    for (let column = 0; column < columns; column += 1) {
      mean[row * columns + column] /= height * (columnEdges[column + 1] - columnEdges[column]);
    }
  }
  return { rows, columns, rowEdges, columnEdges, largest, mean };
}

/** @param {ArrayLike<number>} edges @returns {number[]} */
function everySecond(edges) {
  const kept = Array.from(edges).filter((_, i) => i % 2 === 0);
  if (edges.length % 2 === 0) kept.push(edges[edges.length - 1]);
  return kept;
}

/** @param {Level} level @param {number} column @returns {Level} */
function withoutColumn(level, column) {
  const largest = level.largest.slice();
  const mean = level.mean === level.largest ? largest : level.mean.slice();
  for (let row = 0; row < level.rows; row += 1) {
    largest[row * level.columns + column] = 0;
    mean[row * level.columns + column] = 0;
  }
  return { ...level, largest, mean };
}

/**
 * Returns the cell in which a position stands.
 * @param {ArrayLike<number>} edges
 * @param {number} position
 * @returns {number}
 */
export function cellOf(edges, position) {
  let low = 0;
  let high = edges.length - 2;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (edges[middle] <= position) low = middle;
    else high = middle - 1;
  }
  return low;
}

/**
 * Returns the difference of two levels with the same cells, and all its coarser levels.
 * @param {Level} before
 * @param {Level} after
 * @returns {Level[]}
 */
export function differences(before, after) {
  const of = (/** @type {"largest" | "mean"} */ name) => after[name].map((value, i) => value - before[name][i]);
  /** @type {Level[]} */
  const levels = [{ ...before, largest: of("largest"), mean: of("mean") }];
  while (levels[levels.length - 1].rows > 1 || levels[levels.length - 1].columns > 1) {
    levels.push(halved(levels[levels.length - 1]));
  }
  return levels;
}
