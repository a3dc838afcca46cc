/** @file The controls of the operating table. */

import { make } from "./dom.js";
import { temperature } from "./live_settings.js";

/** @typedef {import("./live_types").Settings} Settings */
/** @typedef {import("./live_types").Offer} Offer */
/** @typedef {(change: Partial<Settings>, isTyped: boolean) => void} Change */

const NO_FAULT = "";

/** The form: it shows settings, and says what a person changes in them. */
export class Controls {
  /**
   * @param {import("./live_types").Known} known
   * @param {Change} change
   * @param {() => void} save
   */
  constructor(known, change, save) {
    this.change = change;
    this.text = make("textarea", {
      id: "text",
      rows: "3",
      maxlength: String(known.textLen),
      spellcheck: "false",
      input: () => change({ text: this.text.value }, true),
    });
    this.model = options(
      make("select", { id: "model", change: () => change({ model: this.model.value }, false) }),
      known.models.map((name) => [name, name]),
    );
    this.about = make("small");
    this.mask = make("select", { id: "mask", change: () => this.maskChanged() });
    this.maskNumber = make("input", {
      id: "mask-size",
      type: "number",
      min: "0",
      max: "9999",
      value: "3",
      input: () => this.maskChanged(),
    });
    this.maskSize = ask("Size", this.maskNumber);
    this.scale = make("select", { id: "scale", change: () => change({ scale: this.scale.value }, false) });
    this.temperature = make("input", {
      id: "temperature",
      type: "number",
      min: "0",
      max: "100",
      step: "any",
      input: () => change({ temperature: temperature(this.temperature.value) }, true),
      change: () => {
        this.temperature.value = String(temperature(this.temperature.value)); // what acts is what is shown
      },
    });
    this.fault = make("select", { id: "fault", change: () => change({ fault: this.fault.value || null }, false) });
    this.summary = make("small", { id: "summary" });
    this.stack = make("select", {
      id: "stack",
      change: () => change({ stack: this.stack.value, layers: null, heads: null }, false),
    });
    this.stackChoice = ask("Stack of layers", this.stack);
    this.layers = new Chips("Layers", (layers) => change({ layers }, false));
    this.heads = new Chips("Heads", (heads) => change({ heads }, false));
    const undo = make(
      "button",
      {
        type: "button",
        click: () =>
          change({ mask: "own", scale: "own", temperature: 1, fault: null, layers: null, heads: null }, false),
      },
      "Undo everything",
    );
    this.save = make("button", { type: "button", click: save }, "Save as one file");
    this.element = make(
      "form",
      { "aria-label": "What is done to the model", submit: (event) => event.preventDefault() },
      ask("Text", this.text),
      ask("Model", this.model),
      this.about,
      make("div", { class: "two" }, ask("Mask", this.mask), this.maskSize),
      make("div", { class: "two" }, ask("Scale", this.scale), ask("Temperature", this.temperature)),
      ask("Fault", this.fault),
      this.summary,
      this.stackChoice,
      this.layers.element,
      this.heads.element,
      make("div", { class: "chips" }, undo, this.save),
    );
    this.fault.setAttribute("aria-describedby", "summary");
  }

  /**
   * Takes what can be chosen for a model.
   * @param {Offer} offer
   */
  offer(offer) {
    this.offered = offer;
    this.about.textContent = `${offer.summary} At most ${offer.mostTokens} tokens.`;
    options(this.mask, offer.masks);
    options(this.scale, offer.scales);
    options(
      this.stack,
      offer.stacks.map(({ name }) => [name, name]),
    );
    this.stackChoice.hidden = offer.stacks.length < 2;
    const groups = [...new Set(offer.faults.map(({ group }) => group))];
    this.fault.replaceChildren(
      make("option", { value: NO_FAULT }, "none"),
      ...groups.map((group) => this.group(group)),
    );
  }

  /** @param {string} name @returns {HTMLOptGroupElement} */
  group(name) {
    const members = (this.offered?.faults ?? []).filter(({ group }) => group === name);
    return make(
      "optgroup",
      { label: name },
      ...members.map((fault) => make("option", { value: fault.name }, fault.name)),
    );
  }

  /**
   * Shows settings.
   * @param {Settings} settings
   */
  show(settings) {
    if (this.text.value !== settings.text) this.text.value = settings.text; // the cursor stays where it is
    this.model.value = settings.model;
    const [mask, size] = settings.mask.split(":");
    this.mask.value = mask;
    this.maskSize.hidden = size === undefined;
    if (size !== undefined && document.activeElement !== this.maskNumber) this.maskNumber.value = size;
    this.scale.value = settings.scale;
    if (document.activeElement !== this.temperature) this.temperature.value = String(settings.temperature);
    this.fault.value = settings.fault ?? NO_FAULT;
    const faults = this.offered?.faults ?? [];
    this.summary.textContent = faults.find(({ name }) => name === settings.fault)?.summary ?? "";
    const stacks = this.offered?.stacks ?? [];
    const stack = stacks.find(({ name }) => name === settings.stack) ?? stacks[0];
    this.stack.value = stack?.name ?? "";
    this.layers.show(stack?.numLayers ?? 0, settings.layers);
    this.heads.show(stack?.numHeads ?? 0, settings.heads);
  }

  maskChanged() {
    const hasSize = this.mask.value === "window" || this.mask.value === "prefix";
    this.change(
      { mask: hasSize ? `${this.mask.value}:${Number(this.maskNumber.value) || 0}` : this.mask.value },
      false,
    );
  }
}

/** All, or some numbers: a row of buttons that stay pressed. */
export class Chips {
  /**
   * @param {string} label
   * @param {(chosen: number[] | null) => void} choose
   */
  constructor(label, choose) {
    this.choose = choose;
    /** @type {number[] | null} */
    this.chosen = null;
    this.row = make("div", { class: "chips" });
    this.element = make("fieldset", {}, make("legend", {}, label), this.row);
  }

  /**
   * @param {number} count
   * @param {number[] | null} chosen
   */
  show(count, chosen) {
    this.chosen = chosen;
    if (this.row.childElementCount !== count + 1) this.build(count);
    [...this.row.children].forEach((button, i) => {
      const isOn = i === 0 ? chosen === null : Boolean(chosen?.includes(i - 1));
      button.setAttribute("aria-pressed", String(isOn));
    });
  }

  /** @param {number} count */
  build(count) {
    const all = make("button", { type: "button", click: () => this.choose(null) }, "all");
    const each = Array.from({ length: count }, (_, i) =>
      make("button", { type: "button", click: () => this.turn(i) }, String(i)),
    );
    this.row.replaceChildren(all, ...each);
  }

  /** @param {number} number */
  turn(number) {
    const before = this.chosen ?? [];
    const after = before.includes(number) ? before.filter((other) => other !== number) : [...before, number];
    this.choose(after.length > 0 ? after.sort((a, b) => a - b) : null);
  }
}

/**
 * Returns a field with its label above it.
 * @param {string} label
 * @param {HTMLElement} field
 * @returns {HTMLElement}
 */
function ask(label, field) {
  return make("div", { class: "ask" }, make("label", { for: field.id }, label), field);
}

/**
 * @param {HTMLSelectElement} list
 * @param {readonly (readonly [string, string])[]} choices value and words
 * @returns {HTMLSelectElement}
 */
function options(list, choices) {
  list.replaceChildren(...choices.map(([value, words]) => make("option", { value }, words)));
  return list;
}
