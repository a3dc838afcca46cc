/** @file The wall: every map as a small picture, in the order of layers and heads or sorted by a statistic. */

import { chooser, poolingChoice, scaleChoice, Toolbar, wordsChoice } from "./controls.js";
import { scaleTop } from "./colour.js";
import { make } from "./dom.js";
import { legend } from "./legend.js";
import { painted } from "./paint.js";
import { number } from "./words.js";

/** @typedef {import("./source.js").Source} Source */
/** @typedef {import("./types").MapEntry} MapEntry */

const OWN_ORDER = "";

/** All maps at once. */
export class HeadsView {
  /** @param {Source} source */
  constructor(source) {
    this.source = source;
    const { store, side } = source;
    const statistics = side.statistics.map(({ name, title }) => /** @type {const} */ ([name, title]));
    this.bar = new Toolbar([
      chooser(
        "Sort by",
        [[OWN_ORDER, "layer and head"], ...statistics],
        (state) => state.sortBy,
        (sortBy) => store.set({ sortBy }),
      ),
      chooser(
        "Scale",
        [
          ["common", "one for all"],
          ["own", "each its own"],
        ],
        (state) => (state.isCommon ? "common" : "own"),
        (scale) => store.set({ isCommon: scale === "common" }),
      ),
      scaleChoice(store),
      ...poolingChoice(source),
      ...wordsChoice(source),
    ]);
    this.wall = make("div", {
      class: "wall",
      role: "group",
      "aria-label": "All maps. Arrow keys go from map to map, Enter opens one.",
    });
    this.note = make("p", { class: "note" });
    this.legend = make("div", { class: "legend" });
    this.element = make("div", {}, this.bar.element, this.note, this.wall, this.legend);
    this.wall.addEventListener("keydown", (event) => this.key(event));
    this.seen = new IntersectionObserver((entries) => this.see(entries), { rootMargin: "200px" });
    this.shown = "";
  }

  /** Draws what is chosen. */
  async draw() {
    const { source } = this;
    const { state } = source;
    this.bar.show(state);
    const { sortBy, scale, pooling, side, isCommon, isByWord } = state;
    const shown = JSON.stringify([sortBy, scale, pooling, side, isCommon, isByWord, source.ground]);
    if (shown !== this.shown) this.build();
    this.shown = shown;
    for (const tile of this.tiles()) {
      tile.tabIndex = tile.dataset.map === String(state.map) ? 0 : -1;
      tile.setAttribute("aria-current", String(tile.dataset.map === String(state.map)));
    }
    const top = isCommon ? this.commonTop() : 1;
    const which = isCommon ? "one scale for all maps" : "each map on a scale of its own, as parts of its largest";
    const what = source.side.frames.every(({ block }) => block === 1) ? "weight" : `${pooling} weight of a cell`;
    this.legend.replaceChildren(legend({ ...source.colours(), top }, source.ink, `${what}, ${which}`));
  }

  /** @returns {number} where the colours of all maps end */
  commonTop() {
    return scaleTop(this.source.side.maps.reduce((most, { top }) => Math.max(most, top), 0));
  }

  build() {
    const { state, side } = this.source;
    const place = side.statistics.findIndex(({ name }) => name === state.sortBy);
    const order = side.maps.map((_, i) => i);
    if (place >= 0)
      order.sort((a, b) => (side.maps[b].numbers[place] ?? -Infinity) - (side.maps[a].numbers[place] ?? -Infinity));
    this.seen.disconnect();
    this.wall.replaceChildren(
      ...(place < 0 ? this.rows(order) : [make("div", { class: "tiles" }, ...order.map((i) => this.tile(i, place)))]),
    );
    this.paintWhatIsReady();
    const statistic = side.statistics[place];
    this.note.textContent = statistic ? `${statistic.title}: ${statistic.formula}. ${statistic.meaning}` : "";
  }

  /**
   * Returns one row of tiles for each layer, its heads gathered under their key/value head.
   * @param {number[]} order
   * @returns {HTMLElement[]}
   */
  rows(order) {
    const { side, data } = this.source;
    const rows = Map.groupBy(order, (i) => side.maps[i].place.slice(0, -1).join(", "));
    return [...rows].map(([layer, maps]) => {
      const axes = data.axes.slice(0, -1);
      const name =
        layer &&
        make(
          "h2",
          {},
          layer
            .split(", ")
            .map((at, i) => `${axes[i]} ${at}`)
            .join(", "),
        );
      return make("section", { class: "layer" }, name, make("div", { class: "tiles" }, ...this.groups(maps)));
    });
  }

  /** @param {number[]} maps one map for each head @returns {HTMLElement[]} */
  groups(maps) {
    const { side } = this.source;
    if (side.maps[maps[0]].group === null) return maps.map((i) => this.tile(i, -1));
    const groups = Map.groupBy(maps, (i) => side.maps[i].group);
    return [...groups].map(([group, members]) => {
      const name = `key/value head ${group}`;
      const tiles = make("div", { class: "tiles" }, ...members.map((i) => this.tile(i, -1)));
      return make("div", { class: "group", role: "group", "aria-label": name }, make("span", {}, name), tiles);
    });
  }

  /**
   * @param {number} map
   * @param {number} place of the statistic that is shown; -1: none
   * @returns {HTMLButtonElement}
   */
  tile(map, place) {
    const { side } = this.source;
    const entry = side.maps[map];
    const value = place < 0 ? null : entry.numbers[place];
    const caption = place < 0 ? (entry.place.at(-1) ?? "") : entry.place.join("·");
    const words = [caption, value === null ? "" : number(value)].filter(Boolean).join("  ");
    const pattern = entry.pattern ? entry.pattern.title.toLowerCase() : "";
    const isOperated = this.source.isOperated(map);
    const mark = isOperated ? (this.source.data.operation?.mark ?? "") : "";
    const said = value === null ? "" : `, ${side.statistics[place].title} ${number(value)}`;
    const title = `${this.source.nameOf(map)}${pattern && `, ${pattern}`}${said}`;
    const tile = make(
      "button",
      {
        type: "button",
        class: "tile",
        title,
        click: () => this.source.openAtItsBest(map),
      },
      make("canvas", { width: "1", height: "1" }),
      make("span", { class: "hidden-word" }, `${entry.name}: `),
      make("span", {}, words),
      ...[pattern, mark].filter(Boolean).map((said) => make("small", { class: said === mark ? "mark" : false }, said)),
    );
    tile.dataset.map = String(map);
    if (isOperated) tile.dataset.operated = "true";
    this.seen.observe(tile);
    return tile;
  }

  /** @returns {HTMLElement[]} */
  tiles() {
    return [...this.wall.querySelectorAll(".tile")].filter((tile) => tile instanceof HTMLElement);
  }

  /** @param {IntersectionObserverEntry[]} entries */
  see(entries) {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      this.seen.unobserve(target);
      void this.paint(/** @type {HTMLElement} */ (target));
    }
  }

  /** Paints at once what is decoded, and the others while nothing else is to be done: a page may be printed. */
  paintWhatIsReady() {
    const waiting = this.tiles().filter((tile) => {
      const level = this.source.thumbAtOnce(Number(tile.dataset.map));
      if (level) this.fill(tile, level);
      return !level;
    });
    const next = async () => {
      const tile = waiting.shift();
      if (!tile?.isConnected) return;
      if (!tile.dataset.drawn) await this.paint(tile);
      idle(() => void next());
    };
    idle(() => void next());
  }

  /** @param {HTMLElement} tile */
  async paint(tile) {
    this.fill(tile, await this.source.thumb(Number(tile.dataset.map)));
  }

  /** @param {HTMLElement} tile @param {import("./types").Level} level */
  fill(tile, level) {
    const { source } = this;
    const { state, side } = source;
    const entry = side.maps[Number(tile.dataset.map)];
    const colours = { ...source.colours(entry), top: state.isCommon ? this.commonTop() : entry.top };
    const canvas = tile.querySelector("canvas");
    const part = { left: 0, top: 0, width: level.columns, height: level.rows };
    if (!canvas) return;
    canvas.width = level.columns;
    canvas.height = level.rows;
    canvas.getContext("2d")?.putImageData(painted(level[state.pooling], level.columns, part, colours), 0, 0);
    tile.dataset.drawn = "true";
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const tiles = this.tiles();
    const at = tiles.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    if (at < 0) return;
    const top = tiles[at].offsetTop;
    const across = Math.max(1, tiles.filter((tile) => tile.offsetTop === top).length);
    /** @type {Record<string, number>} */
    const moves = {
      ArrowLeft: -1,
      ArrowRight: 1,
      ArrowUp: -across,
      ArrowDown: across,
      Home: -at,
      End: tiles.length - 1 - at,
    };
    if (!(event.key in moves)) return;
    event.preventDefault();
    const next = tiles[Math.min(tiles.length - 1, Math.max(0, at + moves[event.key]))];
    tiles[at].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}

/** @param {() => void} work */
function idle(work) {
  if ("requestIdleCallback" in globalThis) requestIdleCallback(work);
  else setTimeout(work, 20);
}
