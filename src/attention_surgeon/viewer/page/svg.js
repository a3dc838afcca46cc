/** @file A map as SVG. */

import { isOfLetters, keyAxis, labelOf, queryAxis, stride } from "./axes.js";

/** @typedef {import("./types").Camera} Camera */
/** @typedef {import("./types").Box} Box */
/** @typedef {import("./types").Frame} Frame */
/** @typedef {import("./axes.js").Ink} Ink */
/** @typedef {{left: number, top: number, width: number, height: number}} Part */

/**
 * Returns a map as SVG: the cells as a picture with one point each, the tokens as text.
 * @param {{frame: Frame, cells: {image: ImageData, part: Part}, camera: Camera, box: Box, ink: Ink}} drawn
 * @returns {string}
 */
export function svgOf({ frame, cells, camera, box, ink }) {
  const { part, image } = cells;
  const width = part.width * camera.size;
  const height = part.height * camera.size;
  const picture = `<image x="${box.left}" y="${box.top}" width="${width}" height="${height}" preserveAspectRatio="none" style="image-rendering: pixelated" href="${addressOf(image)}"/>`;
  const rows = labels(queryAxis(frame), part.top, part.height, camera.size).map(
    ({ label, middle }) => `<text x="${box.left - 6}" y="${box.top + middle}" text-anchor="end">${xml(label)}</text>`,
  );
  const isUpright = isOfLetters(keyAxis(frame));
  const columns = labels(keyAxis(frame), part.left, part.width, camera.size).map(({ label, middle }) => {
    const [x, y] = [box.left + middle, box.top - (isUpright ? 10 : 6)];
    if (isUpright) return `<text x="${x}" y="${y}" text-anchor="middle">${xml(label)}</text>`;
    return `<text x="${x}" y="${y}" transform="rotate(-90 ${x} ${y})">${xml(label)}</text>`;
  });
  const size = `width="${box.left + width + 2}" height="${box.top + height + 2}"`;
  const letters = `font-family="${xml(ink.font)}" font-size="12" fill="${ink.ink}" dominant-baseline="middle"`;
  const ground = `<rect width="100%" height="100%" fill="${ink.background}"/>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size}>${ground}${picture}<g ${letters}>${rows.join("")}${columns.join("")}</g></svg>\n`;
}

/** @param {ImageData} image @returns {string} */
function addressOf(image) {
  const canvas = document.createElement("canvas");
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d")?.putImageData(image, 0, 0);
  return canvas.toDataURL("image/png");
}

/**
 * @param {import("./axes.js").Axis} axis
 * @param {number} first
 * @param {number} count
 * @param {number} size
 * @returns {{label: string, middle: number}[]}
 */
function labels(axis, first, count, size) {
  const step = stride(size);
  return Array.from({ length: count }, (_, i) => first + i)
    .filter((cell) => cell % step === 0)
    .map((cell) => ({ label: labelOf(axis, cell), middle: (cell - first + 0.5) * size }));
}

/**
 * Returns text that stands between tags of XML: what XML cannot hold is replaced.
 * @param {string} text
 * @returns {string}
 */
export function xml(text) {
  const kept = Array.from(text, (character) => (isXml(character.codePointAt(0) ?? 0) ? character : "\ufffd")).join("");
  return kept.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
}

/** @param {number} code @returns {boolean} */
function isXml(code) {
  if (code < 0x20) return code === 9 || code === 10 || code === 13;
  return !(code >= 0xd800 && code <= 0xdfff) && code !== 0xfffe && code !== 0xffff;
}
