import assert from "node:assert/strict";
import { test } from "node:test";
import { stride } from "../../../src/attention_surgeon/viewer/page/axes.js";
import { products } from "../../../src/attention_surgeon/viewer/page/arithmetic.js";
import {
  cellAt,
  clamped,
  fitted,
  levelFor,
  showing,
  zoomed,
} from "../../../src/attention_surgeon/viewer/page/camera.js";
import {
  isBright,
  position,
  scaleTop,
  shadesOf,
  signedPosition,
  ticks,
} from "../../../src/attention_surgeon/viewer/page/colour.js";
import { csv } from "../../../src/attention_surgeon/viewer/page/save.js";
import { xml } from "../../../src/attention_surgeon/viewer/page/svg.js";

const box = { left: 0, top: 0, width: 500, height: 300 };
const size = { rows: 512, columns: 512 };

test("all cells fit, and no zoom leaves them", () => {
  const camera = fitted(size, box);
  assert.ok(512 * camera.size <= 300 + 1e-9);
  assert.deepEqual(clamped({ x: -5, y: 9999, size: 0.001 }, size, box), { x: 0, y: 0, size: camera.size });
  assert.equal(zoomed(camera, 1e9, { x: 0, y: 0 }, size, box).size, 96);
});

test("the cell under the pointer stays there while it grows", () => {
  const camera = { x: 100, y: 200, size: 5 };
  const point = { x: 123, y: 77 };
  const before = cellAt(camera, point, size);
  assert.deepEqual(cellAt(zoomed(camera, 4, point, size, box), point, size), before);
  assert.equal(cellAt(camera, { x: -600, y: 0 }, size), null);
});

test("the camera follows the cursor just so far that it is seen", () => {
  const camera = { x: 0, y: 0, size: 50 }; // 10 columns and 6 rows are seen
  assert.deepEqual(showing(camera, { row: 5, column: 9 }, size, box), camera);
  assert.deepEqual(showing(camera, { row: 6, column: 12 }, size, box), { x: 3, y: 1, size: 50 });
});

test("the level that is drawn has cells of at least one point", () => {
  assert.deepEqual(
    [4, 1, 0.9, 0.5, 0.3, 0.001].map((cell) => levelFor({ x: 0, y: 0, size: cell }, 1, 8)),
    [0, 0, 1, 1, 2, 7],
  );
});

test("colours: zero is the ground, the top is the end, the logarithm keeps three decades", () => {
  assert.deepEqual(
    [0, 0.5, 1, 2].map((w) => position(w, 1, "linear")),
    [0, 0.5, 1, 1],
  );
  assert.deepEqual(
    [0, 10 ** -1.5, 1].map((w) => position(w, 1, "log")),
    [0, 0.5, 1],
  );
  assert.ok(position(1e-9, 1, "log") > 0);
  assert.deepEqual(
    [-1, 0, 1].map((w) => signedPosition(w, 1, "linear")),
    [0, 0.5, 1],
  );
  assert.deepEqual([0.93, 0.5, 0.21, 0.004, 0].map(scaleTop), [1, 0.5, 0.5, 0.005, 1]);
  assert.deepEqual(
    ticks(0.5, "linear").map(({ weight }) => weight),
    [0, 0.125, 0.25, 0.375, 0.5],
  );
});

test("one hue from dark to bright on dark, from bright to dark on light", () => {
  for (const [ground, first, last] of /** @type {const} */ ([
    ["light", true, false],
    ["dark", false, true],
  ])) {
    const shades = shadesOf("weights", ground);
    assert.deepEqual([isBright(shades[0]), isBright(shades[254])], [first, last]);
  }
});

test("labels are as dense as they can be read", () => {
  assert.deepEqual(
    [40, 15, 10, 3, 0.2].map((cell) => stride(cell)),
    [1, 1, 2, 5, 100],
  );
});

test("the terms of a dot product", () => {
  const terms = products(Float32Array.from([1, 2, 3, 4]), Float32Array.from([5, 6, 7, 8]), 1, 0, 2);
  assert.deepEqual(terms, [
    { query: 3, key: 5, product: 15 },
    { query: 4, key: 6, product: 24 },
  ]);
});

test("files hold what was in them and nothing that runs", () => {
  assert.equal(
    csv([
      ["a", null, 0.5],
      ['x"y', "b,c", "=1+1"],
    ]),
    'a,,0.5\r\n"x""y","b,c",\'=1+1\r\n',
  );
  assert.equal(xml('<a b="c">&\u0000\u202e'), "&lt;a b=&quot;c&quot;&gt;&amp;\ufffd\u202e");
});
