/** @file The weights over the picture that a vision model has read: what the chosen patch gives, or what it gets. */

import { mapChoice, scaleChoice, toggle, Toolbar } from "./controls.js";
import { css, position, scaleTop } from "./colour.js";
import { contextOf, make } from "./dom.js";
import { cellOf } from "./grid.js";
import { legend } from "./legend.js";
import { detailWords, queryName } from "./names.js";
import { pixelOf } from "./paint.js";
import { partnersWords } from "./strongest.js";
import { number, visible } from "./words.js";

/** @typedef {import("./source.js").Source} Source */
/** @typedef {import("./grid.js").Grid} Grid */
/** @typedef {import("./types").Picture} Picture */
/** @typedef {import("./types").MapEntry} MapEntry */

const LARGE = 520;
const SMALL = 132;
const FAINT = 0.35; // of a weight of 0: the picture shines through
const OPAQUE = 0.85;
const MOST_HEADS = 20; // no more maps are decoded at once
const HELP = "Point at a patch, or go from patch to patch with the arrow keys; Page Up and Page Down change the map.";

/** The picture in grey, with the weights of one position over it; beside it the same of every head of the layer. */
export class PictureView {
  /** @param {Source} source */
  constructor(source) {
    this.source = source;
    const { store } = source;
    this.bar = new Toolbar([
      ...mapChoice(source),
      scaleChoice(store),
      toggle(
        "What it gets",
        (state) => state.isReceived,
        (isReceived) => store.set({ isReceived }),
      ),
      toggle(
        "Picture alone",
        (state) => state.isBare,
        (isBare) => store.set({ isBare }),
      ),
    ]);
    this.front = make("div", { class: "chips", role: "group", "aria-label": "Positions in front of the patches" });
    this.says = make("p", { class: "says" });
    this.canvas = make("canvas");
    const label = `The picture with the weights of its patches. ${HELP}`;
    this.stage = make("div", { class: "stage", tabindex: "0", role: "application", "aria-label": label }, this.canvas);
    this.heads = make("div", { class: "tiles", role: "group", "aria-label": "All heads of this layer" });
    this.legend = make("div", { class: "legend" });
    this.note = make("p", { class: "note" });
    const large = make("div", {}, this.stage, this.legend);
    this.both = make("div", { class: "pictured" }, large, this.heads);
    this.element = make("div", {}, this.bar.element, this.front, this.says, this.both, this.note);
    this.stage.addEventListener("pointermove", (event) => event.pointerType === "mouse" && this.point(event));
    this.stage.addEventListener("pointerdown", (event) => this.point(event));
    this.stage.addEventListener("keydown", (event) => this.key(event));
    /** @type {Promise<HTMLCanvasElement> | undefined} */
    this.grey = undefined;
  }

  /** @returns {Picture} */
  get picture() {
    const { picture } = this.source.side;
    if (!picture) throw new Error("this page has no picture");
    return picture;
  }

  /** @returns {number} the chosen position */
  get chosen() {
    const { state } = this.source;
    return state.isReceived ? state.key : state.query;
  }

  /** Draws what is chosen. */
  async draw() {
    const { source } = this;
    const mates = this.mates();
    const [grey, ...grids] = await Promise.all([this.inGrey(), ...mates.map((map) => source.grid(map))]);
    const { state, entry } = source;
    const own = grids[mates.indexOf(state.map)];
    if (!own || own.entry !== entry || state.view !== "picture") return; // something else was chosen meanwhile
    this.bar.show(state);
    this.showFront();
    const weights = grids.map((grid) => this.weightsOf(grid));
    const colours = { ...source.colours(), top: scaleTop(weights.reduce((most, each) => Math.max(most, ...each), 0)) };
    const width = Math.min(LARGE, this.both.clientWidth || LARGE);
    this.paint(this.canvas, grey, width, weights[mates.indexOf(state.map)], colours, state.isBare);
    this.showHeads(mates, grey, weights, colours);
    this.say(own, weights[mates.indexOf(state.map)]);
    const verb = state.isReceived ? "each patch gives" : "each patch gets";
    this.legend.replaceChildren(legend(colours, source.ink, `what ${verb}, one scale for the layer`));
    this.note.textContent = detailWords(source);
  }

  /** @returns {number[]} the maps of the same layer, the chosen one among them */
  mates() {
    const { state, side, entry } = this.source;
    const layer = String(entry.place.slice(0, -1));
    const found = side.maps.flatMap((other, i) => (String(other.place.slice(0, -1)) === layer ? [i] : []));
    return found.length <= MOST_HEADS ? found : [state.map];
  }

  /** @returns {Promise<HTMLCanvasElement>} the picture without its colours, which are those of the weights */
  inGrey() {
    this.grey ??= (async () => {
      const image = new Image();
      image.src = this.picture.image;
      await image.decode();
      const canvas = make("canvas", { width: String(image.width), height: String(image.height) });
      const context = canvas.getContext("2d");
      if (!context) throw new Error("this browser cannot draw");
      context.drawImage(image, 0, 0);
      const found = context.getImageData(0, 0, image.width, image.height);
      for (let at = 0; at < found.data.length; at += 4) {
        const [r, g, b] = found.data.subarray(at, at + 3);
        found.data.fill(0.2126 * r + 0.7152 * g + 0.0722 * b, at, at + 3);
      }
      context.putImageData(found, 0, 0);
      return canvas;
    })();
    return this.grey;
  }

  /**
   * Returns what each patch gets from the chosen position, or gives to it.
   * @param {Grid} grid
   * @returns {number[]}
   */
  weightsOf(grid) {
    const { rows, columns, inFront } = this.picture;
    const { state } = this.source;
    const level = grid.levels(false)[0];
    const { rowEdges, columnEdges } = grid.frame;
    return Array.from({ length: rows * columns }, (_, patch) => {
      const [query, key] = state.isReceived ? [inFront + patch, state.key] : [state.query, inFront + patch];
      return level[state.pooling][cellOf(rowEdges, query) * level.columns + cellOf(columnEdges, key)];
    });
  }

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLCanvasElement} grey
   * @param {number} width
   * @param {number[]} weights
   * @param {import("./paint.js").Colours} colours
   * @param {boolean} isBare
   */
  paint(canvas, grey, width, weights, colours, isBare = false) {
    const { rows, columns, inFront } = this.picture;
    const height = (width * grey.height) / grey.width;
    const context = contextOf(canvas, width, height);
    context.drawImage(grey, 0, 0, width, height);
    const [wide, high] = [width / columns, height / rows];
    const edge = (/** @type {number} */ at, /** @type {number} */ size) => Math.round(at * size);
    weights.forEach((weight, patch) => {
      if (isBare) return;
      const [column, row] = [patch % columns, Math.floor(patch / columns)];
      const [x, y] = [edge(column, wide), edge(row, high)]; // whole points, so that no seam shows between patches
      context.globalAlpha = FAINT + (OPAQUE - FAINT) * position(weight, colours.top, colours.scale);
      context.fillStyle = css(pixelOf(weight, colours));
      context.fillRect(x, y, edge(column + 1, wide) - x, edge(row + 1, high) - y);
    });
    context.globalAlpha = 1;
    const patch = this.chosen - inFront;
    if (patch < 0) return;
    context.strokeStyle = this.source.ink.cursor;
    context.lineWidth = width > SMALL ? 3 : 1.5;
    context.strokeRect((patch % columns) * wide, Math.floor(patch / columns) * high, wide, high);
  }

  /**
   * Shows every head of the layer small; a press chooses it.
   * @param {number[]} mates
   * @param {HTMLCanvasElement} grey
   * @param {number[][]} weights
   * @param {import("./paint.js").Colours} colours
   */
  showHeads(mates, grey, weights, colours) {
    const { source } = this;
    const focused = [...this.heads.children].indexOf(/** @type {Element} */ (document.activeElement));
    const tiles = mates.map((map, i) => {
      const canvas = make("canvas", {});
      this.paint(canvas, grey, SMALL, weights[i], colours);
      const name = source.side.maps[map].place.at(-1) ?? "";
      const words = make("span", {}, make("span", { class: "hidden-word" }, "head "), name);
      const tile = make("button", { type: "button", class: "tile", click: () => source.open(map) }, canvas, words);
      tile.setAttribute("aria-current", String(map === source.state.map));
      return tile;
    });
    this.heads.hidden = tiles.length < 2;
    this.heads.replaceChildren(...tiles);
    if (focused >= 0) tiles[focused]?.focus();
  }

  /** Shows a button for each position that is no patch: a class token, registers. */
  showFront() {
    const { source } = this;
    const { inFront } = this.picture;
    const names = source.side.queryTokens?.slice(0, inFront) ?? [];
    const focused = [...this.front.children].indexOf(/** @type {Element} */ (document.activeElement));
    const buttons = names.map((name, at) => {
      const button = make("button", { type: "button", click: () => this.choose(at) }, visible(name));
      button.setAttribute("aria-pressed", String(at === this.chosen));
      return button;
    });
    this.front.hidden = inFront === 0;
    this.front.replaceChildren(make("span", { class: "note" }, "or from a position that is no patch:"), ...buttons);
    if (focused > 0) buttons[focused - 1]?.focus();
  }

  /** @param {Grid} grid @param {number[]} weights */
  say(grid, weights) {
    const { source } = this;
    const { state, frame, cell } = source;
    const words = partnersWords(source, grid.levels(false)[0]);
    const sum = weights.reduce((total, weight) => total + weight, 0);
    const name = queryName(frame, cell.row);
    const share = state.isReceived ? "" : `. Of what '${name}' gives, ${number(Math.min(1, sum))} goes to patches`;
    const exactly = `${source.nameOf(state.map)} · a patch is named by its row and column${share}`;
    this.says.replaceChildren(words, make("small", {}, exactly));
    source.tell(words);
  }

  /** @param {number} position */
  choose(position) {
    const { source } = this;
    if (position !== this.chosen) source.store.set(source.state.isReceived ? { key: position } : { query: position });
  }

  /** @param {MouseEvent} event */
  point(event) {
    const { rows, columns, inFront } = this.picture;
    const box = this.canvas.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left) / box.width) * columns);
    const row = Math.floor(((event.clientY - box.top) / box.height) * rows);
    if (row < 0 || column < 0 || row >= rows || column >= columns) return;
    this.choose(inFront + row * columns + column);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const { rows, columns, inFront } = this.picture;
    const patch = Math.max(0, this.chosen - inFront);
    /** @type {Record<string, number>} */
    const moves = { ArrowLeft: patch - 1, ArrowRight: patch + 1, ArrowUp: patch - columns, ArrowDown: patch + columns };
    if (event.key === "PageDown") this.source.turn(1);
    else if (event.key === "PageUp") this.source.turn(-1);
    else if (event.key in moves) {
      const to = this.chosen < inFront ? 0 : moves[event.key];
      if (to >= 0 && to < rows * columns) this.choose(inFront + to);
    } else return;
    event.preventDefault();
  }
}
