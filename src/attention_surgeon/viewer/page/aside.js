/** @file What stands beside the map: the strongest partners of the chosen tokens, and the numbers of the head. */

import { make } from "./dom.js";
import { keyName, queryName } from "./names.js";
import { strongestColumns, strongestRows } from "./strongest.js";
import { figure, number } from "./words.js";

/** @typedef {import("./source.js").Source} Source */
/** @typedef {import("./grid.js").Grid} Grid */

const COUNT = 6;

/** The words beside a map; a click on a partner moves the cursor there. */
export class Aside {
  /** @param {Source} source */
  constructor(source) {
    this.source = source;
    this.element = make("aside", { "aria-label": "About this cell and this map" });
  }

  /** @param {Grid} grid */
  draw(grid) {
    const { source } = this;
    const { state, frame, entry, cell: chosen } = source;
    const level = grid.levels(state.hideSink)[0];
    const values = level[state.pooling];
    const { row, column } = chosen;
    const given = strongestColumns(values, level, row, COUNT).map(({ cell, weight }) =>
      this.partner(keyName(frame, cell), weight, entry.top, () => source.move(row, cell)),
    );
    const taken = strongestRows(values, level, column, COUNT).map(({ cell, weight }) =>
      this.partner(queryName(frame, cell), weight, entry.top, () => source.move(cell, column)),
    );
    this.element.replaceChildren(
      section(`'${queryName(frame, row)}' gives most to`, given),
      section(`'${keyName(frame, column)}' gets most from`, taken),
      ...this.about(),
    );
  }

  /**
   * @param {string} name
   * @param {number} weight
   * @param {number} top
   * @param {() => void} go
   * @returns {HTMLElement}
   */
  partner(name, weight, top, go) {
    const bar = make("span", { class: "bar-of" });
    bar.style.width = `${Math.max(1, (100 * weight) / (top || 1))}%`;
    const words = make("bdi", {}, name);
    return make(
      "li",
      {},
      make("button", { type: "button", click: go }, bar, words, make("span", { class: "figure" }, number(weight))),
    );
  }

  /** @returns {HTMLElement[]} */
  about() {
    const { side, entry } = this.source;
    const rows = side.statistics.flatMap((statistic, i) => {
      const value = entry.numbers[i];
      if (value === null) return [];
      return [
        make(
          "div",
          { title: `${statistic.formula}. ${statistic.meaning}` },
          make("dt", {}, statistic.title),
          make("dd", {}, figure(value)),
        ),
      ];
    });
    if (rows.length === 0) return [];
    const pattern = entry.pattern ? `, pattern: ${entry.pattern.title.toLowerCase()}` : "";
    return [make("h2", {}, `${entry.name}${pattern}`), make("dl", { class: "figures" }, ...rows)];
  }
}

/** @param {string} title @param {HTMLElement[]} items @returns {HTMLElement} */
function section(title, items) {
  const list = items.length ? make("ol", { class: "partners" }, ...items) : make("p", { class: "note" }, "nobody");
  return make("section", {}, make("h2", {}, title), list);
}
