/** @file How tokens and numbers are written, and the sentence that says what a cell means. */

const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu;
const JOINERS = /^[\u200d\ufe0f]$/;
const LONGEST = 40;
const PLAIN = /^[ -~]+$/;
const SPACES = /^ +$/;
const segmenter = new Intl.Segmenter();

/**
 * Returns a token in a form that shows what is in it and cannot turn the text around it.
 * @param {string} token
 * @param {number} longest most characters
 * @returns {string}
 */
export function visible(token, longest = LONGEST) {
  if (token.length <= longest && PLAIN.test(token)) return SPACES.test(token) ? token.replaceAll(" ", "␣") : token;
  const characters = graphemes(token, longest + 1);
  const kept = characters.length > longest ? [...characters.slice(0, longest - 1), "…"] : characters;
  return kept.join("").replace(INVISIBLE, escaped) || '""';
}

/** @param {string} character @returns {string} */
function escaped(character) {
  if (JOINERS.test(character)) return character;
  const code = character.codePointAt(0) ?? 0;
  if (code === 10) return "\\n";
  if (code === 9) return "\\t";
  return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, "0")}`;
}

/**
 * Returns the first characters as a reader counts them.
 * @param {string} text
 * @param {number} most
 * @returns {string[]}
 */
function graphemes(text, most) {
  const found = [];
  const cut = text.slice(0, 40 * most); // a token of a million letters is not split to its end
  for (const { segment } of segmenter.segment(cut)) {
    found.push(segment.slice(0, 40));
    if (found.length >= most) break;
  }
  return found;
}

/**
 * Returns a weight with two or three digits that count.
 * @param {number} weight
 * @returns {string}
 */
export function number(weight) {
  if (weight === 0) return "0";
  const size = Math.abs(weight);
  if (size >= 0.995) return weight.toFixed(2);
  if (size >= 0.0995) return weight.toFixed(2);
  if (size >= 0.000995) return weight.toFixed(size >= 0.00995 ? 3 : 4);
  return weight.toExponential(1).replace("e-", "e−");
}

/**
 * Returns a number that is round, without zeros at its end.
 * @param {number} value
 * @returns {string}
 */
export function round(value) {
  const digits = Math.abs(value) >= 1e-3 || value === 0 ? String(Number(value.toPrecision(3))) : value.toExponential(0);
  return digits.replaceAll("-", "−");
}

/**
 * Returns any number with four digits that count; the sign is a real minus.
 * @param {number} value
 * @param {boolean} [withPlus]
 * @returns {string}
 */
export function signed(value, withPlus = false) {
  if (value === Infinity || value === -Infinity) return value < 0 ? "−∞" : "∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const digits = size >= 1e-3 && size < 1e5 ? String(Number(size.toPrecision(4))) : size.toExponential(2);
  return `${value < 0 ? "−" : withPlus ? "+" : ""}${digits.replace("e-", "e−")}`;
}

/**
 * Returns a statistic with three digits that count.
 * @param {number} value
 * @returns {string}
 */
export function figure(value) {
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (size < 0.001) return signed(Number(value.toPrecision(2)));
  return size >= 100 ? value.toFixed(0) : value.toFixed(size >= 10 ? 1 : 3);
}

/**
 * Returns a weight as it stands in a cell, two digits after the point.
 * @param {number} weight
 * @returns {string}
 */
export function short(weight) {
  return weight.toFixed(2).replace("-", "−");
}

/**
 * Returns a weight with all the digits that are known, and by how much it may be off.
 * @param {import("./types").Reading} reading
 * @returns {string}
 */
export function withError({ value, low, high }) {
  const off = Math.max(high - value, value - low);
  if (off <= 1e-6 * value || off === 0) return exact(value);
  const digits = Math.min(9, Math.max(2, Math.ceil(-Math.log10(off)) + 1));
  return `${value.toFixed(digits)} ± ${off.toPrecision(1)}`;
}

/** @param {number} value @returns {string} */
function exact(value) {
  return value === 0 ? "0" : String(Number(value.toPrecision(6)));
}

/**
 * Returns a share as per cent.
 * @param {number} share
 * @returns {string}
 */
export function percent(share) {
  const hundred = 100 * share;
  return `${hundred >= 9.95 || hundred === 0 ? hundred.toFixed(0) : hundred.toFixed(1)} %`;
}

/**
 * Returns what a weight says, as a sentence.
 * @param {string} query
 * @param {string} key
 * @param {number} weight
 * @returns {string}
 */
export function sentence(query, key, weight) {
  if (weight === 0) return `'${query}' gives nothing to '${key}'`;
  return `'${query}' gives ${number(weight)} of its attention to '${key}'`;
}

/**
 * Returns how many there are, in words that fit.
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 * @returns {string}
 */
export function counted(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}
