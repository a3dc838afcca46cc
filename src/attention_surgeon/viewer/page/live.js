/** @file The operating table: what a person changes is asked of the server, and what it answers is shown. */

import { App } from "./app.js";
import { make } from "./dom.js";
import { Controls } from "./live_controls.js";
import { said } from "./live_results.js";
import { asFragment, fromFragment, isOperation } from "./live_settings.js";
import { Unanswered, Wire } from "./live_wire.js";
import { saveText } from "./save.js";

/** @typedef {import("./live_types").Settings} Settings */
/** @typedef {import("./source.js").Source} Source */

const TYPING_MS = 300;

/** The whole page. */
export class LiveTable {
  /**
   * @param {HTMLElement} place
   * @param {import("./live_types").Known} known
   */
  constructor(place, known) {
    this.known = known;
    this.wire = new Wire();
    this.settings = fromFragment(location.hash, known.models);
    this.controls = new Controls(
      known,
      (change, isTyped) => this.change(change, isTyped),
      () => void this.save(),
    );
    this.doing = make("p", { class: "doing", role: "status", "aria-live": "polite" });
    this.wrong = make("div", { class: "wrong", role: "alert" });
    this.said = make("div", { class: "said" });
    this.maps = make("div", { id: "page" });
    this.results = make("main", { class: "results" }, this.doing, this.wrong, this.said, this.maps);
    /** @type {App | null} */
    this.app = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.offered = "";
    const brand = make(
      "p",
      { class: "brand" },
      "Operating table ",
      make("small", {}, "Attention Surgeon, on this computer alone"),
    );
    place.replaceChildren(brand, make("div", { class: "desk" }, this.controls.element, this.results));
    addEventListener("hashchange", () => this.change(fromFragment(location.hash, known.models), false));
    this.controls.show(this.settings);
    void this.run();
  }

  /**
   * Takes what a person chose; while they type, waits until they pause.
   * @param {Partial<Settings>} change
   * @param {boolean} isTyped
   */
  change(change, isTyped) {
    const before = this.settings;
    this.settings = { ...before, ...change };
    if (this.settings.model !== before.model)
      this.settings = { ...this.settings, stack: "", layers: null, heads: null, ...change };
    this.controls.show(this.settings);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.run(), isTyped ? TYPING_MS : 0);
  }

  /** Asks for what is chosen and shows the answer; what was shown before stays until then. */
  async run() {
    try {
      if (this.offered !== this.settings.model) await this.load();
      history.replaceState(null, "", asFragment(this.settings));
      this.busy("computing …");
      const asked = this.settings;
      const started = performance.now();
      /** @type {import("./live_types").Answer} */
      const answer = JSON.parse(await this.wire.ask("operate", asked));
      this.show(answer, asked);
      this.finish(
        `${isOperation(asked) ? "before and after" : "as the model is"} · ${Math.round(performance.now() - started)} ms`,
      );
    } catch (error) {
      this.fail(error);
    }
  }

  /** Loads the chosen model, and takes what it offers. */
  async load() {
    const { model } = this.settings;
    this.busy(`loading ${model} …`);
    /** @type {import("./live_types").Offer} */
    const offer = JSON.parse(await this.wire.ask("model", this.settings));
    this.offered = model;
    this.settings = {
      ...this.settings,
      text: this.settings.text || offer.example,
      stack: this.settings.stack || offer.stacks[0].name,
    };
    this.controls.offer(offer);
    this.controls.show(this.settings);
  }

  /**
   * @param {import("./live_types").Answer} answer
   * @param {Settings} asked
   */
  show(answer, asked) {
    this.said.replaceChildren(...said(answer.receipt, answer.predictions));
    const before = this.app;
    const focus = focusIn(this.maps);
    before?.close();
    this.app = new App(this.maps, answer.document);
    const { source } = this.app;
    if (before?.source.data.sides.length === source.data.sides.length)
      source.store.set(sameLook(before.source, source));
    else source.store.set(firstLook(before?.source, source, asked));
    focus();
    this.results.dataset.shown = asFragment(asked);
  }

  /** Saves before and after as the one file that works without a server. */
  async save() {
    clearTimeout(this.timer);
    this.busy("making the file …");
    try {
      const page = await this.wire.ask("page", this.settings);
      saveText(page, "text/html", this.app?.source.fileName("html") ?? "attention.html");
      this.finish("the file is saved");
    } catch (error) {
      this.fail(error);
    }
  }

  /** @param {string} words */
  busy(words) {
    this.doing.textContent = words;
    this.results.setAttribute("aria-busy", "true");
  }

  /** @param {string} words */
  finish(words) {
    this.doing.textContent = words;
    this.wrong.textContent = "";
    this.results.setAttribute("aria-busy", "false");
  }

  /** @param {unknown} error */
  fail(error) {
    if (error instanceof Unanswered && error.isOutdated) return; // the newer question says how it goes
    this.results.setAttribute("aria-busy", "false");
    this.doing.textContent = this.app ? "shown below: the last that worked" : "";
    this.wrong.textContent = error instanceof Error ? error.message : String(error);
    if (!(error instanceof Unanswered)) throw error;
  }
}

/**
 * Returns the choices of a reader as far as they mean something for another document: the view, the map, the cell.
 * @param {Source} before
 * @param {Source} after
 * @returns {Partial<import("./types").State>}
 */
function sameLook(before, after) {
  const { view, map, query, key, pooling, scale, hideSink, theme, sortBy } = before.state;
  const name = before.side.maps[map].name;
  const found = after.side.maps.findIndex((entry) => entry.name === name);
  const cell = query < after.side.numQueries && key < after.side.numKeys ? { query, key } : {};
  return { ...cell, view, map: Math.max(found, 0), pooling, scale, hideSink, theme, sortBy };
}

/**
 * Returns where to look when an operation begins or ends: at the first map that was operated on.
 * @param {Source | undefined} before
 * @param {Source} after
 * @param {Settings} asked
 * @returns {Partial<import("./types").State>}
 */
function firstLook(before, after, asked) {
  const kept = before ? sameLook(before, after) : {};
  const { view } = after.state;
  if (!isOperation(asked)) return { ...kept, view };
  const place = [asked.layers?.[0] ?? 0, asked.heads?.[0] ?? 0].map(String);
  const first = after.side.maps.findIndex((entry) => entry.place.every((at, i) => at === place[i]));
  return { ...kept, view, map: Math.max(first, 0) };
}

/**
 * Remembers which element within a place has the focus, and returns what gives it to the same one of a new content.
 * @param {HTMLElement} place
 * @returns {() => void}
 */
function focusIn(place) {
  const focused = document.activeElement;
  if (!(focused instanceof HTMLElement) || !place.contains(focused)) return () => undefined;
  const way = path(focused, place);
  return () => {
    /** @type {Element | undefined} */
    let found = place;
    for (const step of way) found = found?.children[step];
    if (found instanceof HTMLElement) found.focus({ preventScroll: true });
  };
}

/** @param {Element} element @param {Element} place @returns {number[]} */
function path(element, place) {
  const way = [];
  for (let at = element; at !== place && at.parentElement; at = at.parentElement) {
    way.unshift([...at.parentElement.children].indexOf(at));
  }
  return way;
}

const tablePlace = document.getElementById("table");
const knownText = document.getElementById("known")?.textContent;
if (tablePlace && knownText) new LiveTable(tablePlace, JSON.parse(knownText));
