/** @file Where the eye is: which cells are seen, and how large. Pure functions of a camera and a box of points. */

/** @typedef {import("./types").Camera} Camera */
/** @typedef {import("./types").Box} Box */
/** @typedef {{rows: number, columns: number}} Size */

const LARGEST_CELL = 96;

/**
 * Returns the camera that shows all cells as large as the box allows.
 * @param {Size} size
 * @param {Box} box
 * @returns {Camera}
 */
export function fitted(size, box) {
  return clamped({ x: 0, y: 0, size: smallest(size, box) }, size, box);
}

/** @param {Size} size @param {Box} box @returns {number} */
function smallest(size, box) {
  return Math.min(LARGEST_CELL, box.width / size.columns, box.height / size.rows);
}

/**
 * Returns the camera kept over the cells.
 * @param {Camera} camera
 * @param {Size} size
 * @param {Box} box
 * @returns {Camera}
 */
export function clamped(camera, size, box) {
  const cell = Math.min(LARGEST_CELL, Math.max(smallest(size, box), camera.size));
  const x = Math.min(Math.max(0, camera.x), Math.max(0, size.columns - box.width / cell));
  const y = Math.min(Math.max(0, camera.y), Math.max(0, size.rows - box.height / cell));
  return { x, y, size: cell };
}

/**
 * Returns the camera after a zoom that leaves the cell under a point where it is.
 * @param {Camera} camera
 * @param {number} factor
 * @param {{x: number, y: number}} point in the box, in points
 * @param {Size} size
 * @param {Box} box
 * @returns {Camera}
 */
export function zoomed(camera, factor, point, size, box) {
  const cell = Math.min(LARGEST_CELL, Math.max(smallest(size, box), camera.size * factor));
  const x = camera.x + point.x / camera.size - point.x / cell;
  const y = camera.y + point.y / camera.size - point.y / cell;
  return clamped({ x, y, size: cell }, size, box);
}

/**
 * Returns the camera moved just so far that a cell is seen.
 * @param {Camera} camera
 * @param {{row: number, column: number}} cell
 * @param {Size} size
 * @param {Box} box
 * @returns {Camera}
 */
export function showing(camera, cell, size, box) {
  const x = inside(camera.x, cell.column, box.width / camera.size);
  const y = inside(camera.y, cell.row, box.height / camera.size);
  return clamped({ ...camera, x, y }, size, box);
}

/** @param {number} start @param {number} at @param {number} length @returns {number} */
function inside(start, at, length) {
  if (at < start) return at;
  return at + 1 > start + length ? at + 1 - length : start;
}

/**
 * Returns the cell under a point, null beside the cells.
 * @param {Camera} camera
 * @param {{x: number, y: number}} point
 * @param {Size} size
 * @returns {{row: number, column: number} | null}
 */
export function cellAt(camera, point, size) {
  const column = Math.floor(camera.x + point.x / camera.size);
  const row = Math.floor(camera.y + point.y / camera.size);
  const isInside = column >= 0 && row >= 0 && column < size.columns && row < size.rows;
  return isInside ? { row, column } : null;
}

/**
 * Returns which level has cells of at least one point: 0 is the finest.
 * @param {Camera} camera
 * @param {number} ratio device points per point
 * @param {number} count how many levels there are
 * @returns {number}
 */
export function levelFor(camera, ratio, count) {
  const wanted = Math.ceil(-Math.log2(camera.size * ratio) - 1e-9);
  return Math.min(count - 1, Math.max(0, wanted));
}
