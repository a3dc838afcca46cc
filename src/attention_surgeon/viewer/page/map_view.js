/** @file The view of one map: what its cell says, the map, the legend, and what is held of it. */

import { Aside } from "./aside.js";
import { button, mapChoice, poolingChoice, scaleChoice, toggle, Toolbar, wordsChoice } from "./controls.js";
import { make } from "./dom.js";
import { legend } from "./legend.js";
import { MapPanel } from "./map.js";
import { detailWords, hiddenWords, meaningOf, sayCell, withinWords } from "./names.js";
import { savePicture, saveText } from "./save.js";
import { withError } from "./words.js";

/** @typedef {import("./source.js").Source} Source */
/** @typedef {import("./grid.js").Grid} Grid */

const HELP =
  "Arrow keys move the cell, with Shift by ten; plus, minus and 0 zoom; Page Up and Page Down change the map.";

const NARROW = 980; // as in page.css
const ASIDE = 330;

/** Shows one map. */
export class MapView {
  /** @param {Source} source */
  constructor(source) {
    this.source = source;
    const { store } = source;
    this.panel = new MapPanel(`Map of the weights. ${HELP}`, {
      move: (row, column) => source.move(row, column),
      look: (camera) => store.set({ camera }),
      turn: (by) => source.turn(by),
    });
    this.bar = new Toolbar([
      ...mapChoice(source),
      scaleChoice(store),
      ...poolingChoice(source),
      ...wordsChoice(source),
      toggle(
        "Hide the sink",
        (state) => state.hideSink,
        (hideSink) => store.set({ hideSink }),
      ),
      button("+", () => this.panel.zoom(1.6), "Zoom in"),
      button("−", () => this.panel.zoom(1 / 1.6), "Zoom out"),
      button("Fit", () => store.set({ camera: null })),
      button("PNG", () => savePicture(this.panel.canvas, source.fileName("png"))),
      button("SVG", () => saveText(this.panel.asSvg(source.ink), "image/svg+xml", source.fileName("svg"))),
    ]);
    this.says = make("p", { class: "says" });
    this.legend = make("div", { class: "legend" });
    this.note = make("p", { class: "note" });
    this.aside = new Aside(source);
    const main = make("div", { class: "main" }, this.panel.element, this.legend, this.note);
    this.beside = make("div", { class: "beside" }, main, this.aside.element);
    this.element = make("div", {}, this.bar.element, this.says, this.beside);
  }

  /** Draws what is chosen. */
  async draw() {
    const { source } = this;
    const grid = await source.grid();
    const { state, frame, entry } = source;
    if (grid.entry !== entry || state.view !== "map") return; // something else was chosen meanwhile
    this.bar.show(state);
    const picture = {
      frame,
      levels: grid.levels(state.hideSink),
      choose: (/** @type {import("./types").Level} */ level) => level[state.pooling],
      colours: source.colours(),
      hidden: state.hideSink ? source.sink : null,
      cursor: source.cell,
      camera: state.camera,
    };
    const width = this.beside.clientWidth - (innerWidth > NARROW ? ASIDE : 0);
    this.panel.draw(picture, source.ink, width, Math.max(320, innerHeight - 225));
    this.say(grid);
    this.legend.replaceChildren(legend(source.colours(), source.ink, meaningOf(frame, state.pooling)));
    this.note.textContent = hiddenWords(source) + detailWords(source);
    this.aside.draw(grid);
  }

  /** @param {Grid} grid */
  say(grid) {
    const { state, frame, cell } = this.source;
    const reading = grid.reading(cell.row, cell.column, state.pooling);
    const words = sayCell(frame, cell, state.pooling, reading.value);
    const place = `query ${frame.rowEdges[cell.row]}, key ${frame.columnEdges[cell.column]}`;
    const within = withinWords(grid, cell);
    const exactly = make(
      "small",
      {},
      `${this.source.nameOf(state.map)} · ${place} · weight ${withError(reading)}${within}`,
    );
    this.says.replaceChildren(`${words}.`, exactly);
    this.source.tell(`${words}.`);
  }
}
