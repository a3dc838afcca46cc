/** @file Lines from a token to the tokens that it attends to: thicker is more. */

import { mapChoice, poolingChoice, toggle, Toolbar, wordsChoice } from "./controls.js";
import { contextOf, make } from "./dom.js";
import { keyAxis, labelOf, labelWidth, queryAxis } from "./axes.js";
import { css, headColour } from "./colour.js";
import { pixelOf } from "./paint.js";
import { detailWords, hiddenWords, keyName, queryName } from "./names.js";
import { strongestColumns, worthAWord } from "./strongest.js";
import { number } from "./words.js";

/** @typedef {import("./source.js").Source} Source */
/** @typedef {import("./types").Level} Level */

const ROW = 22;
const MOST_LINES = 40;
const NAMED = 4;
const MOST_OF_ONE = 8; // lines of each token where those of all are drawn
const FAINT = 0.02;

/** Two columns of tokens with lines between them. */
export class LinesView {
  /** @param {Source} source */
  constructor(source) {
    this.source = source;
    const { store } = source;
    this.bar = new Toolbar([
      ...mapChoice(source),
      ...poolingChoice(source),
      ...wordsChoice(source),
      toggle(
        "All tokens",
        (state) => state.hasAllLines,
        (hasAllLines) => store.set({ hasAllLines }),
      ),
      toggle(
        "Hide the sink",
        (state) => state.hideSink,
        (hideSink) => store.set({ hideSink }),
      ),
    ]);
    this.heads = make("div", { class: "chips", role: "group", "aria-label": "Heads that are drawn as well" });
    this.says = make("p", { class: "says" });
    this.canvas = make("canvas");
    const label =
      "Lines from the chosen token. Arrow up and down choose the token; Page Up and Page Down change the map.";
    this.stage = make("div", { class: "stage", tabindex: "0", role: "application", "aria-label": label }, this.canvas);
    this.note = make("p", { class: "note" });
    this.element = make("div", {}, this.bar.element, this.heads, this.says, this.stage, this.note);
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
    const others = await Promise.all(this.others().map((map) => source.grid(map)));
    const { state, frame, entry, cell } = source;
    if (grid.entry !== entry || state.view !== "lines") return;
    this.bar.show(state);
    this.showHeads();
    const level = grid.levels(state.hideSink)[0];
    this.scrollTo(cell.row, level);
    this.paint(level, [level, ...others.map((other) => other.levels(state.hideSink)[0])]);
    const strongest = worthAWord(strongestColumns(level[state.pooling], level, cell.row, NAMED));
    const named = strongest.map((partner) => `'${keyName(frame, partner.cell)}' (${number(partner.weight)})`);
    const words = named.length
      ? `'${queryName(frame, cell.row)}' gives most to ${named.join(", ")}.`
      : `'${queryName(frame, cell.row)}' gives nothing to anybody.`;
    this.says.replaceChildren(words, make("small", {}, source.nameOf(state.map)));
    source.tell(words);
    this.note.textContent = `${hiddenWords(source)}${level.columns > MOST_LINES ? `The ${MOST_LINES} strongest lines are drawn. ` : ""}${detailWords(source)}`;
  }

  /** @returns {number[]} maps that are drawn besides the chosen one: with the same cells as it */
  others() {
    const { state, side, entry } = this.source;
    return state.others.filter((map) => map !== state.map && side.maps[map]?.frame === entry.frame);
  }

  /** Shows the heads of the same layer as buttons, each in the colour of its lines. */
  showHeads() {
    const { source } = this;
    const { state, side, entry } = source;
    const layer = String(entry.place.slice(0, -1));
    const mates = side.maps.flatMap((other, i) =>
      String(other.place.slice(0, -1)) === layer && other.frame === entry.frame ? [i] : [],
    );
    const drawn = [state.map, ...this.others()];
    this.heads.hidden = mates.length < 2;
    const buttons = mates.map((map) => this.headButton(map, drawn));
    const focused = [...this.heads.children].indexOf(/** @type {Element} */ (document.activeElement));
    this.heads.replaceChildren(make("span", { class: "note" }, "together with"), ...buttons);
    if (focused > 0) buttons[focused - 1]?.focus();
  }

  /** @param {number} map @param {number[]} drawn @returns {HTMLButtonElement} */
  headButton(map, drawn) {
    const { source } = this;
    const { state, side } = source;
    const place = drawn.indexOf(map);
    const others = state.others.includes(map) ? state.others.filter((i) => i !== map) : [...state.others, map];
    const button = make(
      "button",
      {
        type: "button",
        "aria-pressed": String(place >= 0),
        title: source.nameOf(map),
        click: () => source.store.set({ others }),
      },
      side.maps[map].place.at(-1) ?? "",
    );
    if (map === state.map) button.disabled = true;
    if (place >= 0 && drawn.length > 1) button.style.boxShadow = `inset 0 -4px ${headColour(place, source.ground)}`;
    return button;
  }

  /** @param {number} row @param {Level} level */
  scrollTo(row, level) {
    const height = Math.max(240, innerHeight - 250);
    this.fitting = Math.min(Math.max(level.rows, level.columns), Math.floor(height / ROW));
    if (row < this.first) this.first = row;
    if (row >= this.first + this.fitting) this.first = row - this.fitting + 1;
    this.first = Math.max(0, Math.min(this.first, Math.max(level.rows, level.columns) - this.fitting));
  }

  /** @param {Level} level of the chosen map @param {Level[]} all of all that are drawn */
  paint(level, all) {
    const { source } = this;
    const { state, frame, cell: chosen } = source;
    const ink = source.ink;
    const width = Math.min(640, Math.max(200, this.stage.clientWidth));
    const context = contextOf(this.canvas, width, this.fitting * ROW);
    const column = this.columnWidth(context, width, ink.font);
    const values = level[state.pooling];
    for (let place = all.length - 1; place >= 0; place -= 1) {
      this.drawLines(context, all[place], all.length > 1 ? place : null, column, width - column);
    }
    context.font = `13px ${ink.font}`;
    context.textBaseline = "middle";
    for (let i = 0; i < this.fitting; i += 1) {
      const cell = this.first + i;
      const y = (i + 0.5) * ROW;
      if (cell < level.rows) {
        context.fillStyle = cell === chosen.row ? ink.cursor : ink.ink;
        context.textAlign = "right";
        context.fillText(labelOf(queryAxis(frame), cell), column - 8, y, column - 12);
      }
      if (cell < level.columns) {
        const weight = values[chosen.row * level.columns + cell];
        context.fillStyle = weight > 0 ? ink.ink : ink.muted;
        context.textAlign = "left";
        context.fillText(labelOf(keyAxis(frame), cell).trimStart(), width - column + 8, y, column - 12);
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
    const queries = labelWidth(context, queryAxis(frame), most, font);
    return 14 + Math.max(queries, labelWidth(context, keyAxis(frame), most, font));
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Level} level
   * @param {number | null} place among several heads, each of a colour; null: one head alone, in the colours of weights
   * @param {number} from
   * @param {number} to
   */
  drawLines(context, level, place, from, to) {
    const { source } = this;
    const { state, cell: chosen } = source;
    const colours = { ...source.colours(), top: 1 };
    const y = (/** @type {number} */ cell) => (cell - this.first + 0.5) * ROW;
    const middle = (from + to) / 2;
    context.lineCap = "round";
    for (const row of this.rowsOfLines(level.rows)) {
      for (const { cell, weight } of this.linesOf(level, row)) {
        context.strokeStyle =
          place === null ? css(pixelOf(0.25 + 0.75 * weight, colours)) : headColour(place, source.ground);
        context.globalAlpha = (place === null ? 1 : 0.25 + 0.75 * weight) * (row === chosen.row ? 1 : 0.55);
        context.lineWidth = 0.75 + (state.hasAllLines ? 4 : 8) * weight;
        context.beginPath();
        context.moveTo(from, y(row));
        context.bezierCurveTo(middle, y(row), middle, y(cell), to, y(cell));
        context.stroke();
      }
    }
    context.globalAlpha = 1;
  }

  /** @param {Level} level @param {number} row @returns {import("./strongest.js").Partner[]} the strongest last */
  linesOf(level, row) {
    const { state, cell: chosen } = this.source;
    if (!state.hasAllLines) return strongestColumns(level[state.pooling], level, row, MOST_LINES).reverse();
    const least = row === chosen.row ? 0 : FAINT;
    const found = strongestColumns(level[state.pooling], level, row, MOST_OF_ONE);
    return found.filter(({ weight }) => weight >= least).reverse();
  }

  /** @param {number} count @returns {number[]} the chosen token last, so that its lines lie on top */
  rowsOfLines(count) {
    const { state, cell: chosen } = this.source;
    if (!state.hasAllLines) return [chosen.row];
    const seen = Array.from({ length: this.fitting }, (_, i) => this.first + i).filter((row) => row < count);
    return [...seen.filter((row) => row !== chosen.row), chosen.row];
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
