// Asks the worker that computes.

const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
const waiting = new Map();
let asked = 0;

worker.onmessage = ({ data: { id, error, ...answer } }) => {
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  if (error) reject(new Error(error));
  else resolve(answer);
};
worker.onerror = (event) => {
  const error = new Error(`this browser cannot start the worker that computes (${event.message ?? "no reason given"})`);
  for (const { reject } of waiting.values()) reject(error);
  waiting.clear();
};

/**
 * What a graph (its address) gives for inputs {name: {type, data, dims}}: its output as such a tensor, and the
 * milliseconds that computing took, loading the graph not included.
 */
export function compute(graph, feeds) {
  asked += 1;
  const id = asked;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    worker.postMessage({ id, graph, feeds });
  });
}
