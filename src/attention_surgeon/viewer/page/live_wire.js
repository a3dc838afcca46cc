/** @file Talking to the server: the token, one question at a time, and what went wrong in words. */

/** @typedef {import("./live_types").Settings} Settings */

const KEPT = "attention-surgeon token";

/** A question that got no answer; `isOutdated` where a newer one took its place. */
export class Unanswered extends Error {
  /** @param {string} words @param {boolean} isOutdated */
  constructor(words, isOutdated) {
    super(words);
    this.isOutdated = isOutdated;
  }
}

/** The way to the server. */
export class Wire {
  constructor() {
    this.token = takeToken();
    this.page = crypto.randomUUID();
    this.number = 0;
    this.ends = new AbortController();
  }

  /**
   * Asks, and gives up every question before.
   * @param {"model" | "operate" | "page"} path
   * @param {Settings} settings
   * @returns {Promise<string>} what was answered
   */
  async ask(path, settings) {
    this.ends.abort();
    this.ends = new AbortController();
    this.number += 1;
    const { signal } = this.ends;
    const body = JSON.stringify({ page: this.page, number: this.number, ...settings });
    const headers = { "content-type": "application/json", "x-surgeon-token": this.token };
    try {
      const response = await fetch(`/${path}`, { method: "POST", headers, body, signal, credentials: "omit" });
      const text = await response.text(); // here, because an answer that has begun can be given up as well
      signal.throwIfAborted();
      if (response.ok) return text;
      throw new Unanswered(reason(response.status, text), response.status === 409);
    } catch (error) {
      if (error instanceof Unanswered) throw error;
      const words = "The server does not answer; it has ended. Start it again with: surgeon serve";
      throw new Unanswered(words, signal.aborted);
    }
  }
}

/** Takes the token out of the address, where it would be read over a shoulder, into storage of this port alone. */
function takeToken() {
  const given = new URLSearchParams(location.search).get("token");
  if (given === null) return localStorage.getItem(KEPT) ?? "";
  localStorage.setItem(KEPT, given);
  history.replaceState(null, "", `/${location.hash}`);
  return given;
}

/** @param {number} status @param {string} text @returns {string} */
function reason(status, text) {
  try {
    const { error } = JSON.parse(text);
    return typeof error === "string" ? error : `The server answered ${status}.`;
  } catch {
    return `The server answered ${status}.`;
  }
}
