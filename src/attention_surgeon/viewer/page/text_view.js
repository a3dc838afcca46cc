/** @file The running text: each token in the colour of what the chosen one gives to it, or gets from it. */

import { keyAxis, queryAxis } from "./axes.js";
import { css, isBright } from "./colour.js";
import { mapChoice, poolingChoice, scaleChoice, stepChoice, toggle, Toolbar, wordsChoice } from "./controls.js";
import { make } from "./dom.js";
import { legend } from "./legend.js";
import { detailWords, hiddenWords, meaningOf, stepWords } from "./names.js";
import { pixelOf } from "./paint.js";
import { partnersWords } from "./strongest.js";
import { visible } from "./words.js";

/** @typedef {import("./source.js").Source} Source */
/** @typedef {import("./types").Level} Level */
/** @typedef {import("./axes.js").Axis} Axis */

const LONGEST = 40;
const CLOSES = /^[.,;:!?)\]}%'\u2019\u201d]/u;

/** A text whose tokens are chosen by pointing at them. */
export class TextView {
  /** @param {Source} source */
  constructor(source) {
    this.source = source;
    const { store } = source;
    this.bar = new Toolbar([
      ...stepChoice(source),
      ...mapChoice(source),
      scaleChoice(store),
      ...poolingChoice(source),
      ...wordsChoice(source),
      toggle(
        "What it gets",
        (state) => state.isReceived,
        (isReceived) => store.set({ isReceived }),
      ),
      toggle(
        "Hide the sink",
        (state) => state.hideSink,
        (hideSink) => store.set({ hideSink }),
      ),
    ]);
    this.says = make("p", { class: "says" });
    this.text = make("p", {
      class: "running",
      dir: "auto",
      role: "group",
      "aria-label": "The text. Point at a token, or go from token to token with the arrow keys.",
    });
    this.legend = make("div", { class: "legend" });
    this.note = make("p", { class: "note" });
    this.element = make("div", {}, this.bar.element, this.says, this.text, this.legend, this.note);
    for (const name of ["pointerover", "click", "focusin"]) {
      this.text.addEventListener(name, (event) => this.point(/** @type {Event} */ (event)));
    }
    this.text.addEventListener("keydown", (event) => this.key(event));
    this.shown = "";
  }

  /** Draws what is chosen. */
  async draw() {
    const { source } = this;
    const grid = await source.grid();
    const { state, frame, entry, cell } = source;
    if (grid.entry !== entry || grid.frame.rowEdges.length !== frame.rowEdges.length || state.view !== "text") return;
    this.bar.show(state);
    const axis = state.isReceived ? keyAxis(frame) : queryAxis(frame);
    const others = state.isReceived ? queryAxis(frame) : keyAxis(frame);
    const shown = JSON.stringify([
      state.side,
      axis.edges.length,
      others.edges.length,
      state.isReceived,
      state.isByWord,
    ]);
    if (shown !== this.shown) this.build(axis, others);
    this.shown = shown;
    const level = grid.levels(state.hideSink)[0];
    this.paint(level, state.isReceived ? cell.column : cell.row);
    this.say(level);
    this.legend.replaceChildren(legend(source.colours(), source.ink, meaningOf(frame, state.pooling)));
    this.note.textContent = hiddenWords(source) + detailWords(source);
  }

  /**
   * Writes the tokens that are chosen from; where the others are another text, that as well.
   * @param {Axis} axis
   * @param {Axis} others
   */
  build(axis, others) {
    const isOne = axis.edges.length === others.edges.length && String(axis.tokens) === String(others.tokens);
    const chosen = this.tokens(axis, "pick");
    this.text.replaceChildren(...chosen);
    if (!isOne) this.text.append(make("br"), ...this.tokens(others, "met"));
  }

  /** @param {Axis} axis @param {string} kind @returns {(Node | string)[]} */
  tokens(axis, kind) {
    const names = axis.words ?? axis.tokens;
    const isSpaced = names?.some((name) => name.startsWith(" ")) || names?.every((name) => visible(name).length === 1);
    return Array.from({ length: axis.edges.length - 1 }, (_, cell) => {
      const name = names ? names[axis.words ? cell : axis.edges[cell]] : String(axis.edges[cell]);
      const word = visible(name.replace(/^ +(?=.)|^##(?=.)/, ""), LONGEST);
      const token = make("span", { class: kind, "data-cell": String(cell), tabindex: "-1" }, word);
      if (kind === "pick") token.setAttribute("role", "button");
      const isApart = isSpaced ? name.startsWith(" ") : !name.startsWith("##") && !CLOSES.test(name);
      return [cell > 0 && isApart ? " " : "", token, /^\n+$/.test(name) ? make("br") : ""];
    }).flat();
  }

  /** @param {Level} level @param {number} chosen */
  paint(level, chosen) {
    const picked = [...this.text.querySelectorAll(".pick")];
    const met = [...this.text.querySelectorAll(".met")];
    picked.forEach((token, cell) => {
      token.setAttribute("aria-pressed", String(cell === chosen));
      token.setAttribute("tabindex", cell === chosen ? "0" : "-1");
    });
    const { state } = this.source;
    const colours = this.source.colours();
    const isWritten = this.source.side.promptLength !== null && !state.isReceived;
    (met.length > 0 ? met : picked).forEach((token, cell) => {
      const at = state.isReceived ? cell * level.columns + chosen : chosen * level.columns + cell;
      const pixel = pixelOf(level[state.pooling][at], colours);
      if (!(token instanceof HTMLElement)) return;
      token.style.background = css(pixel);
      token.style.color = isBright(pixel) ? "#000" : "#fff";
      token.classList.toggle("unwritten", isWritten && level.columnEdges[cell] > state.query);
    });
  }

  /** @param {Level} level */
  say(level) {
    const { source } = this;
    const words = partnersWords(source, level) + stepWords(source);
    this.says.replaceChildren(words, make("small", {}, source.nameOf(source.state.map)));
    source.tell(words);
  }

  /** @param {Event} event */
  point(event) {
    const token = event.target instanceof HTMLElement ? event.target.closest(".pick") : null;
    if (token instanceof HTMLElement) this.choose(Number(token.dataset.cell));
  }

  /** @param {number} cell */
  choose(cell) {
    const { source } = this;
    const { row, column } = source.cell;
    if (source.state.isReceived ? cell !== column : cell !== row) {
      if (source.state.isReceived) source.move(row, cell);
      else source.move(cell, column);
    }
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const tokens = [...this.text.querySelectorAll(".pick")];
    const at = tokens.indexOf(/** @type {Element} */ (event.target));
    /** @type {Record<string, number>} */
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -10, ArrowDown: 10, Home: -at, End: tokens.length - 1 - at };
    if (event.key === "PageDown") this.source.turn(1);
    else if (event.key === "PageUp") this.source.turn(-1);
    else if (event.key in moves && at >= 0) {
      const next = tokens[Math.min(tokens.length - 1, Math.max(0, at + moves[event.key]))];
      if (next instanceof HTMLElement) next.focus();
    } else return;
    event.preventDefault();
  }
}
