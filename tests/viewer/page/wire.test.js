import assert from "node:assert/strict";
import { test } from "node:test";
import { Unanswered, Wire } from "../../../src/attention_surgeon/viewer/page/live_wire.js";

const SETTINGS = /** @type {any} */ ({ text: "cat" });

/**
 * Makes a wire to a server that answers by turns; an answer is a status and a text, or an error.
 * @param {[number, string | Promise<string> | Error][]} answers
 */
function wireTo(answers) {
  /** @type {any[]} */
  const asked = [];
  const kept = new Map();
  Object.assign(globalThis, {
    location: { search: "?token=secret", hash: "" },
    localStorage: { setItem: kept.set.bind(kept), getItem: kept.get.bind(kept) },
    history: { replaceState: () => undefined },
    fetch: async (/** @type {string} */ path, /** @type {any} */ options) => {
      const [status, answer] = answers[asked.length];
      asked.push({ path, ...options });
      if (answer instanceof Error) throw answer;
      const given = new Promise((_, refuse) =>
        options.signal.addEventListener("abort", () => refuse(new DOMException("aborted", "AbortError"))),
      );
      given.catch(() => undefined);
      return { ok: status < 400, status, text: () => Promise.race([answer, given]) };
    },
  });
  return { wire: new Wire(), asked };
}

/** @param {Promise<string>} asked @returns {Promise<{words: string, isOutdated: boolean}>} */
async function refusalOf(asked) {
  try {
    await asked;
  } catch (error) {
    if (error instanceof Unanswered) return { words: error.message, isOutdated: error.isOutdated };
    throw error;
  }
  throw new Error("it was answered");
}

test("an answer that has begun is given up without an error of its own", async () => {
  const { wire, asked } = wireTo([
    [200, new Promise(() => undefined)],
    [200, "second"],
  ]);
  const first = refusalOf(wire.ask("operate", SETTINGS));
  await new Promise((done) => setTimeout(done, 1)); // its head has come, its body has not
  assert.equal(await wire.ask("operate", SETTINGS), "second");
  assert.equal((await first).isOutdated, true);
  assert.deepEqual(
    asked.map(({ body }) => JSON.parse(body).number),
    [1, 2],
  );
  assert.equal(asked[0].headers["x-surgeon-token"], "secret");
});

test("an answer that came too late is given up as well", async () => {
  const { wire } = wireTo([
    [200, "first"],
    [200, "second"],
  ]);
  const first = refusalOf(wire.ask("operate", SETTINGS));
  const second = wire.ask("operate", SETTINGS);
  assert.equal((await first).isOutdated, true);
  assert.equal(await second, "second");
});

test("a refusal is told in the words of the server, and an end as an end", async () => {
  const { wire } = wireTo([
    [400, '{"error": "layer 9 is not there."}'],
    [409, '{"error": "a newer question came."}'],
    [500, "<html>"],
    [0, new TypeError("failed to fetch")],
  ]);
  const refusals = [];
  for (let i = 0; i < 4; i += 1) refusals.push(await refusalOf(wire.ask("operate", SETTINGS)));
  assert.deepEqual(
    refusals.map(({ isOutdated }) => isOutdated),
    [false, true, false, false],
  );
  assert.equal(refusals[0].words, "layer 9 is not there.");
  assert.equal(refusals[2].words, "The server answered 500.");
  assert.match(refusals[3].words, /it has ended. Start it again with: surgeon serve$/);
});
