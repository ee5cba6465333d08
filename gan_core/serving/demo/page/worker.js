// Computes graphs off the page's own thread: ONNX Runtime Web on one thread of the CPU, which needs no special headers.

import * as ort from "./onnxruntime-web/ort.wasm.bundle.min.js";

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = { wasm: new URL("./onnxruntime-web/ort-wasm-simd-threaded.wasm", import.meta.url).href };

const sessions = new Map(); // by the address of the graph
let last = Promise.resolve();

self.onmessage = ({ data }) => {
  last = last.then(() => answer(data)); // one after another: WebAssembly has one thread
};

async function answer({ id, graph, feeds }) {
  try {
    if (!sessions.has(graph)) sessions.set(graph, await opened(graph));
    const session = sessions.get(graph);
    const tensors = Object.entries(feeds).map(([name, { type, data, dims }]) => [
      name,
      new ort.Tensor(type, data, dims),
    ]);
    const start = performance.now();
    const outputs = await session.run(Object.fromEntries(tensors));
    const ms = performance.now() - start;
    const { type, data, dims } = outputs[session.outputNames[0]];
    self.postMessage({ id, output: { type, data, dims }, ms });
  } catch (error) {
    self.postMessage({ id, error: `${graph}: ${error.message ?? error}` });
  }
}

async function opened(graph) {
  const found = await fetch(graph);
  if (!found.ok) throw new Error(`the host answers ${found.status}`);
  return ort.InferenceSession.create(new Uint8Array(await found.arrayBuffer()), {
    executionProviders: ["wasm"],
    logSeverityLevel: 3,
  });
}
