/** @file What is chosen on the operating table, and how it is written after the # of the address. */

/** @typedef {import("./live_types").Settings} Settings */

const LEAST_TEMPERATURE = 0.01;
const MOST_TEMPERATURE = 100;

/**
 * Returns the settings in which nothing is done.
 * @param {string} model
 * @param {string} text
 * @returns {Settings}
 */
export function untouched(model, text) {
  return { model, text, mask: "own", scale: "own", temperature: 1, fault: null, stack: "", layers: null, heads: null };
}

/**
 * Writes settings as the part of an address that is never sent to a server; what is as usual is left out.
 * @param {Settings} settings
 * @returns {string}
 */
export function asFragment(settings) {
  const usual = untouched(settings.model, "");
  const parts = new URLSearchParams({ model: settings.model });
  for (const [name, value] of Object.entries(settings)) {
    if (name === "model" || value === null || value === usual[/** @type {keyof Settings} */ (name)]) continue;
    parts.set(name, String(value));
  }
  return `#${parts}`;
}

/**
 * Reads settings from an address; what is missing or makes no sense is as usual.
 * @param {string} fragment
 * @param {readonly string[]} models
 * @returns {Settings}
 */
export function fromFragment(fragment, models) {
  const parts = new URLSearchParams(fragment.replace(/^#/, ""));
  const model = parts.get("model") ?? "";
  const settings = untouched(models.includes(model) ? model : models[0], parts.get("text") ?? "");
  return {
    ...settings,
    mask: parts.get("mask") ?? settings.mask,
    scale: parts.get("scale") ?? settings.scale,
    temperature: temperature(parts.get("temperature") ?? ""),
    fault: parts.get("fault"),
    stack: parts.get("stack") ?? settings.stack,
    layers: numbers(parts.get("layers")),
    heads: numbers(parts.get("heads")),
  };
}

/**
 * Returns a temperature within its bounds, or 0; 1 for what is no number.
 * @param {string} text
 * @returns {number}
 */
export function temperature(text) {
  const value = text.trim() === "" ? 1 : Number(text);
  if (!Number.isFinite(value)) return 1;
  if (value === 0) return 0; // the limit: all to the largest score
  return Math.min(MOST_TEMPERATURE, Math.max(LEAST_TEMPERATURE, value));
}

/** @param {string | null} text @returns {number[] | null} */
function numbers(text) {
  const found = (text ?? "")
    .split(",")
    .filter((part) => /^\d{1,4}$/.test(part))
    .map(Number);
  return found.length > 0 ? found : null;
}

/**
 * Returns whether anything is done to the model.
 * @param {Settings} settings
 * @returns {boolean}
 */
export function isOperation({ mask, scale, temperature: divisor, fault }) {
  return mask !== "own" || scale !== "own" || divisor !== 1 || fault !== null;
}

/**
 * Returns the settings of a prepared operation: it alone, on the same text.
 * @param {Settings} settings
 * @param {import("./live_types").Lesson} lesson
 * @returns {Settings}
 */
export function prepared(settings, { title: _title, question: _question, ...change }) {
  const { model, text, stack } = settings;
  return { ...untouched(model, text), stack, ...change };
}

/**
 * Returns whether two settings do the same to a model, whatever it reads.
 * @param {Settings} one
 * @param {Settings} other
 * @returns {boolean}
 */
export function isSameOperation(one, other) {
  return asFragment({ ...one, text: "" }) === asFragment({ ...other, text: "" });
}
