/** @file The operating table: what a person changes is asked of the server, and what it answers is shown. */

import { App } from "./app.js";
import { make } from "./dom.js";
import { Controls } from "./live_controls.js";
import { asFragment, fromFragment, isOperation, isSameOperation, prepared } from "./live_settings.js";
import { Unanswered, Wire } from "./live_wire.js";
import { said } from "./results.js";
import { saveText } from "./save.js";

/** @typedef {import("./live_types").Settings} Settings */
/** @typedef {import("./source.js").Source} Source */

const TYPING_MS = 300;
const LESSON = "attention-surgeon lesson"; // kept on this computer, so that a projector stays as it was set

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
    /** @type {Settings | null} */
    this.shownSettings = null;
    this.lesson = make(
      "button",
      { type: "button", "aria-pressed": "false", click: () => this.teach(!this.isLesson) },
      "Lesson",
    );
    const brand = make(
      "header",
      { class: "brand" },
      make("p", {}, "Operating table ", make("small", {}, "Attention Surgeon, on this computer alone")),
      this.lesson,
    );
    this.lessons = make("nav", { class: "lessons", "aria-label": "Prepared operations" });
    place.replaceChildren(brand, this.lessons, make("div", { class: "desk" }, this.controls.element, this.results));
    this.teach(localStorage.getItem(LESSON) === "on");
    addEventListener("hashchange", () => this.change(fromFragment(location.hash, known.models), false));
    this.controls.show(this.settings);
    void this.run();
  }

  /** @returns {boolean} */
  get isLesson() {
    return document.documentElement.dataset.lesson === "on";
  }

  /**
   * Turns the page for a projector on or off: large type, and five prepared operations in place of the controls.
   * @param {boolean} isOn
   */
  teach(isOn) {
    document.documentElement.dataset.lesson = isOn ? "on" : "off";
    localStorage.setItem(LESSON, isOn ? "on" : "off");
    this.lesson.setAttribute("aria-pressed", String(isOn));
    this.app?.drawSoon();
  }

  /** Shows the prepared operations of the model, the one that is done pressed. */
  showLessons() {
    const { settings } = this;
    const untreated = { title: "As it is", question: "What does the model say?" };
    const buttons = [untreated, ...(this.controls.offered?.lessons ?? [])].map((lesson) => {
      const wanted = prepared(settings, lesson);
      return make(
        "button",
        {
          type: "button",
          "aria-pressed": String(isSameOperation(wanted, settings)),
          click: () => this.change(wanted, false),
        },
        make("strong", {}, lesson.title),
        make("small", {}, lesson.question),
      );
    });
    const at = [...this.lessons.children].indexOf(/** @type {Element} */ (document.activeElement));
    this.lessons.replaceChildren(...buttons);
    buttons[at]?.focus();
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
    this.said.replaceChildren(...said(answer.document.operation, answer.receipt, answer.predictions));
    this.showLessons();
    const before = this.app;
    const focus = focusIn(this.maps);
    before?.close();
    this.app = new App(this.maps, answer.document);
    const { source } = this.app;
    const isNew = !this.shownSettings || !isSameOperation(this.shownSettings, asked);
    if (isNew) source.store.set(firstLook(before?.source, source));
    else if (before) source.store.set(sameLook(before.source, source));
    this.shownSettings = asked;
    focus();
    this.results.dataset.shown = asFragment(asked);
  }

  /** Saves before and after as the one file that works without a server. */
  async save() {
    clearTimeout(this.timer);
    this.busy("making the file …");
    try {
      const page = await this.wire.ask("page", this.settings);
      saveText(page, "text/html", this.app?.source.fileName("html", "") ?? "attention.html");
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
 * Returns where to look when something else is done: at the largest change; where no map changed, at what was done.
 * @param {Source | undefined} before
 * @param {Source} after
 * @returns {Partial<import("./types").State>}
 */
function firstLook(before, after) {
  const { comparison, operation } = after.data;
  const isSame = before?.data.sides.length === after.data.sides.length;
  const { pooling, scale, hideSink, theme, sortBy } = before?.state ?? after.state;
  const kept = {
    pooling,
    scale,
    hideSink,
    theme,
    sortBy,
    view: isSame && before ? before.state.view : after.state.view,
  };
  const place = comparison?.statistics.findIndex(({ name }) => name === "largest_difference") ?? -1;
  const isChanged = comparison?.rows.some((row) => row[place] !== 0);
  const map = isChanged ? after.state.map : (operation?.maps[0] ?? after.state.map);
  return { ...kept, map };
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
