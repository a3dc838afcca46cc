/** @file The view of one map: choices above, the map, what its cell says, the legend and what is held of it. */

import { legend } from "./legend.js";
import { chooser, make, toggle } from "./dom.js";
import { labelOf } from "./axes.js";
import { MapPanel } from "./map.js";
import { counted, number, percent, sentence, visible, withError } from "./words.js";

/** @typedef {import("./source.js").Source} Source */
/** @typedef {import("./grid.js").Grid} Grid */

/** Shows one map. */
export class MapView {
  /** @param {Source} source */
  constructor(source) {
    this.source = source;
    this.panel = new MapPanel("Map of the weights", {
      move: (row, column) => source.store.set({ row, column }),
      look: (camera) => source.store.set({ camera }),
    });
    this.says = make("p", { class: "says" });
    this.live = make("div", { class: "hidden-word", "aria-live": "polite", role: "status" });
    this.legend = make("div", { class: "legend" });
    this.note = make("p", { class: "note" });
    this.choices = make("div", { class: "bar" });
    this.element = make("div", {}, this.choices, this.says, this.live, this.panel.element, this.legend, this.note);
  }

  /** Draws what is chosen. */
  async draw() {
    const { source } = this;
    const grid = await source.grid();
    const { state, side, entry } = source;
    if (grid.entry !== entry) return; // another map was chosen meanwhile
    this.choices.replaceChildren(...this.buttons());
    const height = Math.max(260, Math.min(innerHeight - 250, 1100));
    const picture = {
      side,
      levels: grid.levels(state.hideSink),
      choose: (/** @type {import("./types").Level} */ level) => level[state.pooling],
      colours: source.colours(),
      hidden: state.hideSink ? entry.sink.column : null,
      cursor: { row: state.row, column: state.column },
      camera: state.camera,
    };
    this.panel.draw(picture, source.ink, height);
    this.say(grid);
    this.legend.replaceChildren(legend(source.colours(), source.ink, meaningOf(side, state.pooling)));
    this.note.textContent = `${hiddenWords(source)}${detailWords(side)}`;
    this.element.dataset.drawn = entry.name;
  }

  /** @param {Grid} grid */
  say(grid) {
    const { state, side } = this.source;
    const reading = grid.reading(state.row, state.column, state.pooling);
    const [query, key] = this.names(state.row, state.column);
    const words = sayCell(side, state, query, key, reading.value);
    const place = `query ${side.rowEdges[state.row]}, key ${side.columnEdges[state.column]}`;
    this.says.replaceChildren(`${words}.`, make("small", {}, `${this.source.entry.name} · ${place} · ${withError(reading)}`));
    if (this.live.textContent !== words) this.live.textContent = words;
  }

  /** @param {number} row @param {number} column @returns {[string, string]} */
  names(row, column) {
    const { side } = this.source;
    return [
      nameOf(side.queryTokens, side.rowEdges, row, "query"),
      nameOf(side.keyTokens, side.columnEdges, column, "key"),
    ];
  }

  /** @returns {HTMLElement[]} */
  buttons() {
    const { source } = this;
    const { state, side } = source;
    const set = source.store.set.bind(source.store);
    const maps = side.maps.map((entry, i) => /** @type {const} */ ([String(i), entry.name]));
    const made = [
      chooser("Map", maps, String(state.map), (value) => set({ map: Number(value) })),
      chooser("Colours", [["linear", "linear"], ["log", "logarithmic"]], state.scale, (value) =>
        set({ scale: value === "log" ? "log" : "linear" })),
      toggle("Hide the sink", state.hideSink, (hideSink) => set({ hideSink }), "Leave out the key that gets most"),
      make("button", { type: "button", "aria-label": "Zoom in", click: () => this.panel.zoom(1.6) }, "+"),
      make("button", { type: "button", "aria-label": "Zoom out", click: () => this.panel.zoom(1 / 1.6) }, "−"),
      make("button", { type: "button", click: () => set({ camera: null }) }, "Fit"),
    ];
    return made;
  }
}

/**
 * @param {string[] | null} tokens
 * @param {number[]} edges
 * @param {number} cell
 * @param {string} axis
 * @returns {string}
 */
export function nameOf(tokens, edges, cell, axis) {
  if (!tokens) return `${axis} ${labelOf(null, edges, cell)}`;
  return visible(tokens[edges[cell]]);
}

/**
 * @param {import("./types").Side} side
 * @param {import("./types").State} state
 * @param {string} query
 * @param {string} key
 * @param {number} value
 * @returns {string}
 */
export function sayCell(side, state, query, key, value) {
  const rows = side.rowEdges[state.row + 1] - side.rowEdges[state.row];
  const columns = side.columnEdges[state.column + 1] - side.columnEdges[state.column];
  if (rows * columns === 1) return sentence(query, key, value);
  const which = state.pooling === "largest" ? "the largest weight is" : "the mean weight is";
  return `From '${query}' (${counted(rows, "query", "queries")}) to '${key}' (${counted(columns, "key")}) ${which} ${number(value)}`;
}

/** @param {import("./types").Side} side @param {import("./types").Pooling} pooling @returns {string} */
export function meaningOf(side, pooling) {
  if (side.detail.block === 1) return "weight";
  return `${pooling === "largest" ? "largest" : "mean"} weight of ${side.detail.block} × ${side.detail.block}`;
}

/** @param {Source} source @returns {string} */
function hiddenWords({ state, side, entry }) {
  if (!state.hideSink) return "";
  const name = nameOf(side.keyTokens, side.columnEdges, entry.sink.column, "key");
  return `Hidden: '${name}', which gets ${percent(entry.sink.share)} of the attention of this map. `;
}

/** @param {import("./types").Side} side @returns {string} */
export function detailWords(side) {
  const { detail } = side;
  if (detail.exact) return "Every weight is held exactly (float32).";
  const cells = `${side.rowEdges.length - 1} × ${side.columnEdges.length - 1} cells`;
  const block = detail.block === 1 ? "one for each weight" : `each the largest and the mean of ${detail.block} × ${detail.block} weights`;
  const steps = detail.fewestSteps === detail.mostSteps ? `${detail.mostSteps}` : `${detail.fewestSteps} to ${detail.mostSteps}`;
  const strongest = detail.strongest
    ? ` The ${counted(detail.strongest, "largest weight", "largest weights")} of each query ${detail.strongest === 1 ? "is" : "are"} held to five digits.`
    : "";
  return `Every map holds ${cells}, ${block}, rounded to ${steps} steps of its largest; the error of a cell stands beside its number.${strongest}`;
}
