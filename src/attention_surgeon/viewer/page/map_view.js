/** @file The view of one map: what its cell says, the map, the legend, and what is held of it. */

import { Aside } from "./aside.js";
import { button, mapChoice, poolingChoice, scaleChoice, toggle, Toolbar } from "./controls.js";
import { make } from "./dom.js";
import { legend } from "./legend.js";
import { MapPanel } from "./map.js";
import { detailWords, hiddenWords, meaningOf, sayCell } from "./names.js";
import { savePicture, saveText } from "./save.js";
import { withError } from "./words.js";

/** @typedef {import("./source.js").Source} Source */
/** @typedef {import("./grid.js").Grid} Grid */

const HELP = "Arrow keys move the cell, with Shift by ten; plus, minus and 0 zoom; Page Up and Page Down change the map.";

/** Shows one map. */
export class MapView {
  /** @param {Source} source */
  constructor(source) {
    this.source = source;
    const { store } = source;
    this.panel = new MapPanel(`Map of the weights. ${HELP}`, {
      move: (row, column) => store.set({ row, column }),
      look: (camera) => store.set({ camera }),
      turn: (by) => source.turn(by),
    });
    this.bar = new Toolbar([
      ...mapChoice(source),
      scaleChoice(store),
      ...poolingChoice(source),
      toggle("Hide the sink", (state) => state.hideSink, (hideSink) => store.set({ hideSink })),
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
    const main = make("div", { class: "main" }, this.says, this.panel.element, this.legend, this.note);
    this.element = make("div", {}, this.bar.element, make("div", { class: "beside" }, main, this.aside.element));
  }

  /** Draws what is chosen. */
  async draw() {
    const { source } = this;
    const grid = await source.grid();
    const { state, side, entry } = source;
    if (grid.entry !== entry || state.view !== "map") return; // something else was chosen meanwhile
    this.bar.show(state);
    const picture = {
      side,
      levels: grid.levels(state.hideSink),
      choose: (/** @type {import("./types").Level} */ level) => level[state.pooling],
      colours: source.colours(),
      hidden: state.hideSink ? entry.sink.column : null,
      cursor: { row: state.row, column: state.column },
      camera: state.camera,
    };
    this.panel.draw(picture, source.ink, Math.max(280, innerHeight - 265));
    this.say(grid);
    this.legend.replaceChildren(legend(source.colours(), source.ink, meaningOf(side, state.pooling)));
    this.note.textContent = hiddenWords(source) + detailWords(side);
    this.aside.draw(grid);
  }

  /** @param {Grid} grid */
  say(grid) {
    const { state, side, entry } = this.source;
    const reading = grid.reading(state.row, state.column, state.pooling);
    const words = sayCell(side, state, reading.value);
    const place = `query ${side.rowEdges[state.row]}, key ${side.columnEdges[state.column]}`;
    const exactly = make("small", {}, `${entry.name} · ${place} · weight ${withError(reading)}`);
    this.says.replaceChildren(`${words}.`, exactly);
    this.source.tell(`${words}.`);
  }
}
