/** @file The page: its head, its tabs, and the view that is chosen. */

import { CompareView } from "./compare_view.js";
import { chooser } from "./controls.js";
import { make } from "./dom.js";
import { HeadsView } from "./heads_view.js";
import { LinesView } from "./lines_view.js";
import { MapView } from "./map_view.js";
import { NumbersView } from "./numbers_view.js";
import { PictureView } from "./picture_view.js";
import { said } from "./results.js";
import { Source } from "./source.js";
import { StepsView } from "./steps_view.js";
import { TextView } from "./text_view.js";

/** @typedef {import("./types").PageDocument} PageDocument */
/** @typedef {import("./types").ViewName} ViewName */
/** @typedef {{element: HTMLElement, draw: () => Promise<void>}} View */

/** @type {[ViewName, string, new (source: Source) => View][]} */
const VIEWS = [
  ["compare", "Compare", CompareView],
  ["heads", "Heads", HeadsView],
  ["map", "Map", MapView],
  ["picture", "Picture", PictureView],
  ["text", "Text", TextView],
  ["lines", "Lines", LinesView],
  ["steps", "Steps", StepsView],
  ["numbers", "Numbers", NumbersView],
];

/** What fills the page. */
export class App {
  /**
   * @param {HTMLElement} host
   * @param {PageDocument} data
   * @param {PageDocument[]} stacks all of which one is shown, the shown one among them
   */
  constructor(host, data, stacks = [data, ...data.others]) {
    this.source = new Source(data);
    this.host = host;
    this.stacks = stacks;
    /** @type {Map<ViewName, View>} */
    this.views = new Map();
    this.panel = make("div", { id: "view", role: "tabpanel" });
    this.offered = VIEWS.filter(([name]) => isOffered(name, data));
    this.tabs = make(
      "div",
      { class: "tabs", role: "tablist", "aria-label": "Views" },
      ...this.offered.map(([name, title]) => this.tab(name, title)),
    );
    this.choices = this.sideChoices();
    const head = make(
      "header",
      { class: "head" },
      make("h1", {}, data.title),
      make("div", { class: "bar" }, ...this.choices.map(({ element }) => element)),
      make("p", { class: "source" }, this.source.side.source),
    );
    const inside = host.closest("main") !== null; // of the operating table, which has a main part already
    const { operation } = data;
    const done = operation && !inside ? said(operation, operation.receipt, operation.predictions) : [];
    const told = done.length > 0 ? [make("div", { class: "said" }, ...done)] : [];
    host.replaceChildren(head, make(inside ? "div" : "main", {}, ...told, this.tabs, this.panel, this.source.live));
    this.waits = false;
    this.source.store.listen(() => this.drawSoon());
    this.ends = new AbortController();
    const { signal } = this.ends;
    addEventListener("resize", () => this.drawSoon(), { signal });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.drawSoon(), { signal });
    addEventListener("beforeprint", () => this.print(true), { signal });
    addEventListener("afterprint", () => this.print(false), { signal });
    void this.draw();
  }

  /** Lets go of the window, for a page in which another takes its place. */
  close() {
    this.ends.abort();
  }

  /**
   * Draws for paper, in light colours, or for the screen again; what is decoded is drawn before the printer looks.
   * @param {boolean} isPrinted
   */
  print(isPrinted) {
    this.source.isPrinted = isPrinted;
    void this.draw();
  }

  /** @returns {import("./controls.js").Control[]} */
  sideChoices() {
    const { store, data } = this.source;
    const themes = /** @type {const} */ ([
      ["auto", "system"],
      ["light", "light"],
      ["dark", "dark"],
    ]);
    const theme = chooser(
      "Theme",
      themes,
      (state) => state.theme,
      (chosen) => store.set({ theme: chosen === "light" || chosen === "dark" ? chosen : "auto" }),
    );
    if (data.sides.length < 2) return [...this.stackChoice(), theme];
    const sides = data.sides.map(({ label }, i) => /** @type {const} */ ([String(i), label]));
    return [
      chooser(
        "Show",
        sides,
        (state) => String(state.side),
        (side) => store.set({ side: Number(side) }),
      ),
      theme,
    ];
  }

  /** @returns {import("./controls.js").Control[]} the list of stacks of layers; nothing where there is one */
  stackChoice() {
    const { data, store } = this.source;
    if (this.stacks.length < 2) return [];
    const options = this.stacks.map(({ stack }) => /** @type {const} */ ([stack, stack]));
    const choose = (/** @type {string} */ name) => {
      const next = this.stacks.find(({ stack }) => stack === name) ?? data;
      this.close();
      const app = new App(this.host, next, this.stacks);
      const { theme, scale, view } = store.state;
      app.source.store.set({ theme, scale, view: isOffered(view, next) ? view : "heads" });
      this.host.querySelector("select")?.focus();
    };
    return [chooser("Stack", options, () => data.stack, choose)];
  }

  /** @param {ViewName} name @param {string} title @returns {HTMLElement} */
  tab(name, title) {
    const choose = () => this.source.store.set({ view: name });
    const tab = make(
      "button",
      { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "view", click: choose },
      title,
    );
    tab.addEventListener("keydown", (event) => this.key(event, name));
    return tab;
  }

  /** @param {KeyboardEvent} event @param {ViewName} name */
  key(event, name) {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (by === 0) return;
    const at = this.offered.findIndex(([other]) => other === name) + by;
    const [next] = this.offered[(at + this.offered.length) % this.offered.length];
    this.source.store.set({ view: next });
    document.getElementById(`tab-${next}`)?.focus();
    event.preventDefault();
  }

  /** Draws once before the next picture, however often it is asked to. */
  drawSoon() {
    if (this.waits) return;
    this.waits = true;
    requestAnimationFrame(() => {
      this.waits = false;
      void this.draw();
    });
  }

  async draw() {
    const { source } = this;
    const { view: name } = source.state;
    document.documentElement.dataset.theme = source.ground;
    for (const [other] of this.offered) {
      const tab = document.getElementById(`tab-${other}`);
      tab?.setAttribute("aria-selected", String(other === name));
      if (tab) tab.tabIndex = other === name ? 0 : -1;
    }
    for (const choice of this.choices) choice.show(source.state);
    const view = this.view(name);
    if (this.panel.firstElementChild !== view.element) this.panel.replaceChildren(view.element);
    this.panel.setAttribute("aria-labelledby", `tab-${name}`);
    await view.draw();
    this.host.dataset.drawn = name;
  }

  /** @param {ViewName} name @returns {View} */
  view(name) {
    const found = this.views.get(name);
    if (found) return found;
    const made = VIEWS.find(([other]) => other === name)?.[2] ?? MapView;
    const view = new made(this.source);
    this.views.set(name, view);
    return view;
  }
}

/**
 * Tells whether a page has a view: two sides to compare, a picture in place of a text.
 * @param {ViewName} name
 * @param {PageDocument} data
 * @returns {boolean}
 */
function isOffered(name, { sides }) {
  if (name === "compare") return sides.length > 1;
  if (name === "picture") return sides[0].picture !== null;
  return name !== "text" || sides[0].picture === null;
}
