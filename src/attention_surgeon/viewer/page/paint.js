/** @file From cells to pixels. */

import { position, shadeAt, shadesOf, signedPosition } from "./colour.js";
import { levelFor } from "./camera.js";

/** @typedef {import("./types").Level} Level */
/** @typedef {import("./types").Camera} Camera */
/** @typedef {import("./types").Box} Box */
/** @typedef {import("./types").Scale} Scale */
/** @typedef {{meaning: "weights" | "differences", ground: "light" | "dark", top: number, scale: Scale}} Colours */
/** @typedef {(level: Level) => Float32Array} Chooser */

/**
 * Returns the shade of a value.
 * @param {number} value
 * @param {Colours} colours
 * @returns {number} a pixel
 */
export function pixelOf(value, { meaning, ground, top, scale }) {
  const at = meaning === "weights" ? position(value, top, scale) : signedPosition(value, top, scale);
  return shadesOf(meaning, ground)[shadeAt(at)];
}

/**
 * Paints a part of a level, one pixel for each cell.
 * @param {Float32Array} values
 * @param {number} columns how many cells a row of `values` has
 * @param {{left: number, top: number, width: number, height: number}} part in cells
 * @param {Colours} colours
 * @returns {ImageData}
 */
export function painted(values, columns, part, colours) {
  const image = new ImageData(part.width, part.height);
  const pixels = new Uint32Array(image.data.buffer);
  const shades = shadesOf(colours.meaning, colours.ground);
  const where = colours.meaning === "weights" ? position : signedPosition;
  for (let row = 0; row < part.height; row += 1) {
    const from = (part.top + row) * columns + part.left;
    const to = row * part.width;
    for (let column = 0; column < part.width; column += 1) {
      pixels[to + column] = shades[shadeAt(where(values[from + column], colours.top, colours.scale))];
    }
  }
  return image;
}

/** @type {WeakMap<Float32Array, {name: string, cells: HTMLCanvasElement}>} */
const kept = new WeakMap();

/**
 * Returns a part of a level as a canvas; the last one is kept, because a cursor that moves changes no cell.
 * @param {Float32Array} values
 * @param {number} columns
 * @param {{left: number, top: number, width: number, height: number}} part
 * @param {Colours} colours
 * @returns {HTMLCanvasElement}
 */
function cellsOf(values, columns, part, colours) {
  const name = JSON.stringify([part, colours]);
  const found = kept.get(values);
  if (found?.name === name) return found.cells;
  const cells = document.createElement("canvas");
  cells.width = part.width;
  cells.height = part.height;
  cells.getContext("2d")?.putImageData(painted(values, columns, part, colours), 0, 0);
  kept.set(values, { name, cells });
  return cells;
}

/**
 * Draws what a camera sees of a map into a box of a canvas.
 * @param {CanvasRenderingContext2D} context
 * @param {Level[]} levels
 * @param {Chooser} choose which numbers of a level are drawn
 * @param {Camera} camera
 * @param {Box} box
 * @param {Colours} colours
 */
export function drawCells(context, levels, choose, camera, box, colours) {
  const depth = levelFor(camera, globalThis.devicePixelRatio || 1, levels.length);
  const level = levels[depth];
  const size = camera.size * 2 ** depth;
  const left = Math.floor(camera.x / 2 ** depth);
  const top = Math.floor(camera.y / 2 ** depth);
  const right = Math.min(level.columns, Math.ceil(camera.x / 2 ** depth + box.width / size));
  const bottom = Math.min(level.rows, Math.ceil(camera.y / 2 ** depth + box.height / size));
  const part = { left, top, width: right - left, height: bottom - top };
  const cells = cellsOf(choose(level), level.columns, part, colours);
  context.save();
  context.beginPath();
  context.rect(box.left, box.top, box.width, box.height);
  context.clip();
  context.imageSmoothingEnabled = false;
  const x = box.left + left * size - camera.x * camera.size;
  const y = box.top + top * size - camera.y * camera.size;
  context.drawImage(cells, x, y, part.width * size, part.height * size);
  context.restore();
}
