/** @file What the views draw from: the document, what is chosen, decoded maps, and the colours of the ground. */

import { scaleTop } from "./colour.js";
import { make } from "./dom.js";
import { decoded } from "./grid.js";
import { Store } from "./state.js";

/** @typedef {import("./types").PageDocument} PageDocument */
/** @typedef {import("./types").State} State */
/** @typedef {import("./types").Side} Side */
/** @typedef {import("./types").MapEntry} MapEntry */
/** @typedef {import("./grid.js").Grid} Grid */
/** @typedef {import("./axes.js").Ink} Ink */
/** @typedef {import("./types").Level} Level */

const MOST_KEPT = 24;
const SMALL = 128;

/** Everything a view needs; the same for a file and for a live table, which replaces the document. */
export class Source {
  /** @param {PageDocument} data */
  constructor(data) {
    this.data = data;
    this.store = new Store(beginning(data));
    /** @type {Map<string, Promise<Grid>>} */
    this.grids = new Map();
    /** @type {Map<string, Promise<Level>>} */
    this.thumbs = new Map();
    this.live = make("div", { class: "hidden-word", "aria-live": "polite", role: "status" });
  }

  /** @returns {State} */
  get state() {
    return this.store.state;
  }

  /** @returns {Side} */
  get side() {
    return this.data.sides[this.state.side];
  }

  /** @returns {MapEntry} */
  get entry() {
    return this.side.maps[this.state.map];
  }

  /**
   * Takes a new document with the same views, as a live table sends it.
   * @param {PageDocument} data
   */
  replace(data) {
    this.data = data;
    this.grids.clear();
    this.thumbs.clear();
    const { view, theme, scale, pooling } = this.state;
    this.store.set({ ...beginning(data), view, theme, scale, pooling });
  }

  /**
   * Returns a decoded map; the last ones are kept.
   * @param {number} [map]
   * @param {number} [side]
   * @returns {Promise<Grid>}
   */
  grid(map = this.state.map, side = this.state.side) {
    const name = `${side} ${map}`;
    const found = this.grids.get(name) ?? decoded(this.data.sides[side], this.data.sides[side].maps[map]);
    this.grids.delete(name); // and set again: the last one used stands last
    this.grids.set(name, found);
    if (this.grids.size > MOST_KEPT) this.grids.delete(this.grids.keys().next().value ?? "");
    return found;
  }

  /**
   * Returns a small picture of a map, kept for all maps.
   * @param {number} map
   * @param {number} [side]
   * @returns {Promise<Level>}
   */
  thumb(map, side = this.state.side) {
    const name = `${side} ${map}`;
    const found = this.thumbs.get(name) ?? decoded(this.data.sides[side], this.data.sides[side].maps[map]).then(small);
    this.thumbs.set(name, found);
    return found;
  }

  /**
   * Goes to another map.
   * @param {number} by how many further
   */
  turn(by) {
    const count = this.side.maps.length;
    this.store.set({ map: (this.state.map + by + count) % count });
  }

  /**
   * Says something to those who listen to the page.
   * @param {string} words
   */
  tell(words) {
    if (this.live.textContent !== words) this.live.textContent = words;
  }

  /**
   * Returns a name for a file that is saved.
   * @param {string} ending
   * @returns {string}
   */
  fileName(ending) {
    const words = `${this.data.title} ${this.entry.name}`.normalize("NFKD").toLowerCase();
    const plain = words.replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 60);
    return `${plain || "attention"}.${ending}`;
  }

  /** @returns {"light" | "dark"} */
  get ground() {
    const { theme } = this.state;
    if (theme !== "auto") return theme;
    return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  }

  /** @returns {Ink} */
  get ink() {
    const style = getComputedStyle(document.documentElement);
    const of = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
    return {
      background: of("--ground"),
      ink: of("--ink"),
      muted: of("--muted"),
      line: of("--line"),
      cursor: of("--cursor"),
      font: of("--font"),
    };
  }

  /**
   * Returns the colours of a map's weights.
   * @param {MapEntry} [entry]
   * @returns {import("./paint.js").Colours}
   */
  colours(entry = this.entry) {
    const { scale, hideSink } = this.state;
    const top = scaleTop(hideSink ? entry.sink.topElsewhere : entry.top);
    return { meaning: "weights", ground: this.ground, top, scale };
  }
}

/** @param {PageDocument} data @returns {State} */
function beginning(data) {
  return {
    view: data.sides.length > 1 ? "compare" : "map",
    side: 0,
    map: 0,
    row: 0,
    column: 0,
    pooling: "largest",
    scale: "linear",
    hideSink: false,
    theme: "auto",
    sortBy: "",
    camera: null,
  };
}

/** @param {Grid} grid @returns {Level} */
function small(grid) {
  const levels = grid.levels(false);
  return levels.find((level) => level.rows <= SMALL && level.columns <= SMALL) ?? levels[0];
}
