/** @file The map: a canvas with cells, tokens along its edges and a cursor, for mouse, finger and keyboard. */

import { drawColumnLabels, drawRowLabels, keyAxis, labelWidth, queryAxis } from "./axes.js";
import { cellAt, clamped, fitted, showing, zoomed } from "./camera.js";
import { contextOf, make } from "./dom.js";
import { Marks } from "./marks.js";
import { drawCells, painted } from "./paint.js";
import { svgOf } from "./svg.js";

/** @typedef {import("./types").Camera} Camera */
/** @typedef {import("./types").Box} Box */
/** @typedef {import("./types").Level} Level */
/** @typedef {import("./types").Frame} Frame */
/** @typedef {import("./axes.js").Ink} Ink */
/** @typedef {import("./paint.js").Colours} Colours */

/**
 * What a map draws.
 * @typedef {object} Picture
 * @property {Frame} frame
 * @property {Level[]} levels
 * @property {(level: Level) => Float32Array} choose
 * @property {Colours} colours
 * @property {number | null} hidden a column that is left out
 * @property {{row: number, column: number}} cursor
 * @property {Camera | null} camera null: all of it
 */

/** @typedef {{move: (row: number, column: number) => void, look: (camera: Camera | null) => void, turn: (by: number) => void}} Hands */

/** A canvas that shows one map. */
export class MapPanel {
  /**
   * @param {string} label for screen readers
   * @param {Hands} hands what moving the cursor and the camera does
   */
  constructor(label, hands) {
    this.hands = hands;
    this.canvas = make("canvas");
    this.element = make(
      "div",
      { class: "stage", tabindex: "0", role: "application", "aria-label": label, "aria-roledescription": "map" },
      this.canvas,
    );
    /** @type {Picture | null} */
    this.picture = null;
    /** @type {Box} */
    this.box = { left: 0, top: 0, width: 1, height: 1 };
    /** @type {Map<number, {x: number, y: number}>} */
    this.fingers = new Map();
    this.listen();
  }

  /** @returns {{rows: number, columns: number}} */
  get size() {
    const level = this.picture?.levels[0];
    return { rows: level?.rows ?? 1, columns: level?.columns ?? 1 };
  }

  /** @returns {Camera} */
  get camera() {
    const camera = this.picture?.camera;
    return camera ? clamped(camera, this.size, this.box) : fitted(this.size, this.box);
  }

  /**
   * @param {Picture} picture
   * @param {Ink} ink
   * @param {number} width at most
   * @param {number} height at most
   */
  draw(picture, ink, width, height) {
    this.picture = picture;
    const probe = this.canvas.getContext("2d");
    if (!probe) return;
    this.place(probe, picture, ink, width, height);
    const marks = new Marks(picture, this.camera, this.box, this.size);
    const context = contextOf(this.canvas, this.box.left + marks.width + 2, this.box.top + marks.height + 2);
    const { frame, cursor } = picture;
    drawCells(context, picture.levels, picture.choose, this.camera, this.box, picture.colours);
    marks.draw(context, ink);
    const rows = { ...queryAxis(frame), chosen: cursor.row };
    const columns = { ...keyAxis(frame), chosen: cursor.column };
    drawRowLabels(context, rows, this.camera, this.box, ink);
    drawColumnLabels(context, columns, this.camera, this.box, ink);
  }

  /**
   * Finds the box of the cells between the labels.
   * @param {CanvasRenderingContext2D} context
   * @param {Picture} picture
   * @param {Ink} ink
   * @param {number} width
   * @param {number} height
   */
  place(context, picture, ink, width, height) {
    const { frame } = picture;
    const left = 12 + labelWidth(context, queryAxis(frame), Math.min(150, width * 0.26), ink.font);
    const top = 12 + labelWidth(context, keyAxis(frame), Math.min(130, width * 0.26), ink.font);
    this.box = { left, top, width: Math.max(60, width - left - 2), height: Math.max(120, height - top) };
  }

  /**
   * Moves the cursor; the next key starts from there, even before the picture follows.
   * @param {number} row
   * @param {number} column
   */
  move(row, column) {
    if (this.picture) this.picture = { ...this.picture, cursor: { row, column } };
    this.hands.move(row, column);
  }

  /** @param {Camera | null} camera */
  look(camera) {
    if (this.picture) this.picture = { ...this.picture, camera };
    this.hands.look(camera);
  }

  listen() {
    const { element } = this;
    element.addEventListener("pointerdown", (event) => this.press(event));
    element.addEventListener("pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel"]) {
      element.addEventListener(name, (event) => this.fingers.delete(/** @type {PointerEvent} */ (event).pointerId));
    }
    element.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    element.addEventListener("keydown", (event) => this.key(event));
  }

  /** @param {MouseEvent} event @returns {{x: number, y: number}} */
  pointOf(event) {
    const frame = this.canvas.getBoundingClientRect();
    return { x: event.clientX - frame.left - this.box.left, y: event.clientY - frame.top - this.box.top };
  }

  /** @param {MouseEvent} event */
  point(event) {
    const cell = cellAt(this.camera, this.pointOf(event), this.size);
    if (cell) this.move(cell.row, cell.column);
  }

  /** @param {PointerEvent} event */
  press(event) {
    this.fingers.set(event.pointerId, this.pointOf(event));
    this.element.setPointerCapture(event.pointerId);
    this.point(event);
  }

  /** @param {PointerEvent} event */
  drag(event) {
    const before = this.fingers.get(event.pointerId);
    if (!before) {
      if (event.pointerType === "mouse") this.point(event);
      return;
    }
    const now = this.pointOf(event);
    this.fingers.set(event.pointerId, now);
    if (this.fingers.size === 2) this.pinch(event.pointerId, before, now);
    else this.pan(before.x - now.x, before.y - now.y);
  }

  /** @param {number} moved @param {{x: number, y: number}} before @param {{x: number, y: number}} now */
  pinch(moved, before, now) {
    const other = [...this.fingers].find(([id]) => id !== moved)?.[1];
    if (!other) return;
    const factor = Math.hypot(now.x - other.x, now.y - other.y) / Math.hypot(before.x - other.x, before.y - other.y);
    this.look(zoomed(this.camera, factor || 1, other, this.size, this.box));
  }

  /** @param {number} x @param {number} y in points */
  pan(x, y) {
    const camera = this.camera;
    const moved = { ...camera, x: camera.x + x / camera.size, y: camera.y + y / camera.size };
    this.look(clamped(moved, this.size, this.box));
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    if (event.shiftKey) this.pan(event.deltaX || event.deltaY, event.deltaX ? event.deltaY : 0);
    else this.zoom(Math.exp(-event.deltaY * 0.002), this.pointOf(event));
  }

  /** @param {number} factor @param {{x: number, y: number}} [point] null: the cursor */
  zoom(factor, point) {
    const { cursor } = this.picture ?? { cursor: { row: 0, column: 0 } };
    const { x, y, size } = this.camera;
    const at = point ?? { x: (cursor.column + 0.5 - x) * size, y: (cursor.row + 0.5 - y) * size };
    this.look(zoomed(this.camera, factor, at, this.size, this.box));
  }

  /**
   * Returns what is seen as SVG: the cells as a picture, one point for each, and the words as words.
   * @param {Ink} ink
   * @returns {string}
   */
  asSvg(ink) {
    const { picture } = this;
    if (!picture) return "";
    const level = picture.levels[0];
    const { camera, box } = this;
    const left = Math.floor(camera.x);
    const top = Math.floor(camera.y);
    const right = Math.min(level.columns, Math.ceil(camera.x + box.width / camera.size));
    const bottom = Math.min(level.rows, Math.ceil(camera.y + box.height / camera.size));
    const part = { left, top, width: right - left, height: bottom - top };
    const cells = { image: painted(picture.choose(level), level.columns, part, picture.colours), part };
    return svgOf({ frame: picture.frame, cells, camera, box, ink });
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (!this.picture || event.ctrlKey || event.metaKey || event.altKey) return;
    const { row, column } = this.picture.cursor;
    const { rows, columns } = this.size;
    const jump = event.shiftKey ? 10 : 1;
    /** @type {Record<string, [number, number]>} */
    const moves = {
      ArrowUp: [row - jump, column],
      ArrowDown: [row + jump, column],
      ArrowLeft: [row, column - jump],
      ArrowRight: [row, column + jump],
      Home: [row, 0],
      End: [row, columns - 1],
    };
    if (event.key in moves) {
      const [down, across] = moves[event.key];
      const cell = { row: Math.min(rows - 1, Math.max(0, down)), column: Math.min(columns - 1, Math.max(0, across)) };
      this.move(cell.row, cell.column);
      if (this.picture.camera) this.look(showing(this.camera, cell, this.size, this.box));
    } else if (event.key === "+" || event.key === "=") this.zoom(1.5);
    else if (event.key === "-") this.zoom(1 / 1.5);
    else if (event.key === "0") this.look(null);
    else if (event.key === "PageDown") this.hands.turn(1);
    else if (event.key === "PageUp") this.hands.turn(-1);
    else return;
    event.preventDefault();
  }
}
