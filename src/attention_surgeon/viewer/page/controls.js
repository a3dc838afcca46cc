/** @file Buttons and lists that stay where they are while what they show changes, so that the keyboard keeps its place. */

import { make } from "./dom.js";

/** @typedef {import("./types").State} State */
/** @typedef {import("./state.js").Store} Store */
/** @typedef {{element: HTMLElement, show: (state: State) => void}} Control */

/**
 * Returns a list to choose from.
 * @param {string} label
 * @param {readonly (readonly [string, string])[]} options value and words
 * @param {(state: State) => string} chosen
 * @param {(value: string) => void} choose
 * @returns {Control}
 */
export function chooser(label, options, chosen, choose) {
  const list = make("select", { "aria-label": label, change: () => choose(list.value) });
  for (const [value, words] of options) list.append(make("option", { value }, words));
  const element = make("label", { class: "field" }, make("span", { "aria-hidden": "true" }, label), list);
  const show = (/** @type {State} */ state) => {
    list.value = chosen(state);
  };
  return { element, show };
}

/**
 * Returns a button that stays pressed.
 * @param {string} label
 * @param {(state: State) => boolean} isOn
 * @param {(isOn: boolean) => void} turn
 * @returns {Control}
 */
export function toggle(label, isOn, turn) {
  const element = make("button", { type: "button", "aria-pressed": "false" }, label);
  element.addEventListener("click", () => turn(element.getAttribute("aria-pressed") !== "true"));
  return { element, show: (state) => element.setAttribute("aria-pressed", String(isOn(state))) };
}

/**
 * Returns a button.
 * @param {string} words
 * @param {() => void} press
 * @param {string} [label] for screen readers, where the words are a sign
 * @returns {Control}
 */
export function button(words, press, label) {
  const element = make("button", { type: "button", "aria-label": label ?? false, click: press }, words);
  return { element, show: () => undefined };
}

/** A row of controls. */
export class Toolbar {
  /** @param {Control[]} controls */
  constructor(controls) {
    this.controls = controls;
    this.element = make("div", { class: "bar" }, ...controls.map((control) => control.element));
  }

  /** @param {State} state */
  show(state) {
    for (const control of this.controls) control.show(state);
  }
}

/**
 * Returns the list of maps with a step back and forth.
 * @param {import("./source.js").Source} source
 * @returns {Control[]}
 */
export function mapChoice(source) {
  const { maps } = source.side;
  if (maps.length === 1) return [];
  const options = maps.map((_, i) => /** @type {const} */ ([String(i), source.nameOf(i)]));
  return [
    button("‹", () => source.turn(-1), "Map before"),
    chooser(
      "Map",
      options,
      (state) => String(state.map),
      (value) => source.open(Number(value)),
    ),
    button("›", () => source.turn(1), "Next map"),
  ];
}

/**
 * Returns the list of colour scales.
 * @param {Store} store
 * @returns {Control}
 */
export function scaleChoice(store) {
  const options = /** @type {const} */ ([
    ["linear", "linear"],
    ["log", "logarithmic"],
  ]);
  return chooser(
    "Colours",
    options,
    (state) => state.scale,
    (value) => store.set({ scale: value === "log" ? "log" : "linear" }),
  );
}

/**
 * Returns the switch between tokens and whole words; nothing where every token is a word.
 * @param {import("./source.js").Source} source
 * @returns {Control[]}
 */
export function wordsChoice(source) {
  if (!source.hasWords) return [];
  return [
    toggle(
      "Whole words",
      (state) => state.isByWord,
      (isByWord) => source.store.set({ isByWord, camera: null }),
    ),
  ];
}

/**
 * Returns the slider over the steps in which a text was written; nothing where none was.
 * @param {import("./source.js").Source} source
 * @returns {Control[]}
 */
export function stepChoice(source) {
  const { promptLength, numQueries } = source.side;
  if (promptLength === null) return [];
  const steps = numQueries - promptLength + 1;
  const said = make("output", {});
  const range = make("input", {
    type: "range",
    min: "1",
    max: String(steps),
    "aria-label": "Step of writing",
    input: () => source.store.set({ query: promptLength - 2 + Number(range.value), isReceived: false }),
  });
  const element = make("label", { class: "field" }, make("span", { "aria-hidden": "true" }, "Step"), range, said);
  const show = (/** @type {State} */ state) => {
    const step = state.query - promptLength + 2;
    range.value = String(Math.max(step, 1));
    said.textContent = step < 1 ? "before the first" : `${step} of ${steps}`;
  };
  return [{ element, show }];
}

/**
 * Returns what a cell of many weights shows; nothing where cells are single weights.
 * @param {import("./source.js").Source} source
 * @returns {Control[]}
 */
export function poolingChoice(source) {
  if (source.side.frames.every(({ block }) => block === 1)) return [];
  const options = /** @type {const} */ ([
    ["largest", "its largest weight"],
    ["mean", "its mean"],
  ]);
  return [
    chooser(
      "A cell shows",
      options,
      (state) => state.pooling,
      (value) => source.store.set({ pooling: value === "mean" ? "mean" : "largest" }),
    ),
  ];
}
