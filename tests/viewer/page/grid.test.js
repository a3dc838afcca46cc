import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateRawSync } from "node:zlib";
import { floatsOf, readingOf, weightsOf } from "../../../src/attention_surgeon/viewer/page/codec.js";
import { cellOf, decoded, differences, halved } from "../../../src/attention_surgeon/viewer/page/grid.js";
import { strongestColumns, strongestRows } from "../../../src/attention_surgeon/viewer/page/strongest.js";

const packed = (/** @type {ArrayBufferView} */ view) =>
  deflateRawSync(new Uint8Array(view.buffer, view.byteOffset, view.byteLength)).toString("base64");

const level = (/** @type {number[][]} */ rows) => {
  const values = Float32Array.from(rows.flat());
  const edges = (/** @type {number} */ n) => Array.from({ length: n + 1 }, (_, i) => i);
  return {
    rows: rows.length,
    columns: rows[0].length,
    rowEdges: edges(rows.length),
    columnEdges: edges(rows[0].length),
    largest: values,
    mean: values,
  };
};

test("float32 comes through bit for bit", async () => {
  const numbers = Float32Array.from([0, 1, 0.1, 1e-30, -2.5]);
  assert.deepEqual(await floatsOf(packed(numbers)), numbers);
});

test("a code stands for top (code / steps)² and knows its bounds", async () => {
  const { values, codes } = await weightsOf({
    kind: "codes",
    top: 0.8,
    steps: 4,
    data: packed(Uint8Array.from([0, 1, 2, 4])),
  });
  assert.deepEqual(codes, Uint8Array.from([0, 1, 2, 4]));
  assert.deepEqual(values, Float32Array.from([0, 0.05, 0.2, 0.8]));
  assert.deepEqual(readingOf(0, 0.8, 4), { value: 0, low: 0, high: 0 });
  assert.equal(readingOf(1, 0.8, 4).low, 0);
  assert.ok(Math.abs(readingOf(2, 0.8, 4).low - 0.8 * (1.5 / 4) ** 2) < 1e-12);
  assert.equal(readingOf(4, 0.8, 4).high, 0.8);
});

test("halving keeps the largest and the mean, by area, at an odd edge too", () => {
  const coarse = halved(
    level([
      [1, 2, 3],
      [4, 5, 6],
      [7, 8, 9],
    ]),
  );
  assert.deepEqual([...coarse.largest], [5, 6, 8, 9]);
  assert.deepEqual([...coarse.mean], [3, 4.5, 7.5, 9]);
  assert.deepEqual(coarse.rowEdges, [0, 2, 3]);
  const single = halved(coarse);
  assert.deepEqual([...single.largest, ...single.mean], [9, 5]);
});

test("a difference keeps its sign when it is halved", () => {
  const levels = differences(
    level([
      [0.5, 0.5],
      [1, 0],
    ]),
    level([
      [0.2, 0.8],
      [0.1, 0.9],
    ]),
  );
  assert.deepEqual(
    [...levels[0].largest].map((x) => Number(x.toFixed(3))),
    [-0.3, 0.3, -0.9, 0.9],
  );
  assert.equal(Math.abs(levels[1].largest[0]).toFixed(3), "0.900");
  assert.equal(levels[1].mean[0].toFixed(3), "0.000");
});

test("a position stands in the cell between two edges", () => {
  assert.deepEqual(
    [0, 3, 4, 7, 8, 9].map((at) => cellOf([0, 4, 8, 10], at)),
    [0, 0, 1, 1, 2, 2],
  );
});

test("the strongest partners, of equals the first", () => {
  const shown = level([
    [0.1, 0.5, 0.4],
    [0.5, 0, 0.5],
  ]);
  assert.deepEqual(
    strongestColumns(shown.largest, shown, 0, 2).map(({ cell }) => cell),
    [1, 2],
  );
  assert.deepEqual(
    strongestColumns(shown.largest, shown, 1, 5).map(({ cell }) => cell),
    [0, 2],
  );
  assert.deepEqual(
    strongestRows(shown.largest, shown, 2, 1).map(({ cell }) => cell),
    [1],
  );
});

test("the strongest weights of a query are known better than their cells", async () => {
  const frame = {
    block: 1,
    rowEdges: [0, 1, 2],
    columnEdges: [0, 1, 2],
    numQueries: 2,
    numKeys: 2,
    queryTokens: null,
    keyTokens: null,
  };
  const keys = Uint16Array.from([1, 0]);
  const weights = Uint16Array.from([65535, 32768]);
  const both = new Uint8Array([...new Uint8Array(keys.buffer), ...new Uint8Array(weights.buffer)]);
  const entry = /** @type {any} */ ({
    largest: { kind: "codes", top: 0.9, steps: 2, data: packed(Uint8Array.from([1, 2, 1, 1])) },
    mean: null,
    strongest: { count: 1, top: 0.9, data: packed(both) },
    sink: { column: 1, share: 0.5, topElsewhere: 0.5 },
  });
  const grid = await decoded(frame, entry);
  assert.equal(grid.reading(0, 1, "largest").value.toFixed(4), "0.9000");
  assert.ok(Math.abs(grid.reading(1, 0, "largest").value - 0.45) < 1e-4);
  assert.ok(grid.reading(1, 0, "largest").high - grid.reading(1, 0, "largest").low < 2e-5);
  assert.ok(grid.reading(1, 1, "largest").high - grid.reading(1, 1, "largest").low > 0.1);
  const [shown] = grid.levels(true);
  assert.deepEqual([shown.largest[1], shown.largest[3]], [0, 0]);
  assert.ok(shown.largest[0] > 0);
});
