/** @file What rows, columns, maps and what is held of them are called. */

import { labelOf } from "./axes.js";
import { counted, number, percent, sentence, visible } from "./words.js";

/** @typedef {import("./types").Side} Side */
/** @typedef {import("./types").State} State */
/** @typedef {import("./source.js").Source} Source */

/**
 * Returns the token of a row or column; its position where there are no tokens.
 * @param {string[] | null} tokens
 * @param {number[]} edges
 * @param {number} cell
 * @param {string} axis
 * @returns {string}
 */
export function nameOf(tokens, edges, cell, axis) {
  return tokens ? visible(tokens[edges[cell]]) : `${axis} ${labelOf(null, edges, cell)}`;
}

/** @param {Side} side @param {number} row @returns {string} */
export function queryName(side, row) {
  return nameOf(side.queryTokens, side.rowEdges, row, "query");
}

/** @param {Side} side @param {number} column @returns {string} */
export function keyName(side, column) {
  return nameOf(side.keyTokens, side.columnEdges, column, "key");
}

/**
 * Says what a cell means.
 * @param {Side} side
 * @param {State} state
 * @param {number} value
 * @returns {string}
 */
export function sayCell(side, state, value) {
  const { row, column } = state;
  const rows = side.rowEdges[row + 1] - side.rowEdges[row];
  const columns = side.columnEdges[column + 1] - side.columnEdges[column];
  const [query, key] = [queryName(side, row), keyName(side, column)];
  if (rows * columns === 1) return sentence(query, key, value);
  const which = state.pooling === "largest" ? "the largest weight is" : "the mean weight is";
  const from = `From ${counted(rows, "query", "queries")} at '${query}' to ${counted(columns, "key")} at '${key}'`;
  return `${from} ${which} ${number(value)}`;
}

/** @param {Side} side @param {import("./types").Pooling} pooling @returns {string} */
export function meaningOf(side, pooling) {
  if (side.detail.block === 1) return "attention weight";
  return `${pooling === "largest" ? "largest" : "mean"} weight of ${side.detail.block} × ${side.detail.block}`;
}

/** @param {Source} source @returns {string} */
export function hiddenWords({ state, side, entry }) {
  if (!state.hideSink) return "";
  const share = percent(entry.sink.share);
  return `Hidden: the column of '${keyName(side, entry.sink.column)}', which gets ${share} of the attention of this map. `;
}

/**
 * Says what the page holds and how exactly.
 * @param {Side} side
 * @returns {string}
 */
export function detailWords(side) {
  const { detail } = side;
  if (detail.exact) return "Every weight is held exactly (float32).";
  const cells = `${side.rowEdges.length - 1} × ${side.columnEdges.length - 1} cells`;
  const block = detail.block === 1 ? "one for each weight" : `the largest and the mean of ${detail.block} × ${detail.block} weights each`;
  const { fewestSteps, mostSteps } = detail;
  const steps = fewestSteps === mostSteps ? `${mostSteps}` : `${fewestSteps} to ${mostSteps}`;
  return `Every map holds ${cells}, ${block}, rounded to ${steps} steps up to its largest; the error of a cell stands beside its number.${strongestWords(detail.strongest)}`;
}

/** @param {number} count @returns {string} */
function strongestWords(count) {
  if (count === 0) return "";
  if (count === 1) return " The largest weight of each query is held to five digits.";
  return ` The ${count} largest weights of each query are held to five digits.`;
}
