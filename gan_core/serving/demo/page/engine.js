// Asks the worker that computes.

import { toPixels } from "./pixels.js";

const FIRST = 4; // rows that are computed at once, until it is known how long they take
const TURN = 100; // milliseconds that rows may take which are computed at once

const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
const waiting = new Map();
let asked = 0;

worker.onmessage = ({ data: { id, error, ...answer } }) => {
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  if (error) reject(new Error(error));
  else resolve(answer);
};
worker.onerror = ({ message }) => {
  const error = new Error(`this browser cannot start what computes (${message ?? "it gives no reason"})`);
  for (const { reject } of waiting.values()) reject(error);
  waiting.clear();
};

/** A graph (its address) on inputs {type, data, dims} by name: such an output, and the milliseconds it took. */
function compute(graph, feeds) {
  asked += 1;
  const id = asked;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    worker.postMessage({ id, graph, feeds });
  });
}

/**
 * What one of a role's graphs gives for n rows of its inputs, some at a time. `took.ms`: grows by the milliseconds that
 * computing took, loading the graph not included.
 */
export async function* outputs(role, graph, rows, n, took = { ms: 0 }) {
  const most = role.about.max_batch_size;
  for (let [from, to] = [0, Math.min(n, most, FIRST)]; from < n;) {
    const { output, ms } = await compute(role.address(graph.file), role.feeds(rows, from, to));
    took.ms += ms;
    yield { from, to, ...output };
    const next = Math.floor((TURN * (to - from)) / Math.max(ms, 0.1));
    [from, to] = [to, Math.min(n, to + Math.max(1, Math.min(most, next)))];
  }
}

/** The same image by image, as [its number, its pixels (H, W, C)]. */
export async function* images(role, graph, rows, n, took) {
  for await (const { from, to, data, type } of outputs(role, graph, rows, n, took)) {
    const pixels = type === "float32" ? toPixels(data, role.shape, role.bits) : data;
    const size = pixels.length / (to - from);
    for (let k = from; k < to; k += 1) yield [k, pixels.subarray((k - from) * size, (k - from + 1) * size)];
  }
}

/** The same all at once, as numbers side by side. */
export async function numbers(role, graph, rows, n, took) {
  const found = new Float32Array(n * role.shape[0]);
  for await (const { from, data } of outputs(role, graph, rows, n, took)) found.set(data, from * role.shape[0]);
  return found;
}

/** What a host has at an address. */
export async function fetched(address) {
  const answer = await fetch(address).catch(() => undefined);
  const why = answer ? `status ${answer.status}` : "no answer";
  if (!answer?.ok) throw new Error(`${address} cannot be fetched (${why}); reload the page`);
  return answer;
}
