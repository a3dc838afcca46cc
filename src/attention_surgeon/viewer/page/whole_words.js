/** @file Sub-words put together: which tokens make one word, and the weights between words. */

/** @typedef {import("./types").Level} Level */
/** @typedef {import("./types").Frame} Frame */

const WORDLIKE = /^[\p{L}\p{N}\p{M}_'\u2019\ufffd]+$/u;
const CONTINUED = "##"; // WordPiece writes it in front of what goes on

/**
 * Returns where each word begins, and at the end how many tokens there are; a word is one token or several.
 *
 * A token goes on with a word where its tokenizer says so: `##ing` does, and in a text in which spaces are written in
 * front of words, so does a token without one, unless it is a mark.
 * @param {string[]} tokens
 * @returns {number[]}
 */
export function wordEdges(tokens) {
  const hasHashes = tokens.some((token) => token.startsWith(CONTINUED) && token.length > 2);
  const hasSpaces = tokens.some((token) => token.length > 1 && token.startsWith(" "));
  const goesOn = (/** @type {string} */ token, /** @type {string} */ before) => {
    if (hasHashes) return token.startsWith(CONTINUED) && token.length > 2;
    return hasSpaces && WORDLIKE.test(token) && WORDLIKE.test(before.replace(/^ /, ""));
  };
  const edges = tokens.flatMap((token, i) => (i > 0 && goesOn(token, tokens[i - 1]) ? [] : [i]));
  return [...edges, tokens.length];
}

/**
 * Returns the words between edges.
 * @param {string[]} tokens
 * @param {number[]} edges
 * @returns {string[]}
 */
export function wordsBetween(tokens, edges) {
  return edges.slice(0, -1).map((start, i) => {
    const [first, ...rest] = tokens.slice(start, edges[i + 1]);
    return [first, ...rest.map((token) => token.replace(/^##/, ""))].join("");
  });
}

/**
 * Returns the frame of whole words, null where there is nothing to put together.
 * @param {Frame} frame
 * @returns {Frame | null}
 */
export function wordFrame(frame) {
  const { queryTokens, keyTokens, block } = frame;
  if (!queryTokens || !keyTokens || block !== 1) return null;
  const [rowEdges, columnEdges] = [wordEdges(queryTokens), wordEdges(keyTokens)];
  if (rowEdges.length > queryTokens.length && columnEdges.length > keyTokens.length) return null;
  const queryWords = wordsBetween(queryTokens, rowEdges);
  return { ...frame, rowEdges, columnEdges, queryWords, keyWords: wordsBetween(keyTokens, columnEdges) };
}

/**
 * Returns the weights between words: to a word goes what its tokens get together, from a word what they give on
 * average, so that a row still sums to 1 (Clark et al. 2019, section 4.1).
 * @param {Level} level
 * @param {Frame} frame of whole words
 * @returns {Level}
 */
export function betweenWords(level, { rowEdges, columnEdges }) {
  const rows = rowEdges.length - 1;
  const columns = columnEdges.length - 1;
  const merged = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row += 1) {
    const count = rowEdges[row + 1] - rowEdges[row];
    for (let column = 0; column < columns; column += 1) {
      let sum = 0;
      for (let query = rowEdges[row]; query < rowEdges[row + 1]; query += 1) {
        for (let key = columnEdges[column]; key < columnEdges[column + 1]; key += 1) {
          sum += level.largest[query * level.columns + key];
        }
      }
      merged[row * columns + column] = sum / count;
    }
  }
  return { rows, columns, rowEdges, columnEdges, largest: merged, mean: merged };
}
