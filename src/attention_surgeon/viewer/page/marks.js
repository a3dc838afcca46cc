/** @file What is drawn over the cells of a map: lines between them, the hidden column, numbers, the cursor. */

import { isBright } from "./colour.js";
import { pixelOf } from "./paint.js";
import { short } from "./words.js";

/** @typedef {import("./types").Camera} Camera */
/** @typedef {import("./types").Box} Box */
/** @typedef {import("./axes.js").Ink} Ink */
/** @typedef {import("./map.js").Picture} Picture */

const LEAST_FOR_NUMBERS = 34;
const LEAST_FOR_LINES = 9;

/** The marks on one picture, as a camera sees it. */
export class Marks {
  /**
   * @param {Picture} picture
   * @param {Camera} camera
   * @param {Box} box
   * @param {{rows: number, columns: number}} size
   */
  constructor(picture, camera, box, size) {
    this.picture = picture;
    this.camera = camera;
    this.box = box;
    this.size = size;
    this.width = Math.min(box.width, (size.columns - camera.x) * camera.size);
    this.height = Math.min(box.height, (size.rows - camera.y) * camera.size);
  }

  /** @param {CanvasRenderingContext2D} context @param {Ink} ink */
  draw(context, ink) {
    this.drawLines(context, ink);
    this.drawHidden(context, ink);
    this.drawNumbers(context, ink);
    this.drawCursor(context, ink);
  }

  /** @param {CanvasRenderingContext2D} context @param {Ink} ink */
  drawLines(context, ink) {
    const { size } = this.camera;
    if (size < LEAST_FOR_LINES) return;
    context.strokeStyle = ink.background;
    context.lineWidth = 1;
    context.beginPath();
    this.eachSeen((row, column, x, y) => {
      if (column === Math.floor(this.camera.x)) context.rect(this.box.left, Math.round(y) - 0.5, this.width, 0);
      if (row === Math.floor(this.camera.y)) context.rect(Math.round(x) - 0.5, this.box.top, 0, this.height);
    });
    context.stroke();
  }

  /**
   * Calls for each cell that is seen.
   * @param {(row: number, column: number, x: number, y: number) => void} call
   */
  eachSeen(call) {
    const { x, y, size } = this.camera;
    const right = Math.min(this.size.columns, Math.ceil(x + this.box.width / size));
    const bottom = Math.min(this.size.rows, Math.ceil(y + this.box.height / size));
    for (let row = Math.floor(y); row < bottom; row += 1) {
      for (let column = Math.floor(x); column < right; column += 1) {
        call(row, column, this.box.left + (column - x) * size, this.box.top + (row - y) * size);
      }
    }
  }

  /** @param {CanvasRenderingContext2D} context @param {Ink} ink */
  drawHidden(context, ink) {
    const column = this.picture.hidden;
    if (column === null) return;
    const left = this.box.left + (column - this.camera.x) * this.camera.size;
    const right = Math.min(left + Math.max(3, this.camera.size), this.box.left + this.width);
    const from = Math.max(left, this.box.left);
    if (right <= from) return;
    context.save();
    context.beginPath();
    context.rect(from, this.box.top, right - from, this.height);
    context.clip();
    context.fillStyle = ink.background;
    context.fillRect(from, this.box.top, right - from, this.height);
    context.strokeStyle = ink.muted;
    context.lineWidth = 1;
    context.beginPath();
    for (let y = this.box.top - 60; y < this.box.top + this.height; y += 6) {
      context.moveTo(from, y + (right - from));
      context.lineTo(right, y);
    }
    context.stroke();
    context.restore();
  }

  /** @param {CanvasRenderingContext2D} context @param {Ink} ink */
  drawNumbers(context, ink) {
    const { picture } = this;
    const { size } = this.camera;
    if (size < LEAST_FOR_NUMBERS) return;
    const level = picture.levels[0];
    const values = picture.choose(level);
    context.save();
    context.beginPath();
    context.rect(this.box.left, this.box.top, this.box.width, this.box.height);
    context.clip();
    context.font = `${Math.min(13, size / 3.1)}px ${ink.font}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    this.eachSeen((row, column, x, y) => {
      const value = values[row * level.columns + column];
      if (Math.abs(value) < 0.005 || column === picture.hidden) return;
      context.fillStyle = isBright(pixelOf(value, picture.colours)) ? "#0d1526" : "#f4f8fd";
      context.fillText(short(value), x + size / 2, y + size / 2);
    });
    context.restore();
  }

  /** @param {CanvasRenderingContext2D} context @param {Ink} ink */
  drawCursor(context, ink) {
    const { picture } = this;
    const { size, x, y } = this.camera;
    const left = this.box.left + (picture.cursor.column - x) * size;
    const top = this.box.top + (picture.cursor.row - y) * size;
    context.save();
    context.beginPath();
    context.rect(this.box.left - 2, this.box.top - 2, this.box.width + 4, this.box.height + 4);
    context.clip();
    context.strokeStyle = ink.cursor;
    context.globalAlpha = 0.35;
    context.lineWidth = 1;
    context.strokeRect(this.box.left, top, this.width, size);
    context.strokeRect(left, this.box.top, size, this.height);
    context.globalAlpha = 1;
    context.lineWidth = 2;
    const grown = Math.max(0, (7 - size) / 2);
    context.strokeRect(left - grown, top - grown, size + 2 * grown, size + 2 * grown);
    context.restore();
  }
}
