/** @file The statistics of every map as a table that sorts, and as files. */

import { button, Toolbar } from "./controls.js";
import { make } from "./dom.js";
import { csv, saveText } from "./save.js";
import { figure } from "./words.js";

/** @typedef {import("./source.js").Source} Source */
/** @typedef {import("./types").Statistic} Statistic */
/** @typedef {{name: string, place: string[], pattern: string, numbers: (number | null)[]}} Row */

/** A table of one row per map; used for statistics and for distances alike. */
export class FigureTable {
  /**
   * @param {Source} source
   * @param {string} file what its files are called
   */
  constructor(source, file) {
    this.source = source;
    this.file = file;
    this.sorted = { column: -1, isDown: true };
    this.note = make("p", { class: "note" });
    this.table = make("table", { class: "numbers" });
    const bar = new Toolbar([
      button("Save CSV", () => saveText(this.asCsv(), "text/csv", source.fileName("csv"))),
      button("Save JSON", () => saveText(this.asJson(), "application/json", source.fileName("json"))),
    ]);
    this.element = make("div", {}, bar.element, this.note, make("div", { class: "scroll", tabindex: "0" }, this.table));
    /** @type {Statistic[]} */
    this.statistics = [];
    /** @type {Row[]} */
    this.rows = [];
  }

  /**
   * @param {Statistic[]} statistics
   * @param {Row[]} rows
   */
  show(statistics, rows) {
    this.statistics = statistics;
    this.rows = rows;
    const hasPatterns = rows.some((row) => row.pattern);
    const titles = statistics.map((statistic, i) => this.heading(statistic, i));
    const first = make("th", { scope: "col" }, make("button", { type: "button", click: () => this.sort(-1) }, "map"));
    const pattern = hasPatterns ? [make("th", { scope: "col" }, "pattern")] : [];
    const body = this.order().map((i) => this.line(i, hasPatterns));
    this.table.replaceChildren(
      make("thead", {}, make("tr", {}, first, ...pattern, ...titles)),
      make("tbody", {}, ...body),
    );
    const chosen = statistics[this.sorted.column];
    this.note.textContent = chosen
      ? `${chosen.title}: ${chosen.formula}. ${chosen.meaning} Source: ${chosen.source}`
      : "Choose a column to sort by it and to read what it means.";
  }

  /** @param {Statistic} statistic @param {number} i @returns {HTMLElement} */
  heading(statistic, i) {
    const isChosen = this.sorted.column === i;
    const order = isChosen ? (this.sorted.isDown ? "descending" : "ascending") : "none";
    const sign = isChosen ? (this.sorted.isDown ? " ↓" : " ↑") : "";
    const press = make(
      "button",
      { type: "button", title: statistic.formula, click: () => this.sort(i) },
      statistic.title + sign,
    );
    return make("th", { scope: "col", "aria-sort": order }, press, make("small", {}, statistic.unit));
  }

  /** @param {number} i @param {boolean} hasPatterns @returns {HTMLElement} */
  line(i, hasPatterns) {
    const row = this.rows[i];
    const open = make("button", { type: "button", click: () => this.source.open(i) }, row.name);
    const cells = row.numbers.map((value) => make("td", {}, value === null ? "–" : figure(value)));
    const pattern = hasPatterns ? [make("td", { class: "word" }, row.pattern)] : [];
    const isChosen = i === this.source.state.map;
    return make("tr", { "aria-current": isChosen && "true" }, make("th", { scope: "row" }, open), ...pattern, ...cells);
  }

  /** @param {number} column */
  sort(column) {
    const isSame = this.sorted.column === column;
    this.sorted = { column, isDown: isSame ? !this.sorted.isDown : true };
    this.show(this.statistics, this.rows);
    const heads = this.table.querySelectorAll("th[aria-sort] button");
    /** @type {HTMLElement | undefined} */ (heads[column])?.focus();
  }

  /** @returns {number[]} */
  order() {
    const { column, isDown } = this.sorted;
    const order = this.rows.map((_, i) => i);
    if (column < 0) return order;
    const value = (/** @type {number} */ i) => this.rows[i].numbers[column];
    return order.sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === null || y === null) return Number(x === null) - Number(y === null);
      return isDown ? y - x : x - y;
    });
  }

  /** @returns {string} */
  asCsv() {
    const { axes } = this.source.data;
    const head = [...axes, "pattern", ...this.statistics.map(({ name }) => name)];
    return csv([head, ...this.rows.map((row) => [...row.place, row.pattern, ...row.numbers])]);
  }

  /** @returns {string} */
  asJson() {
    const { axes, title } = this.source.data;
    const maps = this.rows.map((row) => ({
      place: Object.fromEntries(axes.map((axis, i) => [axis, row.place[i]])),
      pattern: row.pattern || null,
      numbers: Object.fromEntries(this.statistics.map(({ name }, i) => [name, row.numbers[i]])),
    }));
    return JSON.stringify({ title, statistics: this.statistics, maps }, null, 1);
  }
}

/** The statistics of one side. */
export class NumbersView {
  /** @param {Source} source */
  constructor(source) {
    this.source = source;
    this.table = new FigureTable(source, "numbers");
    this.element = this.table.element;
  }

  /** Draws what is chosen. */
  async draw() {
    const { side } = this.source;
    const rows = side.maps.map(({ name, place, pattern, numbers }) => ({
      name,
      place,
      pattern: pattern?.name ?? "",
      numbers,
    }));
    this.table.show(side.statistics, rows);
    if (side.statistics.length === 0) this.table.note.textContent = "Pooled maps have no statistics of their own here.";
  }
}
