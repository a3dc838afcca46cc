/** @file What an operation gave, in words and numbers: the receipt, and what the model says before and after. */

import { make } from "./dom.js";
import { percent, visible } from "./words.js";

/** @typedef {import("./types").Predictions} Predictions */
/** @typedef {import("./types").PredictionRow} PredictionRow */

const NOTHING = "–";
const NO_PREDICTION =
  "This model predicts no token. An operation is measured by how far it moves the mean of the last states.";

/**
 * Returns what was done in one sentence, what the model says, and the receipt, folded under one line.
 * @param {import("./types").Operation | null} operation null: nothing was done
 * @param {string[]} receipt
 * @param {Predictions} predictions
 * @returns {HTMLElement[]}
 */
export function said(operation, receipt, predictions) {
  const lines = receipt.map((line) => make("li", {}, line));
  const settings = (operation?.settings ?? []).map(([name, value]) =>
    make("div", {}, make("dt", {}, name), make("dd", {}, value)),
  );
  const folded = make(
    "details",
    { class: "receipt" },
    make("summary", {}, "Receipt: what was counted and measured"),
    make("dl", { class: "figures" }, ...settings),
    make("ul", {}, ...lines),
  );
  return [
    make("p", { class: "sentence" }, operation?.sentence ?? receipt[0] ?? ""),
    make(
      "section",
      { "aria-label": predictions.title },
      make("h2", {}, predictions.title),
      predictions.rows.length + predictions.facts.length > 0
        ? table(predictions)
        : make("p", { class: "note" }, NO_PREDICTION),
    ),
    ...(operation || receipt.length > 1 ? [folded] : []),
  ];
}

/** @param {Predictions} predictions @returns {HTMLTableElement} */
function table({ rows, facts }) {
  const hasAfter = [...rows, ...facts].some(({ after }) => after !== null);
  const heads = ["", hasAfter ? "before" : "now", ...(hasAfter ? ["after"] : [])];
  const titles = heads.map((title) => (title ? make("th", { scope: "col" }, title) : make("td")));
  const bars = rows.map((row) => line(`'${visible(row.label)}'`, sides(row, hasAfter).map(bar)));
  const words = facts.map((fact) =>
    line(
      fact.label,
      [fact.before, fact.after].map((text) => text ?? ""),
    ),
  );
  return make("table", {}, make("thead", {}, make("tr", {}, ...titles)), make("tbody", {}, ...bars, ...words));
}

/**
 * @template T
 * @param {{before: T, after: T}} row
 * @param {boolean} hasAfter
 * @returns {T[]}
 */
function sides({ before, after }, hasAfter) {
  return hasAfter ? [before, after] : [before];
}

/** @param {string} label @param {(Node | string)[]} cells @returns {HTMLTableRowElement} */
function line(label, cells) {
  const shown = cells.map((cell) => make("td", { class: "number" }, cell));
  return make("tr", {}, make("th", { scope: "row" }, label), ...shown);
}

/** @param {number | null} share @returns {Node | string} */
function bar(share) {
  if (share === null) return NOTHING;
  const filled = make("span");
  filled.style.width = `${100 * share}%`;
  const made = document.createDocumentFragment();
  made.append(make("span", { class: "share", "aria-hidden": "true" }, filled), percent(share));
  return made;
}
