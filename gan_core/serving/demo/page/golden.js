// The golden outputs of an export: a few inputs of every graph and what it gave for them (gan_core/export/golden.py).

import { inShades, toPixels } from "./pixels.js";
import { rowSize } from "./roles.js";

const SIDE = 128; // larger images are kept thinned out, about so many pixels across
const TYPES = { F32: Float32Array, I64: BigInt64Array, U8: Uint8Array, U16: Uint16Array };

/** The tensors of a safetensors file, {data, dims} by name. */
export function tensors(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const found = Object.entries(head).filter(([name]) => name !== "__metadata__");
  return Object.fromEntries(
    found.map(([name, { dtype, shape, data_offsets: [from, to] }]) => [
      name,
      { data: new TYPES[dtype](buffer.slice(8 + length + from, 8 + length + to)), dims: shape },
    ]),
  );
}

/** The rows of every input of a role as one of its graphs takes them, and how many there are. */
export function rowsOf(role, graph, kept) {
  const rows = {};
  for (const input of role.inputs) {
    const { data, dims } = kept[`input/${input.name}`];
    const asPixels = graph.pixels && dims.length === 4;
    rows[input.name] = asPixels ? toPixels(data, dims.slice(1), role.bits) : data;
  }
  const first = role.inputs[0];
  return { rows, n: rows[first.name].length / rowSize(first) };
}

/** What is kept of outputs: images larger than 128 pixels thinned out. */
export function thinned({ data, dims, type }) {
  if (dims.length !== 4) return data;
  const sides = dims.slice(1);
  const [a, b] = type.startsWith("uint") ? [0, 1] : [1, 2];
  const step = Math.max(1, Math.floor(Math.max(sides[a], sides[b]) / SIDE));
  if (step === 1) return data;
  const kept = [];
  for (let k = 0; k < data.length; k += 1) {
    const at = [Math.floor(k / (sides[1] * sides[2])) % sides[0], Math.floor(k / sides[2]) % sides[1], k % sides[2]];
    if (at[a] % step === 0 && at[b] % step === 0) kept.push(data[k]);
  }
  return data.constructor.from(kept);
}

/** How far outputs are from the golden ones, within a graph's own tolerance or not, and that in words. */
export function compared(got, expected, tolerance) {
  if (got.length !== expected.length) return { passed: false, says: `${got.length} numbers in place of ${expected.length}` };
  if (expected instanceof Float32Array) {
    const off = expected.reduce((most, value, k) => Math.max(most, Math.abs(got[k] - value)), 0);
    const passed = off <= tolerance.max_abs;
    return { passed, says: `differ by ${off.toPrecision(2)} at most (allowed: ${tolerance.max_abs})` };
  }
  const [here, there] = [inShades(got), inShades(expected)];
  const off = there.reduce((count, value, k) => count + (here[k] !== value), 0);
  const passed = off / there.length <= tolerance.pixels_off;
  const count = there.length.toLocaleString("en-US");
  return { passed, says: `${off.toLocaleString("en-US")} of ${count} pixels differ (allowed: ${100 * tolerance.pixels_off}%)` };
}
