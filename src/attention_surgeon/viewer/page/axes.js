/** @file Tokens along the edges of a map. */

import { visible } from "./words.js";

/** @typedef {import("./types").Camera} Camera */
/** @typedef {import("./types").Box} Box */
/** @typedef {import("./types").Frame} Frame */
/** @typedef {{tokens: string[] | null, edges: ArrayLike<number>, words?: string[]}} Axis */
/** @typedef {{background: string, ink: string, muted: string, line: string, cursor: string, font: string}} Ink */

const LETTER = 12;
const ROW = 15;
const UPRIGHT = 16; // a label as narrow as this stands upright above its column
const ONE_LETTER = /^.{1,2}$/u;

/** @param {Frame} frame @returns {Axis} */
export function queryAxis({ queryTokens: tokens, rowEdges: edges, queryWords: words }) {
  return { tokens, edges, words };
}

/** @param {Frame} frame @returns {Axis} */
export function keyAxis({ keyTokens: tokens, columnEdges: edges, keyWords: words }) {
  return { tokens, edges, words };
}

/**
 * Returns the words for one row or column of cells.
 * @param {Axis} axis
 * @param {number} cell
 * @param {number} [longest]
 * @returns {string}
 */
export function labelOf({ tokens, edges, words }, cell, longest = 24) {
  if (words) return visible(words[cell], longest);
  const first = edges[cell];
  const last = edges[cell + 1] - 1;
  if (!tokens) return String(first);
  const label = visible(tokens[first], longest);
  return first === last ? label : `${label}…`;
}

/**
 * Returns every how many cells a label fits.
 * @param {number} size of a cell in points
 * @param {number} room that a label needs
 * @returns {number}
 */
export function stride(size, room = ROW) {
  const least = room / size;
  if (least <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((digit) => digit * power).find((step) => step >= least) ?? 10 * power;
}

/**
 * Returns how wide the labels are, at most `most` points.
 * @param {CanvasRenderingContext2D} context
 * @param {Axis} axis
 * @param {number} most
 * @param {string} font
 * @returns {number}
 */
export function labelWidth(context, axis, most, font) {
  context.font = `${LETTER}px ${font}`;
  const count = axis.edges.length - 1;
  const step = Math.max(1, Math.floor(count / 400));
  let widest = UPRIGHT;
  for (let cell = 0; cell < count && widest < most; cell += step) {
    widest = Math.max(widest, context.measureText(labelOf(axis, cell)).width);
  }
  return Math.min(most, Math.ceil(widest));
}

/**
 * Tells whether all labels are single letters, which are read upright where letters are tokens.
 * @param {Axis} axis
 * @returns {boolean}
 */
export function isOfLetters({ tokens, words }) {
  const names = words ?? tokens;
  return Boolean(names?.every((name) => ONE_LETTER.test(visible(name))));
}

/**
 * Draws the labels left of the rows.
 * @param {CanvasRenderingContext2D} context
 * @param {Axis & {chosen: number}} axis
 * @param {Camera} camera
 * @param {Box} box
 * @param {Ink} ink
 */
export function drawRowLabels(context, axis, camera, box, ink) {
  context.font = `${LETTER}px ${ink.font}`;
  context.textAlign = "right";
  context.textBaseline = "middle";
  each(axis, camera.y, camera.size, box.height, (cell, middle, isChosen) => {
    context.fillStyle = isChosen ? ink.cursor : ink.ink;
    const label = shortenedTo(context, labelOf(axis, cell), box.left - 12);
    context.fillText(label, box.left - 6, box.top + middle);
  });
}

/**
 * Draws the labels above the columns, upwards.
 * @param {CanvasRenderingContext2D} context
 * @param {Axis & {chosen: number}} axis
 * @param {Camera} camera
 * @param {Box} box
 * @param {Ink} ink
 */
export function drawColumnLabels(context, axis, camera, box, ink) {
  context.font = `${LETTER}px ${ink.font}`;
  context.textBaseline = "middle";
  const isUpright = isOfLetters(axis);
  context.textAlign = isUpright ? "center" : "left";
  each(axis, camera.x, camera.size, box.width, (cell, middle, isChosen) => {
    context.save();
    context.translate(box.left + middle, box.top - (isUpright ? 10 : 6));
    if (!isUpright) context.rotate(-Math.PI / 2);
    context.fillStyle = isChosen ? ink.cursor : ink.ink;
    const label = labelOf(axis, cell);
    context.fillText(isUpright ? label : shortenedTo(context, label, box.top - 12), 0, 0);
    context.restore();
  });
}

/**
 * Calls for each cell whose label is drawn: every n-th, and the chosen one in place of its neighbours.
 * @param {{edges: ArrayLike<number>, chosen: number}} axis
 * @param {number} start
 * @param {number} size
 * @param {number} length
 * @param {(cell: number, middle: number, isChosen: boolean) => void} draw
 */
function each(axis, start, size, length, draw) {
  const step = stride(size);
  const near = ROW / size;
  const last = Math.min(axis.edges.length - 2, Math.ceil(start + length / size) - 1);
  for (let cell = Math.floor(start); cell <= last; cell += 1) {
    const isChosen = cell === axis.chosen;
    const middle = (cell + 0.5 - start) * size;
    if (middle < -0.5 || middle > length + 0.5) continue;
    if (isChosen || (cell % step === 0 && Math.abs(cell - axis.chosen) >= near)) draw(cell, middle, isChosen);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {string} label
 * @param {number} room
 * @returns {string}
 */
function shortenedTo(context, label, room) {
  if (context.measureText(label).width <= room) return label;
  const letters = Array.from(label);
  while (letters.length > 1 && context.measureText(`${letters.join("")}…`).width > room) letters.pop();
  return `${letters.join("")}…`;
}
