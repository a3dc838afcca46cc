/** @file The five steps from a query and a key to what the value adds to the output, number by number. */

import { pairOf } from "./arithmetic.js";
import { chooser, mapChoice, Toolbar } from "./controls.js";
import { make } from "./dom.js";
import { keyName, queryName } from "./names.js";
import { sentence, signed } from "./words.js";

/** @typedef {import("./source.js").Source} Source */
/** @typedef {import("./arithmetic.js").Pair} Pair */
/** @typedef {import("./types").StepsEntry} StepsEntry */

const NOT_HELD =
  "The steps are not in this page: they need a trace (query, key and value), small enough for the page. " +
  "A trace of fewer tokens, or of one head, view(trace.head(0)), has them.";

/** The steps of one pair. */
export class StepsView {
  /** @param {Source} source */
  constructor(source) {
    this.source = source;
    const { store, side } = source;
    const isHeld = side.maps.some((entry) => entry.call);
    const named = (/** @type {number} */ count, /** @type {(at: number) => string} */ name) =>
      Array.from({ length: isHeld ? count : 0 }, (_, i) => /** @type {const} */ ([String(i), `${i} ${name(i)}`]));
    const queries = named(side.numQueries, (i) => queryName(source.frame, i));
    const keys = named(side.numKeys, (i) => keyName(source.frame, i));
    this.bar = new Toolbar([
      ...mapChoice(source),
      ...(isHeld
        ? [
            chooser(
              "From",
              queries,
              (state) => String(state.query),
              (query) => store.set({ query: Number(query) }),
            ),
            chooser(
              "to",
              keys,
              (state) => String(state.key),
              (key) => store.set({ key: Number(key) }),
            ),
          ]
        : []),
    ]);
    this.body = make("div", { class: "steps" });
    this.element = make("div", {}, this.bar.element, this.body);
  }

  /** Draws what is chosen. */
  async draw() {
    const { source } = this;
    const { entry, side } = source;
    this.bar.show(source.state);
    if (!entry.call) {
      this.body.replaceChildren(make("p", { class: "note" }, NOT_HELD));
      return;
    }
    const grid = await source.grid();
    const { query: row, key: column } = source.state;
    const { row: line, column: place } = source.cell;
    const weight = grid.reading(line, place, "largest").value;
    const pair = await pairOf(entry.call, row, column, side.numKeys, weight);
    const { state, frame } = source;
    if (source.entry !== entry || state.query !== row || state.key !== column) return;
    const [query, key] = [queryName(frame, line), keyName(frame, place)];
    const words = `${sentence(query, key, weight)}.`;
    this.body.replaceChildren(
      make("p", { class: "says" }, words, make("small", {}, entry.name)),
      ...this.steps(entry.call, pair, query, key),
    );
    source.tell(words);
  }

  /**
   * @param {StepsEntry} steps
   * @param {Pair} pair
   * @param {string} query
   * @param {string} key
   * @returns {HTMLElement[]}
   */
  steps(steps, pair, query, key) {
    const [score, scale, mask, normalise, combine] = steps.formulas.slice(3);
    const sum = pair.terms.reduce((total, { product }) => total + product, 0);
    const softmax = pair.total > 0 ? pair.share / pair.total : 0;
    return [
      step(
        1,
        "Score",
        score,
        `The ${pair.terms.length} products of '${query}' and '${key}' add up to ${signed(sum)}.`,
        differs("score", pair.score, sum, steps.functions[0]),
        termTable(pair.terms),
      ),
      step(2, "Scale", scale, `${signed(pair.score)} becomes ${signed(pair.scaled)}.`),
      step(
        3,
        "Mask",
        mask,
        pair.masked === -Infinity
          ? `'${query}' may not attend to '${key}': the score is set to −∞.`
          : pair.masked === pair.scaled
            ? `'${query}' may attend to '${key}': the score stays ${signed(pair.masked)}.`
            : `A bias is added: the score becomes ${signed(pair.masked)}.`,
      ),
      step(
        4,
        "Normalise",
        normalise,
        `e to the power of ${signed(pair.masked)} − ${signed(pair.largest)} (the largest score of the row) is ${signed(pair.share)}; ` +
          `divided by ${signed(pair.total)}, the sum over all keys, this is ${signed(softmax)}.`,
        differs("weight", pair.weight, softmax, steps.functions[3]),
      ),
      step(
        5,
        "Combine",
        combine,
        `${signed(pair.weight)} of the value of '${key}' goes into the output of '${query}'.`,
        "",
        partTable(pair.parts),
      ),
    ];
  }
}

/**
 * @param {number} place
 * @param {string} name
 * @param {string} formula
 * @param {string} words
 * @param {string} [warning]
 * @param {HTMLElement} [table]
 * @returns {HTMLElement}
 */
function step(place, name, formula, words, warning = "", table) {
  const head = make("h2", {}, `${place} ${name} `, make("code", {}, formula));
  const section = make("section", { class: "step" }, head, make("p", {}, words));
  if (warning) section.append(make("p", { class: "warning" }, warning));
  if (table) section.append(table);
  return section;
}

/**
 * @param {string} what
 * @param {number} recorded
 * @param {number} computed
 * @param {string} name of the function that ran
 * @returns {string}
 */
function differs(what, recorded, computed, name) {
  if (Math.abs(recorded - computed) <= 1e-3 * Math.max(1, Math.abs(computed))) return "";
  return `The ${what} that was recorded is ${signed(recorded)}: this call ran ${name}.`;
}

/** @param {Pair["terms"]} terms @returns {HTMLElement} */
function termTable(terms) {
  const most = Math.max(...terms.map(({ product }) => Math.abs(product)), 1e-30);
  const rows = terms.map(({ query, key, product }, i) => [
    String(i),
    signed(query),
    signed(key),
    signed(product),
    bar(product, most),
  ]);
  return table(["i", "query", "key", "product", ""], rows);
}

/** @param {Pair["parts"]} parts @returns {HTMLElement} */
function partTable(parts) {
  const most = Math.max(
    ...parts.map(({ output, contribution }) => Math.max(Math.abs(output), Math.abs(contribution))),
    1e-30,
  );
  const rows = parts.map(({ value, contribution, output }, i) => [
    String(i),
    signed(value),
    signed(contribution),
    signed(output),
    bar(contribution, most),
  ]);
  return table(["i", "value", "contribution", "output", ""], rows);
}

/** @param {string[]} heads @param {(string | HTMLElement)[][]} rows @returns {HTMLElement} */
function table(heads, rows) {
  const head = make("tr", {}, ...heads.map((name) => (name ? make("th", { scope: "col" }, name) : make("td"))));
  const body = rows.map((row) => make("tr", {}, ...row.map((cell) => make("td", {}, cell))));
  return make(
    "div",
    { class: "scroll", tabindex: "0" },
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)),
  );
}

/** @param {number} value @param {number} most @returns {HTMLElement} */
function bar(value, most) {
  const inner = make("span", { class: value < 0 ? "less" : "more" });
  const share = (50 * Math.abs(value)) / most;
  inner.style.width = `${share}%`;
  inner.style.left = `${value < 0 ? 50 - share : 50}%`;
  return make("span", { class: "signed-bar", "aria-hidden": "true" }, inner);
}
