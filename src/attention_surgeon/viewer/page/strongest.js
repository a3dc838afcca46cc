/** @file The strongest partners of a token. */

import { keyName, queryName } from "./names.js";
import { number } from "./words.js";

/** @typedef {import("./types").Level} Level */
/** @typedef {{cell: number, weight: number}} Partner */

const NAMED = 4;

/**
 * Returns the columns that get most from a row, the strongest first.
 * @param {Float32Array} values
 * @param {Level} level
 * @param {number} row
 * @param {number} count
 * @returns {Partner[]}
 */
export function strongestColumns(values, level, row, count) {
  return strongest(level.columns, (column) => values[row * level.columns + column], count);
}

/**
 * Returns the rows that give most to a column, the strongest first.
 * @param {Float32Array} values
 * @param {Level} level
 * @param {number} column
 * @param {number} count
 * @returns {Partner[]}
 */
export function strongestRows(values, level, column, count) {
  return strongest(level.rows, (row) => values[row * level.columns + column], count);
}

/**
 * Returns the partners that are worth a word: those with a hundredth of the attention, and the first in any case.
 * @param {Partner[]} partners the strongest first
 * @returns {Partner[]}
 */
export function worthAWord(partners) {
  return partners.filter(({ weight }, i) => i === 0 || weight >= 0.01);
}

/**
 * Says to whom the chosen token gives most, or from whom it gets most.
 * @param {import("./source.js").Source} source
 * @param {Level} level
 * @returns {string}
 */
export function partnersWords({ state, frame, cell }, level) {
  const values = level[state.pooling];
  const { isReceived } = state;
  const partners = isReceived
    ? strongestRows(values, level, cell.column, NAMED)
    : strongestColumns(values, level, cell.row, NAMED);
  const name = isReceived ? keyName(frame, cell.column) : queryName(frame, cell.row);
  const named = worthAWord(partners).map((partner) => {
    const other = isReceived ? queryName(frame, partner.cell) : keyName(frame, partner.cell);
    return `'${other}' (${number(partner.weight)})`;
  });
  const verb = isReceived ? "gets most from" : "gives most to";
  return `'${name}' ${verb} ${named.length > 0 ? named.join(", ") : "nobody"}.`;
}

/**
 * @param {number} length
 * @param {(cell: number) => number} weightAt
 * @param {number} count
 * @returns {Partner[]}
 */
function strongest(length, weightAt, count) {
  /** @type {Partner[]} */
  const found = [];
  for (let cell = 0; cell < length; cell += 1) {
    const weight = weightAt(cell);
    if (weight > 0 && (found.length < count || weight > found[found.length - 1].weight)) {
      const place = found.findIndex((partner) => weight > partner.weight);
      found.splice(place < 0 ? found.length : place, 0, { cell, weight });
      found.length = Math.min(found.length, count);
    }
  }
  return found;
}
