/** @file What the views draw from: the document, what is chosen, decoded maps, and the colours of the ground. */

import { scaleTop } from "./colour.js";
import { make } from "./dom.js";
import { cellOf, decoded, gridOfWords } from "./grid.js";
import { Store } from "./state.js";
import { wordFrame } from "./whole_words.js";

/** @typedef {import("./types").PageDocument} PageDocument */
/** @typedef {import("./types").State} State */
/** @typedef {import("./types").Side} Side */
/** @typedef {import("./types").MapEntry} MapEntry */
/** @typedef {import("./grid.js").Grid} Grid */
/** @typedef {import("./axes.js").Ink} Ink */
/** @typedef {import("./types").Level} Level */
/** @typedef {import("./types").Frame} Frame */

const MOST_KEPT = 24;
const SMALL = 128;
const LONG = 64; // from here on most weights are so small that linear colours leave a map blank

/** Everything a view needs; the same for a file and for a live table. */
export class Source {
  /** @param {PageDocument} data */
  constructor(data) {
    this.data = data;
    this.store = new Store(beginning(data));
    /** @type {Map<string, Promise<Grid>>} */
    this.grids = new Map();
    /** @type {Map<string, Promise<Level>>} */
    this.thumbs = new Map();
    /** @type {Map<string, Level>} what is decoded of them, at hand at once when the page is printed */
    this.ready = new Map();
    this.isPrinted = false;
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

  /** @returns {Frame} */
  get frame() {
    return this.frameOf(this.state.map, this.state.side);
  }

  /** @returns {boolean} whether words are shown as one; the five steps are those of tokens */
  get isByWord() {
    return this.state.isByWord && this.state.view !== "steps";
  }

  /** @returns {boolean} whether there are words of several tokens that can be shown as one */
  get hasWords() {
    return this.data.sides.some((side) => side.frames.some((_, i) => wordFrame(tokensOf(side, i)) !== null));
  }

  /** @param {number} map @param {number} side @returns {Frame} */
  frameOf(map, side) {
    const shown = this.data.sides[side];
    const frame = tokensOf(shown, shown.maps[map].frame);
    return (this.isByWord ? wordFrame(frame) : null) ?? frame;
  }

  /** @returns {number} the column of cells that gets most */
  get sink() {
    const { frame, entry } = this;
    return frame.keyWords ? cellOf(frame.columnEdges, entry.sink.column) : entry.sink.column;
  }

  /**
   * Returns what a map is called, with what was done to it.
   * @param {number} map
   * @returns {string}
   */
  nameOf(map) {
    const { name } = this.side.maps[map];
    return this.isOperated(map) ? `${name} · ${this.data.operation?.mark}` : name;
  }

  /** @param {number} map @returns {boolean} */
  isOperated(map) {
    return this.data.operation?.maps.includes(map) ?? false;
  }

  /** @returns {{row: number, column: number}} the cell of the chosen query and key */
  get cell() {
    const { rowEdges, columnEdges } = this.frame;
    return { row: cellOf(rowEdges, this.state.query), column: cellOf(columnEdges, this.state.key) };
  }

  /**
   * Chooses the query and the key at which a cell begins.
   * @param {number} row
   * @param {number} column
   */
  move(row, column) {
    const { rowEdges, columnEdges } = this.frame;
    this.store.set({ query: rowEdges[row], key: columnEdges[column] });
  }

  /**
   * Chooses a map; a camera over cells of another size would look elsewhere.
   * @param {number} map
   */
  open(map) {
    const isAlike = this.side.maps[map].frame === this.entry.frame;
    this.store.set({ map, camera: isAlike ? this.state.camera : null });
  }

  /**
   * Chooses a map, and in it the cell that stands out most.
   * @param {number} map
   */
  openAtItsBest(map) {
    const [query, key] = this.side.maps[map].start;
    this.store.set({ map, query, key, view: this.side.picture ? "picture" : "map", camera: null });
  }

  /**
   * Returns a decoded map; the last ones are kept.
   * @param {number} [map]
   * @param {number} [side]
   * @returns {Promise<Grid>}
   */
  grid(map = this.state.map, side = this.state.side) {
    const name = `${side} ${map} ${this.isByWord}`;
    const found = this.grids.get(name) ?? this.decoded(map, side);
    this.grids.delete(name); // and set again: the last one used stands last
    this.grids.set(name, found);
    if (this.grids.size > MOST_KEPT) this.grids.delete(this.grids.keys().next().value ?? "");
    return found;
  }

  /** @param {number} map @param {number} side @returns {Promise<Grid>} */
  async decoded(map, side) {
    const { [side]: shown } = this.data.sides;
    const frame = this.frameOf(map, side);
    const grid = await decoded(tokensOf(shown, shown.maps[map].frame), shown.maps[map]);
    return frame.queryWords ? gridOfWords(grid, frame) : grid;
  }

  /**
   * Returns a small picture of a map, kept for all maps.
   * @param {number} map
   * @param {number} [side]
   * @returns {Promise<Level>}
   */
  thumb(map, side = this.state.side) {
    const name = `${side} ${map} ${this.isByWord}`;
    const keep = (/** @type {Grid} */ grid) => {
      const level = small(grid);
      this.ready.set(name, level);
      return level;
    };
    const found = this.thumbs.get(name) ?? this.decoded(map, side).then(keep);
    this.thumbs.set(name, found);
    return found;
  }

  /**
   * Returns the small picture of a map where it is decoded already.
   * @param {number} map
   * @returns {Level | undefined}
   */
  thumbAtOnce(map) {
    return this.ready.get(`${this.state.side} ${map} ${this.isByWord}`);
  }

  /**
   * Goes to another map.
   * @param {number} by how many further
   */
  turn(by) {
    const count = this.side.maps.length;
    this.open((this.state.map + by + count) % count);
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
   * @param {string} [what] what of the page it holds
   * @returns {string}
   */
  fileName(ending, what = this.entry.name) {
    const words = `${this.data.title} ${what}`.normalize("NFKD").toLowerCase();
    const plain = words
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^-|-$/g, "")
      .slice(0, 60);
    return `${plain || "attention"}.${ending}`;
  }

  /** @returns {"light" | "dark"} */
  get ground() {
    const { theme } = this.state;
    if (this.isPrinted) return "light";
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
    const top = this.isByWord ? 1 : scaleTop(hideSink ? entry.sink.topElsewhere : entry.top);
    return { meaning: "weights", ground: this.ground, top, scale };
  }
}

/**
 * Returns cells of one size with the tokens of their side.
 * @param {Side} side
 * @param {number} frame
 * @returns {Frame}
 */
function tokensOf(side, frame) {
  const { numQueries, numKeys, queryTokens, keyTokens } = side;
  return { ...side.frames[frame], numQueries, numKeys, queryTokens, keyTokens };
}

/** @param {PageDocument} data @returns {State} */
function beginning(data) {
  const { maps } = data.sides[0];
  const map = maps.reduce((best, { start }, i) => (start[2] > maps[best].start[2] ? i : best), 0);
  const [query, key] = maps[map].start;
  const alone = maps.length === 1 ? "map" : "heads";
  return {
    view: data.sides.length > 1 ? "compare" : alone,
    side: 0,
    ...(data.comparison?.start ?? { map, query, key }),
    pooling: "largest",
    scale: Math.max(data.sides[0].numQueries, data.sides[0].numKeys) > LONG ? "log" : "linear",
    hideSink: false,
    theme: "auto",
    sortBy: "",
    isCommon: true,
    isByWord: false,
    hasAllLines: false,
    others: [],
    isReceived: false,
    isBare: false,
    camera: null,
  };
}

/** @param {Grid} grid @returns {Level} */
function small(grid) {
  const levels = grid.levels(false);
  return levels.find((level) => level.rows <= SMALL && level.columns <= SMALL) ?? levels[0];
}
