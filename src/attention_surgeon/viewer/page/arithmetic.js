/** @file The five steps of one pair, computed again from the numbers of the call. */

import { floatsOf } from "./codec.js";

/** @typedef {import("./types").StepsEntry} StepsEntry */

/**
 * What happened between one query and one key.
 * @typedef {object} Pair
 * @property {{query: number, key: number, product: number}[]} terms of the dot product
 * @property {number} score as it was recorded
 * @property {number} scaled
 * @property {number} masked
 * @property {number} largest masked score of the row
 * @property {number} share e to the masked score less the largest
 * @property {number} total of the shares of the row
 * @property {number} weight as it was recorded
 * @property {{value: number, contribution: number, output: number}[]} parts of the output
 */

/**
 * @param {StepsEntry} steps
 * @param {number} row
 * @param {number} column
 * @param {number} numKeys
 * @param {number} weight
 * @returns {Promise<Pair>}
 */
export async function pairOf(steps, row, column, numKeys, weight) {
  const names = /** @type {const} */ (["query", "key", "value", "scores", "scaled", "masked", "output"]);
  const [query, key, value, scores, scaled, masked, output] = await Promise.all(
    names.map((name) => floatsOf(steps[name])),
  );
  const at = row * numKeys + column;
  const line = masked.subarray(row * numKeys, (row + 1) * numKeys);
  const largest = line.reduce((most, score) => Math.max(most, score), -Infinity);
  const shareOf = (/** @type {number} */ score) => (score === -Infinity ? 0 : Math.exp(score - largest));
  return {
    terms: products(query, key, row, column, steps.keySize),
    score: scores[at],
    scaled: scaled[at],
    masked: masked[at],
    largest,
    share: shareOf(masked[at]),
    total: line.reduce((sum, score) => sum + shareOf(score), 0),
    weight,
    parts: parts(value, output, row, column, steps.valueSize, weight),
  };
}

/**
 * @param {Float32Array} query
 * @param {Float32Array} key
 * @param {number} row
 * @param {number} column
 * @param {number} size
 * @returns {Pair["terms"]}
 */
export function products(query, key, row, column, size) {
  return Array.from({ length: size }, (_, i) => {
    const [q, k] = [query[row * size + i], key[column * size + i]];
    return { query: q, key: k, product: q * k };
  });
}

/**
 * @param {Float32Array} value
 * @param {Float32Array} output
 * @param {number} row
 * @param {number} column
 * @param {number} size
 * @param {number} weight
 * @returns {Pair["parts"]}
 */
function parts(value, output, row, column, size, weight) {
  return Array.from({ length: size }, (_, i) => {
    const v = value[column * size + i];
    return { value: v, contribution: weight * v, output: output[row * size + i] };
  });
}
