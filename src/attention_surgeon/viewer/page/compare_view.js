/** @file Before, after and the signed difference, under one cursor; and how far each pair of maps is apart. */

import { button, mapChoice, poolingChoice, scaleChoice, Toolbar, wordsChoice } from "./controls.js";
import { scaleTop } from "./colour.js";
import { make } from "./dom.js";
import { differences } from "./grid.js";
import { legend } from "./legend.js";
import { MapPanel } from "./map.js";
import { detailWords, keyName, meaningOf, queryName } from "./names.js";
import { FigureTable } from "./numbers_view.js";
import { savePicture } from "./save.js";
import { number, signed } from "./words.js";

/** @typedef {import("./source.js").Source} Source */
/** @typedef {import("./types").Level} Level */

/** Two sides and their difference. */
export class CompareView {
  /** @param {Source} source */
  constructor(source) {
    this.source = source;
    const { store, data } = source;
    const hands = {
      move: (/** @type {number} */ row, /** @type {number} */ column) => source.move(row, column),
      look: (/** @type {import("./types").Camera | null} */ camera) => store.set({ camera }),
      turn: (/** @type {number} */ by) => source.turn(by),
    };
    const names = [...data.sides.map((side) => side.label), "difference"];
    this.panels = names.map((name) => new MapPanel(`Map of ${name}; arrow keys move the cell in all three`, hands));
    this.captions = names.map((name) => make("figcaption", {}, name));
    const figures = names.map((_, i) => make("figure", {}, this.captions[i], this.panels[i].element));
    this.bar = new Toolbar([
      ...mapChoice(source),
      scaleChoice(store),
      ...poolingChoice(source),
      ...wordsChoice(source),
      button("+", () => this.panels[2].zoom(1.6), "Zoom in"),
      button("−", () => this.panels[2].zoom(1 / 1.6), "Zoom out"),
      button("Fit", () => store.set({ camera: null })),
      button("PNG of the difference", () => savePicture(this.panels[2].canvas, source.fileName("png"))),
    ]);
    this.says = make("p", { class: "says" });
    this.legend = make("div", { class: "legend" });
    this.note = make("p", { class: "note" });
    this.table = new FigureTable(source, "distances");
    this.element = make(
      "div",
      {},
      this.bar.element,
      this.says,
      make("div", { class: "three" }, ...figures),
      this.legend,
      this.note,
      make("h2", {}, "How far apart, map by map"),
      this.table.element,
    );
  }

  /** Draws what is chosen. */
  async draw() {
    const { source } = this;
    const { map } = source.state;
    const [before, after] = await Promise.all([source.grid(map, 0), source.grid(map, 1)]);
    const { state, data } = source;
    if (state.map !== map || state.view !== "compare") return;
    this.bar.show(state);
    const apart = differences(before.level, after.level);
    const [first, second] = data.sides;
    const top = scaleTop(Math.max(before.entry.top, after.entry.top));
    const weights = { ...source.colours(), top };
    const largest = apart[0][state.pooling].reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const signs = { ...weights, meaning: /** @type {const} */ ("differences"), top: scaleTop(largest) };
    const choose = (/** @type {Level} */ level) => level[state.pooling];
    const shared = { choose, hidden: null, cursor: source.cell, camera: state.camera };
    const height = Math.max(240, Math.min(innerHeight - 330, 620));
    const width = this.panels[0].element.clientWidth;
    this.panels[0].draw(
      { ...shared, frame: before.frame, levels: before.levels(false), colours: weights },
      source.ink,
      width,
      height,
    );
    this.panels[1].draw(
      { ...shared, frame: after.frame, levels: after.levels(false), colours: weights },
      source.ink,
      width,
      height,
    );
    this.panels[2].draw({ ...shared, frame: before.frame, levels: apart, colours: signs }, source.ink, width, height);
    this.say(before, after);
    const meaning = meaningOf(before.frame, state.pooling);
    this.legend.replaceChildren(
      legend(weights, source.ink, meaning),
      legend(signs, source.ink, `${second.label} less ${first.label}`),
    );
    this.note.textContent = this.operatedWords(map) + detailWords(source);
    this.showDistances();
  }

  /**
   * @param {import("./grid.js").Grid} before
   * @param {import("./grid.js").Grid} after
   */
  say(before, after) {
    const { state, frame, cell } = this.source;
    const values = [before, after].map((grid) => grid.reading(cell.row, cell.column, state.pooling).value);
    const [query, key] = [queryName(frame, cell.row), keyName(frame, cell.column)];
    const change = signed(values[1] - values[0], true);
    const words = `'${query}' gave ${number(values[0])} of its attention to '${key}', now ${number(values[1])} (${change}).`;
    this.says.replaceChildren(words, make("small", {}, this.source.nameOf(state.map)));
    this.source.tell(words);
  }

  /**
   * Says of a map that was operated on what was done, above it and below.
   * @param {number} map
   * @returns {string}
   */
  operatedWords(map) {
    const { data } = this.source;
    const mark = this.source.isOperated(map) ? (data.operation?.mark ?? "") : "";
    this.captions[1].textContent = [data.sides[1].label, mark].filter(Boolean).join(" · ");
    return mark === "silenced"
      ? "This head is silenced: it looks where it looked, but what it gathers is set to 0. Later layers show what that changes. "
      : "";
  }

  showDistances() {
    const { comparison, sides } = this.source.data;
    if (!comparison) return;
    const rows = sides[0].maps.map(({ place }, i) => ({
      name: this.source.nameOf(i),
      place,
      pattern: "",
      numbers: comparison.rows[i],
    }));
    this.table.show(comparison.statistics, rows);
  }
}
