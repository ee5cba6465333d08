// The golden outputs of an export: a few inputs of every graph and what it gave for them (gan_core/export/golden.py).

import { fetched, outputs } from "./engine.js";
import { inShades, toPixels } from "./pixels.js";

const SIDE = 128; // larger images are kept thinned out, about so many pixels across
const TYPES = { F32: Float32Array, I64: BigInt64Array, U8: Uint8Array, U16: Uint16Array };

const files = new Map(); // promises of tensors by the address of their file
const checks = new Map(); // promises of findings by the address of a graph

/** What a role's golden file holds: {data, dims} by name. */
export function kept(role) {
  const address = role.address(role.about.golden_outputs);
  if (!files.has(address))
    files.set(
      address,
      fetched(address)
        .then((file) => file.arrayBuffer())
        .then(tensors),
    );
  return files.get(address);
}

/** Whether this browser gives a graph's golden outputs, within the graph's own tolerance: {passed, says}. */
export function check(role, graph) {
  const address = role.address(graph.file);
  if (!checks.has(address)) checks.set(address, checked(role, graph));
  return checks.get(address);
}

async function checked(role, graph) {
  try {
    const found = await kept(role);
    const column = ({ data, dims }) =>
      graph.pixels && dims.length === 4 ? toPixels(data, dims.slice(1), role.bits) : data;
    const rows = Object.fromEntries(role.inputs.map(({ name }) => [name, column(found[`input/${name}`])]));
    const expected = found[`output/${graph.file}`];
    const got = new expected.data.constructor(expected.data.length);
    let filled = 0;
    for await (const output of outputs(role, graph, rows, expected.dims[0])) {
      const part = thinned(output);
      got.set(part, filled); // fails, where there is more than was kept
      filled += part.length;
    }
    return filled === got.length
      ? compared(got, expected.data, graph.tolerance)
      : { passed: false, says: `${filled} numbers in place of ${got.length}` };
  } catch (error) {
    return { passed: false, says: error.message };
  }
}

/** The tensors of a safetensors file. */
function tensors(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const start = 8 + length;
  const { __metadata__, ...head } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const read = ({ dtype, shape, data_offsets: [from, to] }) => ({
    data: new TYPES[dtype](buffer.slice(start + from, start + to)),
    dims: shape,
  });
  return Object.fromEntries(Object.entries(head).map(([name, entry]) => [name, read(entry)]));
}

/** What is kept of outputs: images larger than 128 pixels thinned out. */
function thinned({ data, dims, type }) {
  if (dims.length !== 4) return data;
  const [, x, y, z] = dims;
  const [a, b] = type.startsWith("uint") ? [0, 1] : [1, 2]; // which of the three are height and width
  const step = Math.max(1, Math.floor(Math.max([x, y, z][a], [x, y, z][b]) / SIDE));
  return data.filter((_, k) => {
    const at = [Math.floor(k / (y * z)) % x, Math.floor(k / z) % y, k % z];
    return at[a] % step === 0 && at[b] % step === 0;
  });
}

function compared(got, expected, tolerance) {
  if (expected instanceof Float32Array) {
    const off = expected.reduce((most, value, k) => Math.max(most, Math.abs(got[k] - value)), 0);
    return {
      passed: off <= tolerance.max_abs,
      says: `numbers differ by ${off.toPrecision(2)} at most (allowed: ${tolerance.max_abs})`,
    };
  }
  const [here, there] = [inShades(got), inShades(expected)];
  const off = there.reduce((count, value, k) => count + (here[k] !== value), 0);
  const [some, all] = [off, there.length].map((n) => n.toLocaleString("en-US"));
  return {
    passed: off / there.length <= tolerance.pixels_off,
    says: `${some} of ${all} pixels differ (allowed: ${100 * tolerance.pixels_off}%)`,
  };
}
