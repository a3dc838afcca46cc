/** @file The page: its head, its tabs, and the view that is chosen. */

import { make } from "./dom.js";
import { MapView } from "./map_view.js";
import { Source } from "./source.js";

/** @typedef {import("./types").PageDocument} PageDocument */

/**
 * Fills the page.
 * @param {HTMLElement} host
 * @param {PageDocument} data
 * @returns {Source}
 */
export function start(host, data) {
  const source = new Source(data);
  const view = new MapView(source);
  const head = make("div", { class: "head" }, make("h1", {}, data.title), make("p", { class: "source" }, source.side.source));
  host.replaceChildren(head, view.element);
  const draw = () => {
    document.documentElement.dataset.theme = source.ground;
    void view.draw();
  };
  source.store.listen(draw);
  addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
  return source;
}

const host = document.getElementById("page");
const data = document.getElementById("data");
if (host && data?.textContent) start(host, JSON.parse(data.textContent));
