/** @file The scale of colours, always beside what it explains. */

import { css, shadeAt, shadesOf, signedPosition, ticks } from "./colour.js";
import { contextOf, make } from "./dom.js";
import { number, round } from "./words.js";

/** @typedef {import("./paint.js").Colours} Colours */
/** @typedef {import("./axes.js").Ink} Ink */

const WIDTH = 260;

/**
 * Returns a legend.
 * @param {Colours} colours
 * @param {Ink} ink
 * @param {string} meaning what the numbers are
 * @returns {HTMLElement}
 */
export function legend(colours, ink, meaning) {
  const canvas = make("canvas", { role: "img", "aria-label": `${meaning}, ${words(colours)}` });
  const context = contextOf(canvas, WIDTH + 40, 30);
  const shades = shadesOf(colours.meaning, colours.ground);
  for (let x = 0; x < WIDTH; x += 1) {
    context.fillStyle = css(shades[shadeAt(x / (WIDTH - 1))]);
    context.fillRect(20 + x, 0, 1, 12);
  }
  context.strokeStyle = ink.line;
  context.strokeRect(19.5, 0.5, WIDTH + 1, 12);
  context.font = `11px ${ink.font}`;
  context.fillStyle = ink.muted;
  context.textAlign = "center";
  context.textBaseline = "top";
  for (const { at, weight } of marks(colours)) {
    context.fillRect(20 + at * WIDTH - 0.5, 12, 1, 3);
    context.fillText(round(weight), 20 + at * WIDTH, 17);
  }
  return make("div", { class: "scale" }, make("span", {}, meaning), canvas);
}

/** @param {Colours} colours @returns {string} */
function words({ top, scale, meaning }) {
  const from = meaning === "weights" ? "0" : number(-top);
  return `${scale === "log" ? "logarithmic " : ""}scale from ${from} to ${number(top)}`;
}

/** @param {Colours} colours @returns {{at: number, weight: number}[]} */
function marks({ meaning, top, scale }) {
  if (meaning === "weights") return ticks(top, scale);
  const steps = scale === "linear" ? [-1, -0.5, 0, 0.5, 1] : [-1, -0.01, 0, 0.01, 1];
  return steps.map((step) => ({ at: signedPosition(step * top, top, scale), weight: step * top }));
}
