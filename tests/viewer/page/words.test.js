import assert from "node:assert/strict";
import { test } from "node:test";
import {
  figure,
  number,
  percent,
  round,
  sentence,
  short,
  signed,
  visible,
  withError,
} from "../../../src/attention_surgeon/viewer/page/words.js";

test("a token is shown so that it can be read and cannot turn the text around it", () => {
  assert.equal(visible("cat"), "cat");
  assert.equal(visible(" cat"), " cat");
  assert.equal(visible("  "), "␣␣");
  assert.equal(visible(""), '""');
  assert.equal(visible("a\nb\tc\u0000"), "a\\nb\\tc\\u0000");
  assert.equal(visible("\u202egnp.exe"), "\\u202egnp.exe");
  assert.equal(visible("\u2028\u2029\ufeff"), "\\u2028\\u2029\\ufeff");
  assert.equal(visible("<script>"), "<script>");
  assert.equal(visible("👩‍🔬"), "👩‍🔬");
  assert.equal(visible("\ud800"), "\\ud800");
  assert.equal(visible("नमस्ते"), "नमस्ते");
});

test("a long token is cut, and quickly", () => {
  assert.equal(visible("abcdef", 4), "abc…");
  assert.equal(Array.from(visible("x".repeat(1_000_000))).length, 40);
  assert.ok(visible(`a${"\u0301".repeat(100_000)}`).length < 2000);
});

test("numbers have the digits that count", () => {
  assert.deepEqual([0, 1, 0.999, 0.5, 0.0999, 0.0123, 0.00123, 0.0000123].map(number), [
    "0",
    "1.00",
    "1.00",
    "0.50",
    "0.10",
    "0.012",
    "0.0012",
    "1.2e−5",
  ]);
  assert.deepEqual([0.5, -0.257].map(short), ["0.50", "−0.26"]);
  assert.deepEqual(
    [0, 1.23456, -0.0001234, Number.NEGATIVE_INFINITY].map((x) => signed(x)),
    ["0", "1.235", "−1.23e−4", "−∞"],
  );
  assert.equal(signed(0.25, true), "+0.25");
  assert.deepEqual([0, 0.125, -0.5, 0.001, 0.00001].map(round), ["0", "0.125", "−0.5", "0.001", "1e−5"]);
  assert.deepEqual([0, 0.00012, 0.5, 12.34, 321.9].map(figure), ["0", "1.20e−4", "0.500", "12.3", "322"]);
  assert.deepEqual([0, 0.0123, 0.5].map(percent), ["0 %", "1.2 %", "50 %"]);
});

test("what is known of a weight is said with its error, and not beyond it", () => {
  assert.equal(withError({ value: 0.25, low: 0.25, high: 0.25 }), "0.25");
  assert.equal(withError({ value: 0.25, low: 0.24, high: 0.262 }), "0.250 ± 0.01");
  assert.equal(withError({ value: 0, low: 0, high: 0 }), "0");
});

test("a weight as a sentence", () => {
  assert.equal(sentence("sat", "cat", 0.41), "'sat' gives 0.41 of its attention to 'cat'");
  assert.equal(sentence("sat", "cat", 0), "'sat' gives nothing to 'cat'");
});
