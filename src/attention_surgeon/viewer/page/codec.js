/** @file From the text in the page to numbers: base64, deflate, and codes on a square-root scale. */

/** @typedef {import("./types").Entry} Entry */

/**
 * @param {string} text base64
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function bytesOf(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i += 1) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/**
 * @param {string} text base64 of a raw deflate stream
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function unpacked(text) {
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * @param {string} text base64 of deflated float32, least byte first
 * @returns {Promise<Float32Array>}
 */
export async function floatsOf(text) {
  const bytes = await unpacked(text);
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

/**
 * Returns the weight that a code stands for: top (code / steps)².
 * @param {number} code
 * @param {number} top
 * @param {number} steps
 * @returns {number}
 */
export function weightOf(code, top, steps) {
  return top * (code / steps) ** 2;
}

/**
 * Returns the weight of a code with the least and the most that it may be. Code 0 is exactly 0.
 * @param {number} code
 * @param {number} top
 * @param {number} steps
 * @returns {import("./types").Reading}
 */
export function readingOf(code, top, steps) {
  const value = weightOf(code, top, steps);
  if (code === 0) return { value, low: 0, high: 0 };
  const low = code === 1 ? 0 : weightOf(code - 0.5, top, steps);
  return { value, low, high: weightOf(Math.min(code + 0.5, steps), top, steps) };
}

/**
 * Returns the weights of an entry and, where they were rounded, their codes.
 * @param {Entry} entry
 * @returns {Promise<{values: Float32Array, codes: Uint8Array | null}>}
 */
export async function weightsOf(entry) {
  if (entry.kind === "numbers") return { values: await floatsOf(entry.data), codes: null };
  const codes = await unpacked(entry.data);
  const table = Float32Array.from({ length: 256 }, (_, code) => weightOf(code, entry.top, entry.steps));
  const values = new Float32Array(codes.length);
  for (let i = 0; i < codes.length; i += 1) values[i] = table[codes[i]];
  return { values, codes };
}
