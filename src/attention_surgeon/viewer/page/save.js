/** @file Saving what is seen: the canvas as PNG, and the same drawn as SVG with text as text. */

import { download } from "./dom.js";

/**
 * @param {HTMLCanvasElement} canvas
 * @param {string} name
 */
export function savePicture(canvas, name) {
  canvas.toBlob((blob) => blob && download(blob, name), "image/png");
}

/**
 * @param {string} content
 * @param {string} type
 * @param {string} name
 */
export function saveText(content, type, name) {
  download(new Blob([content], { type: `${type};charset=utf-8` }), name);
}

/**
 * Returns rows as CSV; a text that a spreadsheet would take for a formula gets an apostrophe before it.
 * @param {(string | number | null)[][]} rows
 * @returns {string}
 */
export function csv(rows) {
  return rows.map((row) => `${row.map(field).join(",")}\r\n`).join("");
}

/** @param {string | number | null} value @returns {string} */
function field(value) {
  if (value === null) return "";
  if (typeof value === "number") return String(value);
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}
