/** @file Making elements. Strings only ever become text, never markup. */

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string | boolean | ((event: any) => void)>} [attributes] a function listens to the event of its name
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/**
 * Returns a list to choose from.
 * @param {string} label
 * @param {readonly (readonly [string, string])[]} options value and words
 * @param {string} chosen
 * @param {(value: string) => void} choose
 * @returns {HTMLLabelElement}
 */
export function chooser(label, options, chosen, choose) {
  const list = make("select", { change: () => choose(list.value) });
  for (const [value, words] of options) list.append(make("option", { value }, words));
  list.value = chosen;
  return make("label", { class: "field" }, make("span", {}, label), list);
}

/**
 * Returns a button that stays pressed.
 * @param {string} label
 * @param {boolean} isOn
 * @param {(isOn: boolean) => void} turn
 * @param {string} [title]
 * @returns {HTMLButtonElement}
 */
export function toggle(label, isOn, turn, title = "") {
  const pressed = String(isOn);
  return make("button", { type: "button", "aria-pressed": pressed, title, click: () => turn(!isOn) }, label);
}

/**
 * Returns the drawing context of a canvas that has as many points as its place on the screen.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 * @returns {CanvasRenderingContext2D}
 */
export function contextOf(canvas, width, height) {
  const ratio = globalThis.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser cannot draw");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}
