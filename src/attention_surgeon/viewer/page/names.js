/** @file What rows, columns, maps and what is held of them are called. */

import { counted, number, percent, sentence, signed, visible } from "./words.js";

/** @typedef {import("./types").Frame} Frame */
/** @typedef {import("./types").Pooling} Pooling */
/** @typedef {import("./source.js").Source} Source */
/** @typedef {import("./grid.js").Grid} Grid */

/** @param {Frame} frame @param {number} row @returns {string} */
export function queryName(frame, row) {
  return frame.queryWords ? visible(frame.queryWords[row]) : nameOf(frame.queryTokens, frame.rowEdges, row, "query");
}

/** @param {Frame} frame @param {number} column @returns {string} */
export function keyName(frame, column) {
  return frame.keyWords ? visible(frame.keyWords[column]) : nameOf(frame.keyTokens, frame.columnEdges, column, "key");
}

/**
 * Returns the token with which a row or column begins; its position where there are no tokens.
 * @param {string[] | null} tokens
 * @param {number[]} edges
 * @param {number} cell
 * @param {string} axis
 * @returns {string}
 */
function nameOf(tokens, edges, cell, axis) {
  if (tokens) return visible(tokens[edges[cell]]);
  const last = edges[cell + 1] - 1;
  return last === edges[cell] ? `${axis} ${last}` : `${axis} ${edges[cell]} to ${last}`;
}

/**
 * Says what a cell means.
 * @param {Frame} frame
 * @param {{row: number, column: number}} cell
 * @param {Pooling} pooling
 * @param {number} value
 * @returns {string}
 */
export function sayCell(frame, { row, column }, pooling, value) {
  const rows = frame.rowEdges[row + 1] - frame.rowEdges[row];
  const columns = frame.columnEdges[column + 1] - frame.columnEdges[column];
  const [query, key] = [queryName(frame, row), keyName(frame, column)];
  if (rows * columns === 1 || frame.queryWords) return sentence(query, key, value);
  const which = pooling === "largest" ? "the largest weight is" : "the mean weight is";
  const from = `From the ${counted(rows, "query", "queries")} at '${query}' to the ${counted(columns, "key")} at '${key}'`;
  return `${from} ${which} ${number(value)}`;
}

/**
 * Names the strongest weight within a cell of many, where it is known.
 * @param {Grid} grid
 * @param {{row: number, column: number}} cell
 * @returns {string}
 */
export function withinWords(grid, { row, column }) {
  const found = grid.isWhole ? null : grid.strongestWithin(row, column);
  if (!found) return "";
  const { queryTokens, keyTokens } = grid.frame;
  const query = at(queryTokens, found.query);
  return ` · strongest in it: query ${query} to key ${at(keyTokens, found.key)}, ${number(found.weight)}`;
}

/** @param {string[] | null} tokens @param {number} position @returns {string} */
function at(tokens, position) {
  return tokens ? `'${visible(tokens[position])}' (${position})` : String(position);
}

/** @param {Frame} frame @param {Pooling} pooling @returns {string} */
export function meaningOf(frame, pooling) {
  if (frame.queryWords) return "attention from word to word";
  if (frame.block === 1) return "attention weight";
  return `${pooling === "largest" ? "largest" : "mean"} weight of ${frame.block} × ${frame.block}`;
}

/** @param {Source} source @returns {string} */
export function hiddenWords({ state, frame, entry, sink }) {
  if (!state.hideSink) return "";
  const share = percent(entry.sink.share);
  return `Hidden: the column of '${keyName(frame, sink)}', which gets ${share} of the attention of this map. `;
}

/**
 * Says what the page holds of the chosen map and how exactly, and of how many it holds less.
 * @param {Source} source
 * @returns {string}
 */
export function detailWords({ frame, entry, side }) {
  return `${sumsWords(entry.rowSums)}${heldWords(frame, entry, side)}`;
}

/** @param {[number, number] | null} sums @returns {string} */
function sumsWords(sums) {
  if (!sums) return "";
  const [least, most] = sums.map((sum) => signed(sum));
  return `The rows of this map sum to ${least === most ? least : `${least} up to ${most}`}, not to 1: it is shown as it is, and not measured. `;
}

/**
 * @param {Frame} frame
 * @param {import("./types").MapEntry} entry
 * @param {import("./types").Side} side
 * @returns {string}
 */
function heldWords(frame, entry, side) {
  if (frame.queryWords) {
    return "The tokens of a word are shown as one: to it goes what they get together, from it what they give on average.";
  }
  if (entry.steps === null) return "Every weight is held exactly (float32).";
  const cells = `${frame.rowEdges.length - 1} × ${frame.columnEdges.length - 1} cells`;
  const block =
    frame.block === 1
      ? "one for each weight"
      : `the largest and the mean of ${frame.block} × ${frame.block} weights each`;
  const held = `This map is held in ${cells}, ${block}, rounded to ${entry.steps} steps up to its largest; the error of a cell stands beside its number.`;
  return `${held}${strongestWords(entry.strongest?.count ?? 0)}${othersWords(side)}`;
}

/** @param {import("./types").Side} side @returns {string} */
function othersWords(side) {
  const whole = side.maps.filter((entry) => side.frames[entry.frame].block === 1).length;
  if (whole === side.maps.length || side.maps.length === 1) return "";
  return ` ${whole} of ${side.maps.length} maps are held weight by weight, the others in larger cells; a larger page, max_megabytes=…, holds more.`;
}

/** @param {number} count @returns {string} */
function strongestWords(count) {
  if (count === 0) return "";
  if (count === 1) return " The largest weight of each query is held to five digits.";
  return ` The ${count} largest weights of each query are held to five digits.`;
}

/**
 * Says what was written in the step that the chosen token made; nothing where no text was written.
 * @param {import("./source.js").Source} source
 * @returns {string}
 */
export function stepWords(source) {
  const { promptLength, queryTokens } = source.side;
  const { query, isReceived } = source.state;
  if (promptLength === null || isReceived || query < promptLength - 1) return "";
  const next = queryTokens?.[query + 1];
  return next === undefined ? " The last step." : ` Step ${query - promptLength + 2} wrote '${visible(next)}'.`;
}
