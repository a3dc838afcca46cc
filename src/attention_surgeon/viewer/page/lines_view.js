/** @file Lines from a token to the tokens that it attends to: thicker is more. */

import { mapChoice, poolingChoice, toggle, Toolbar } from "./controls.js";
import { contextOf, make } from "./dom.js";
import { labelOf, labelWidth } from "./axes.js";
import { css } from "./colour.js";
import { pixelOf } from "./paint.js";
import { detailWords, hiddenWords, keyName, queryName } from "./names.js";
import { strongestColumns } from "./strongest.js";
import { number } from "./words.js";

/** @typedef {import("./source.js").Source} Source */
/** @typedef {import("./types").Level} Level */

const ROW = 22;
const MOST_LINES = 40;
const NAMED = 4;

/** Two columns of tokens with lines between them. */
export class LinesView {
  /** @param {Source} source */
  constructor(source) {
    this.source = source;
    const { store } = source;
    this.bar = new Toolbar([
      ...mapChoice(source),
      ...poolingChoice(source),
      toggle(
        "Hide the sink",
        (state) => state.hideSink,
        (hideSink) => store.set({ hideSink }),
      ),
    ]);
    this.says = make("p", { class: "says" });
    this.canvas = make("canvas");
    const label =
      "Lines from the chosen token. Arrow up and down choose the token; Page Up and Page Down change the map.";
    this.stage = make("div", { class: "stage", tabindex: "0", role: "application", "aria-label": label }, this.canvas);
    this.note = make("p", { class: "note" });
    this.element = make("div", {}, this.bar.element, this.says, this.stage, this.note);
    this.stage.addEventListener("keydown", (event) => this.key(event));
    this.stage.addEventListener("pointerdown", (event) => this.point(event));
    this.stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.first = 0;
    this.fitting = 1;
  }

  /** Draws what is chosen. */
  async draw() {
    const { source } = this;
    const grid = await source.grid();
    const { state, frame, entry, cell } = source;
    if (grid.entry !== entry || state.view !== "lines") return;
    this.bar.show(state);
    const level = grid.levels(state.hideSink)[0];
    this.scrollTo(cell.row, level);
    this.paint(level);
    const strongest = strongestColumns(level[state.pooling], level, cell.row, NAMED);
    const named = strongest.map((partner) => `'${keyName(frame, partner.cell)}' (${number(partner.weight)})`);
    const words = named.length
      ? `'${queryName(frame, cell.row)}' gives most to ${named.join(", ")}.`
      : `'${queryName(frame, cell.row)}' gives nothing to anybody.`;
    this.says.replaceChildren(words, make("small", {}, entry.name));
    source.tell(words);
    this.note.textContent = `${hiddenWords(source)}${level.columns > MOST_LINES ? `The ${MOST_LINES} strongest lines are drawn. ` : ""}${detailWords(source)}`;
  }

  /** @param {number} row @param {Level} level */
  scrollTo(row, level) {
    const height = Math.max(240, innerHeight - 250);
    this.fitting = Math.min(Math.max(level.rows, level.columns), Math.floor(height / ROW));
    if (row < this.first) this.first = row;
    if (row >= this.first + this.fitting) this.first = row - this.fitting + 1;
    this.first = Math.max(0, Math.min(this.first, Math.max(level.rows, level.columns) - this.fitting));
  }

  /** @param {Level} level */
  paint(level) {
    const { source } = this;
    const { state, frame, cell: chosen } = source;
    const ink = source.ink;
    const width = Math.min(640, Math.max(200, this.stage.clientWidth));
    const context = contextOf(this.canvas, width, this.fitting * ROW);
    const column = this.columnWidth(context, width, ink.font);
    const values = level[state.pooling];
    this.drawLines(context, level, column, width - column);
    context.font = `13px ${ink.font}`;
    context.textBaseline = "middle";
    for (let i = 0; i < this.fitting; i += 1) {
      const cell = this.first + i;
      const y = (i + 0.5) * ROW;
      if (cell < level.rows) {
        context.fillStyle = cell === chosen.row ? ink.cursor : ink.ink;
        context.textAlign = "right";
        context.fillText(labelOf(frame.queryTokens, frame.rowEdges, cell), column - 8, y, column - 12);
      }
      if (cell < level.columns) {
        const weight = values[chosen.row * level.columns + cell];
        context.fillStyle = weight > 0 ? ink.ink : ink.muted;
        context.textAlign = "left";
        context.fillText(labelOf(frame.keyTokens, frame.columnEdges, cell), width - column + 8, y, column - 12);
      }
    }
  }

  /**
   * Returns how wide each of the two columns of tokens is.
   * @param {CanvasRenderingContext2D} context
   * @param {number} width
   * @param {string} font
   * @returns {number}
   */
  columnWidth(context, width, font) {
    const { frame } = this.source;
    const most = Math.min(230, width * 0.34);
    const queries = labelWidth(context, frame.queryTokens, frame.rowEdges, most, font);
    return 14 + Math.max(queries, labelWidth(context, frame.keyTokens, frame.columnEdges, most, font));
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Level} level
   * @param {number} from
   * @param {number} to
   */
  drawLines(context, level, from, to) {
    const { source } = this;
    const { state, cell: chosen } = source;
    const lines = strongestColumns(level[state.pooling], level, chosen.row, MOST_LINES).reverse();
    const y = (/** @type {number} */ cell) => (cell - this.first + 0.5) * ROW;
    const colours = { ...source.colours(), top: 1 };
    context.lineCap = "round";
    for (const { cell, weight } of lines) {
      context.strokeStyle = css(pixelOf(0.25 + 0.75 * weight, colours));
      context.lineWidth = 0.75 + 8 * weight;
      const middle = (from + to) / 2;
      context.beginPath();
      context.moveTo(from, y(chosen.row));
      context.bezierCurveTo(middle, y(chosen.row), middle, y(cell), to, y(cell));
      context.stroke();
    }
  }

  /** @param {PointerEvent} event */
  point(event) {
    const row = this.first + Math.floor((event.clientY - this.canvas.getBoundingClientRect().top) / ROW);
    const { frame, cell } = this.source;
    if (row >= 0 && row < frame.rowEdges.length - 1) this.source.move(row, cell.column);
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    this.move(Math.sign(event.deltaY));
  }

  /** @param {number} by */
  move(by) {
    const { frame, cell } = this.source;
    const last = frame.rowEdges.length - 2;
    this.source.move(Math.min(last, Math.max(0, cell.row + by)), cell.column);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const jump = event.shiftKey ? 10 : 1;
    if (event.key === "ArrowUp") this.move(-jump);
    else if (event.key === "ArrowDown") this.move(jump);
    else if (event.key === "PageDown") this.source.turn(1);
    else if (event.key === "PageUp") this.source.turn(-1);
    else return;
    event.preventDefault();
  }
}
