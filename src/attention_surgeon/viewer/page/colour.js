/** @file One colour scale per meaning: weights in one hue, differences in two around zero; each for light and dark. */

/** @typedef {import("./types").Scale} Scale */

const WEIGHTS = {
  light: "#f7f9fc #d7e9fa #b8d8f8 #9ac7f4 #7eb4ee #64a1e4 #4d8dd7 #3b79c6 #2c66b1 #22549a #1a4382 #143368 #0d244f",
  dark: "#151c28 #1b2a43 #1f3960 #22497d #265b99 #2d6eb3 #3983c9 #4d98db #66ade9 #84c1f2 #a4d3f8 #c7e5fb #eaf5fd",
};
const DIFFERENCES = {
  light: "#7a2f00 #a84508 #cd6a2b #e89b68 #f6cdb1 #fbfaf7 #b9e0d6 #74c0b0 #329a89 #067365 #004f45",
  dark: "#ffc9a3 #f5a15d #d07a35 #96521e #54321b #171c24 #133f3c #11695f #1b998b #59c7b6 #b0efe2",
};
const HEADS = {
  light: "#22549a #c2500a #2f7d4f #8a3ea8 #8a6d00 #b0245a",
  dark: "#84c1f2 #f5a15d #7fd3a0 #d59bea #e0c450 #f58fb0",
};
const DECADES = 3;
const SHADES = 255; // odd, so that one of them is exactly the middle: no difference

/** @param {string} hex @returns {number[]} */
function channels(hex) {
  return [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
}

/**
 * Returns all shades from a few colours, as pixels of a canvas.
 * @param {string} stops
 * @returns {Uint32Array}
 */
function shades(stops) {
  const colours = stops.split(" ").map(channels);
  return Uint32Array.from({ length: SHADES }, (_, i) => {
    const at = (i / (SHADES - 1)) * (colours.length - 1);
    const before = Math.min(Math.floor(at), colours.length - 2);
    const mix = colours[before].map((c, k) => Math.round(c + (colours[before + 1][k] - c) * (at - before)));
    return ((255 << 24) | (mix[2] << 16) | (mix[1] << 8) | mix[0]) >>> 0;
  });
}

/** @type {Map<string, Uint32Array>} */
const made = new Map();

/**
 * Returns the colours of a meaning on a ground.
 * @param {"weights" | "differences"} meaning
 * @param {"light" | "dark"} ground
 * @returns {Uint32Array}
 */
export function shadesOf(meaning, ground) {
  const name = `${meaning} ${ground}`;
  const found = made.get(name) ?? shades((meaning === "weights" ? WEIGHTS : DIFFERENCES)[ground]);
  made.set(name, found);
  return found;
}

/**
 * Returns one colour for each of several heads; after six they come again.
 * @param {number} place
 * @param {"light" | "dark"} ground
 * @returns {string}
 */
export function headColour(place, ground) {
  const colours = HEADS[ground].split(" ");
  return colours[place % colours.length];
}

/**
 * Returns where a weight stands on the scale, from 0 to 1.
 * @param {number} weight
 * @param {number} top
 * @param {Scale} scale
 * @returns {number}
 */
export function position(weight, top, scale) {
  if (!(weight > 0) || top === 0) return 0;
  if (scale === "linear") return Math.min(1, weight / top);
  return Math.min(1, Math.max(0.02, 1 + Math.log10(weight / top) / DECADES));
}

/**
 * Returns where a difference stands, from 0 (all lost) over 1/2 (none) to 1 (all gained).
 * @param {number} difference
 * @param {number} top
 * @param {Scale} scale
 * @returns {number}
 */
export function signedPosition(difference, top, scale) {
  const size = position(Math.abs(difference), top, scale);
  return 0.5 + (difference < 0 ? -size : size) / 2;
}

/**
 * Returns the number of a shade.
 * @param {number} at from 0 to 1
 * @returns {number}
 */
export function shadeAt(at) {
  return Math.min(SHADES - 1, Math.max(0, Math.round(at * (SHADES - 1))));
}

/**
 * Returns a pixel as a CSS colour.
 * @param {number} pixel
 * @returns {string}
 */
export function css(pixel) {
  return `rgb(${pixel & 255} ${(pixel >> 8) & 255} ${(pixel >> 16) & 255})`;
}

/**
 * Tells whether dark ink is read better on a pixel than light ink.
 * @param {number} pixel
 * @returns {boolean}
 */
export function isBright(pixel) {
  const [r, g, b] = [pixel & 255, (pixel >> 8) & 255, (pixel >> 16) & 255].map((part) => {
    const c = part / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179;
}

/**
 * Returns the smallest of 1, 0.5, 0.2, 0.1, ... that is not below the largest weight, so that similar maps share colours.
 * @param {number} largest
 * @returns {number}
 */
export function scaleTop(largest) {
  if (!(largest > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(largest));
  const tops = [1, 2, 5, 10].map((digit) => Number((digit * power).toPrecision(1)));
  return Math.min(1, tops.find((top) => largest <= top * (1 + 1e-6)) ?? 1);
}

/**
 * Returns the weights to be named beside the scale, each with its place from 0 to 1.
 * @param {number} top
 * @param {Scale} scale
 * @returns {{at: number, weight: number}[]}
 */
export function ticks(top, scale) {
  if (scale === "linear") return [0, 0.25, 0.5, 0.75, 1].map((at) => ({ at, weight: at * top }));
  return Array.from({ length: DECADES + 1 }, (_, i) => ({ at: i / DECADES, weight: top * 10 ** (i - DECADES) }));
}
