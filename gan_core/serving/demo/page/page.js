// The page: what can be asked of a generator follows from its manifest, and this browser computes it.

import { button, choice, element, field, segments, slider } from "./controls.js";
import { compute } from "./engine.js";
import { compared, rowsOf, tensors, thinned } from "./golden.js";
import { drawn, HIGHEST, LOWEST } from "./latents.js";
import { fitted, paint, toFloats, toPixels } from "./pixels.js";
import { frame, plot } from "./plots.js";
import { feeds, precisionName, Role } from "./roles.js";
import { forget, give, given, read, state, write } from "./state.js";
import { between, moved } from "./walks.js";

const MODES = [["samples", "Samples"], ["between", "Between two seeds"], ["coordinate", "One coordinate"]];
const COUNTS = { image: [1, 4, 16, 36, 64], point: [256, 1024, 4096] };
const USUAL = { image: 16, point: 1024 };
const FRAMES = 9; // of a walk
const WAY = 65; // points of a walk through points
const AT_ONCE = 16; // rows that are computed before they are shown
const IN_LINE = 12; // values that stand side by side
const REACH = { normal: 3, uniform: 1 };
const CRISP = 96; // pixels of a side up to which images are enlarged without blur
const SECONDS = 6; // that a walk takes as it plays
const FIGURES = ["fd", "kid", "precision", "recall", "coverage", "label_accuracy", "category_accuracy", "translation_r2",
  "cycle_l1", "reconstruction_mse", "reconstruction_class_kept"];
const COLOURS = { 1: "grey", 3: "RGB", 4: "RGBA" };

const at = (id) => document.getElementById(id);
const count = (n) => n.toLocaleString("en-US");

let demo; // what demo.json says
let role; // the Role that is shown
let view; // what its samples are shown in
let picture; // of a role that takes pictures: {pixels, says}
let playing = false;

// ---- what is asked for ----

const seedOf = (text) => {
  const trimmed = text.trim().replace("\u2212", "-");
  if (!/^[+-]?\d+$/.test(trimmed)) return undefined;
  const seed = BigInt(trimmed.replace("+", ""));
  return seed >= LOWEST && seed <= HIGHEST - 5000n ? seed : undefined;
};
const kind = () => (role.makesImages ? "image" : "point");
const isWalk = () => state.mode !== "samples";
const precision = () => (state.precision in role.graphs ? state.precision : Object.keys(role.graphs)[0]);
const graph = () => role.graphs[precision()];
const mass = () => (role.isNormal ? Math.min(1, Math.max(0.01, Number(state.mass) || 1)) : 1);
const seeds = (n) => Array.from({ length: n }, (_, k) => seed() + BigInt(k));
const seed = () => seedOf(state.seed) ?? 0n;
const moving = () => [role.noise, ...role.codes].find((i) => i.name === state.input) ?? role.noise;
const place = () => Math.min(moving().size - 1, Math.max(0, Math.floor(Number(state.place)) || 0));

/** The whole numbers that are given of an input: one, or all in turn; undefined, where the seed draws them. */
function chosen(input) {
  const said = given(input.name);
  const all = Array.from({ length: input.size }, (_, k) => k);
  const found = input.classes?.includes(said) ? input.classes.indexOf(said) : said === "" || said === "turn" ? said : Number(said);
  if (all.includes(found)) return [found];
  const usual = input.prior === "label" ? "turn" : "";
  return (found === "turn" ? "turn" : usual) === "turn" ? (isWalk() ? [0] : all) : undefined;
}

/** The numbers that are given of a code; undefined, where the seed draws them. */
function dialled(input) {
  const numbers = given(input.name).split(",").map(Number);
  return given(input.name) && numbers.length === input.size && numbers.every(Number.isFinite) ? numbers : undefined;
}

/** Rows of every input for seeds, as `gan sample` has them: whole numbers in turn, the rest drawn or given. */
function rowsFor(some) {
  return Object.fromEntries(
    role.inputs.map((input) => {
      const numbers = ["label", "category"].includes(input.prior) ? chosen(input) : undefined;
      if (numbers) return [input.name, BigInt64Array.from(some, (_, k) => BigInt(numbers[k % numbers.length]))];
      const row = role.codes.includes(input) ? dialled(input) : undefined;
      if (row) return [input.name, Float32Array.from({ length: some.length * row.length }, (_, k) => row[k % row.length])];
      return [input.name, drawn(input, some, mass())];
    }),
  );
}

/** Rows on the way from the seed to the other one; whole numbers are those of the nearer seed. */
function rowsBetween(shares) {
  const [a, b] = [seed(), seedOf(state.to) ?? 0n].map((one) => rowsFor([one]));
  return joined(shares.map((t) =>
    Object.fromEntries(role.inputs.map(({ name, prior }) =>
      [name, a[name] instanceof Float32Array ? between(prior, a[name], b[name], t) : (t < 0.5 ? a : b)[name]]))));
}

/** Rows of the seed, one number of one input set to each value. */
function rowsAt(values) {
  const row = rowsFor([seed()]);
  const { name } = moving();
  return joined(values.map((value) => ({ ...row, [name]: moved(row[name], place(), value) })));
}

function joined(rows) {
  return Object.fromEntries(Object.keys(rows[0]).map((name) => {
    const parts = rows.map((row) => row[name]);
    const made = new parts[0].constructor(parts.length * parts[0].length);
    parts.forEach((part, k) => made.set(part, k * part.length));
    return [name, made];
  }));
}

// ---- computing ----

/** What a role's graph gives for n rows, some at a time; `took`: adds up milliseconds. */
async function* outputs(of, file, rows, n, took = { ms: 0 }, atOnce = AT_ONCE) {
  const most = Math.min(of.about.max_batch_size, atOnce);
  for (let from = 0; from < n; from += most) {
    const to = Math.min(n, from + most);
    const { output, ms } = await compute(of.address(file), feeds(of, rows, from, to));
    took.ms += ms;
    yield { from, to, ...output };
  }
}

/** An output's images one by one, as pixels (H, W, C). */
function* images(of, { from, to, data, type }) {
  const size = data.length / (to - from);
  const pixels = type === "float32" ? toPixels(data, of.shape, of.bits) : data;
  for (let k = from; k < to; k += 1) yield [k, pixels.subarray((k - from) * size, (k - from + 1) * size)];
}

/** The points that a role gives for n rows, all of them. */
async function pointsOf(rows, n, took) {
  const found = new Float32Array(n * role.shape[0]);
  for await (const { from, data } of outputs(role, graph().file, rows, n, took, 1024)) found.set(data, from * role.shape[0]);
  return found;
}

let wished = 0;
let isDrawing = false;

/** Show what is asked for now; what was asked for meanwhile comes next, and nothing between. */
async function draw() {
  wished += 1;
  if (isDrawing) return;
  isDrawing = true;
  let served = 0;
  try {
    while (served !== wished) {
      served = wished;
      document.body.dataset.busy = "";
      await show(() => served !== wished);
    }
    say();
    delete document.body.dataset.busy;
    document.body.dataset.shown = wished;
    checkGolden();
  } catch (error) {
    delete document.body.dataset.busy;
    say(error.message);
  } finally {
    isDrawing = false;
  }
}

/** What went wrong, or nothing. */
function say(problem = "") {
  at("problem").textContent = problem;
  at("problem").hidden = !problem;
}

/** One pass: compute what the view needs, and show how long it took. */
async function show(isStale) {
  const took = { ms: 0 };
  const what = await view(took, isStale);
  if (isStale() || !what) return;
  const [n, noun] = what;
  const each = n > 1 ? `, ${(took.ms / n).toPrecision(3)} ms each` : "";
  at("timing").textContent = `${count(n)} ${noun}${n === 1 ? "" : "s"} in ${took.ms.toPrecision(3)} ms${each}, computed in this browser ` +
    `(ONNX Runtime Web ${demo.onnxruntime_web}, WebAssembly, one thread)`;
}

// ---- golden outputs ----

const checks = new Map(); // by the address of a graph

/** Say whether this browser gives the golden outputs of the graph that is shown. */
async function checkGolden() {
  const [of, { file, tolerance, pixels }] = [role, graph()];
  const address = of.address(file);
  if (!checks.has(address)) checks.set(address, golden(of, file, tolerance, pixels).catch((error) => ({ passed: false, says: error.message })));
  at("golden").textContent = "golden outputs: computing\u2026";
  at("golden").className = "";
  const { passed, says } = await checks.get(address);
  if (role !== of || graph().file !== file) return;
  at("golden").textContent = `golden outputs: ${says}`;
  at("golden").className = passed ? "good" : "bad";
}

const kept = new Map(); // golden files by address

function goldenOf(of) {
  const address = of.address(of.about.golden_outputs);
  if (!kept.has(address)) kept.set(address, fetched(address).then((found) => found.arrayBuffer()).then(tensors));
  return kept.get(address);
}

async function golden(of, file, tolerance, pixels) {
  const found = await goldenOf(of);
  const { rows, n } = rowsOf(of, { pixels }, found);
  const got = [];
  for await (const output of outputs(of, file, rows, n, undefined, 4)) got.push(thinned(output));
  const whole = new got[0].constructor(got.reduce((sum, part) => sum + part.length, 0));
  got.reduce((from, part) => (whole.set(part, from), from + part.length), 0);
  return compared(whole, found[`output/${file}`].data, tolerance);
}

async function fetched(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address}: the host answers ${answer.status}`);
  return answer;
}

// ---- views: each fills #view, and is a function that computes and shows, and returns how many of what ----

/** A canvas for one image of a role. */
function canvasOf(of) {
  const [channels, high, wide] = of.shape;
  const crisp = Math.max(high, wide) <= CRISP ? "crisp" : "";
  return element("canvas", { className: `${crisp} ${channels === 4 ? "alpha" : ""}`, width: wide, height: high, role: "img" });
}

/** Columns of a grid: of classes in turn a column each. */
function columnsOf(n) {
  const turn = [...role.labels, ...role.categories].map(chosen).find((numbers) => numbers?.length > 1);
  return turn && turn.length <= IN_LINE && n >= turn.length ? turn.length : Math.ceil(Math.sqrt(n));
}

function grid(n, columns) {
  const [, high, wide] = role.shape;
  const made = element("div", { className: "grid" });
  made.style.setProperty("--columns", columns);
  made.style.setProperty("--narrow", columns > 6 ? Math.ceil(columns / 2) : columns);
  made.style.setProperty("--aspect", (columns * wide) / (Math.ceil(n / columns) * high));
  made.style.setProperty("--least", `${Math.min(columns * wide, 320)}px`);
  return made;
}

function samplesView() {
  const n = counted();
  const columns = columnsOf(n);
  const cells = Array.from({ length: n }, () => {
    const canvas = canvasOf(role);
    const caption = element("span", {});
    return { canvas, caption, cell: button(canvas, undefined, { className: "cell" }) };
  });
  for (const { cell, caption } of cells) cell.append(caption);
  const made = grid(n, columns);
  made.append(...cells.map(({ cell }) => cell));
  at("view").replaceChildren(made);
  return async (took, isStale) => {
    const some = seeds(n);
    const rows = rowsFor(some);
    for await (const output of outputs(role, graph().file, rows, n, took)) {
      if (isStale()) return undefined;
      for (const [k, pixels] of images(role, output)) {
        const { canvas, caption, cell } = cells[k];
        paint(canvas, pixels, role.shape);
        const words = wordsOf(rows, k);
        caption.textContent = [some[k], ...words].join(" \u00b7 ");
        canvas.ariaLabel = `seed ${[some[k], ...words].join(", ")}`;
        cell.title = n > 1 ? "Show it alone" : "";
        cell.disabled = n === 1;
        cell.onclick = () => alone(some[k], rows, k);
      }
    }
    return [n, "picture"];
  };
}

/** The labels and categories of a row in words, where they are not the same for all. */
function wordsOf(rows, k) {
  const varied = [...role.labels, ...role.categories].filter((i) => chosen(i)?.length !== 1);
  return varied.map((i) => i.classes?.[Number(rows[i.name][k])] ?? `${i.name} ${rows[i.name][k]}`);
}

/** One sample, large; Back shows all again. */
function alone(one, rows, k) {
  for (const input of role.labels) give(input.name, said(input, Number(rows[input.name][k])));
  for (const input of role.categories) if (chosen(input)) give(input.name, String(rows[input.name][k]));
  Object.assign(state, { seed: String(one), n: "1" });
  write(true);
  buildMode();
}

const said = (input, number) => input.classes?.[number] ?? String(number);

function walkView() {
  const large = canvasOf(role);
  const shares = Array.from({ length: FRAMES }, (_, k) => k / (FRAMES - 1));
  const strip = grid(FRAMES, FRAMES);
  strip.classList.add("strip");
  const cells = shares.map((t) => {
    const canvas = canvasOf(role);
    strip.append(button(canvas, () => walkTo(t), { className: "cell" }));
    return canvas;
  });
  const one = grid(1, 1);
  one.append(element("div", { className: "cell" }, large));
  at("view").replaceChildren(one, wayControl(), strip);
  let last = ""; // what the strip shows
  return async (took, isStale) => {
    const now = JSON.stringify({ ...state, t: 0, value: 0 });
    for await (const output of outputs(role, graph().file, rowsOn([shareNow()]), 1, took)) {
      for (const [, pixels] of images(role, output)) paint(large, pixels, role.shape);
    }
    large.ariaLabel = `${wayWords(shareNow())}`;
    if (now === last || isStale()) return [1, "picture"];
    for await (const output of outputs(role, graph().file, rowsOn(shares), FRAMES, took)) {
      if (isStale()) return undefined;
      for (const [k, pixels] of images(role, output)) {
        paint(cells[k], pixels, role.shape);
        cells[k].ariaLabel = wayWords(shares[k]);
      }
    }
    last = now;
    return [FRAMES + 1, "picture"];
  };
}

/** The rows of a walk at shares of its way. */
function rowsOn(shares) {
  if (state.mode === "between") return rowsBetween(shares);
  const reach = REACH[moving().prior];
  return rowsAt(shares.map((t) => reach * (2 * t - 1)));
}

/** Where on its way a walk is: of one number, as it was drawn until it is set. */
function shareNow() {
  if (state.mode === "between") return Math.min(1, Math.max(0, Number(state.t) || 0));
  const reach = REACH[moving().prior];
  const value = state.value === "" ? rowsFor([seed()])[moving().name][place()] : Number(state.value);
  return (value / reach + 1) / 2;
}

function wayWords(t) {
  if (state.mode === "between") return `${Math.round(100 * t)}% of the way`;
  return `${moving().name}[${place()}] = ${signed(REACH[moving().prior] * (2 * t - 1))}`;
}

const signed = (value) => value.toFixed(2).replace("-", "\u2212");

function walkTo(t) {
  if (state.mode === "between") state.t = String(t);
  else state.value = String(REACH[moving().prior] * (2 * t - 1));
  write();
  const way = at("way");
  way.value = t;
  way.dispatchEvent(new Event("input"));
}

/** The slider under a walk, and what kind of way it is. */
function wayControl() {
  const isBetween = state.mode === "between";
  const set = (t) => {
    if (isBetween) state.t = t;
    else state.value = String(REACH[moving().prior] * (2 * Number(t) - 1));
    write();
    draw();
  };
  const name = isBetween ? "The way" : `The value of ${moving().name}[${place()}]`;
  const way = slider("way", name, { least: 0, most: 1, step: "any" }, shareNow(), wayWords, set);
  const play = button("Play", () => {
    playing = !playing;
    play.textContent = playing ? "Stop" : "Play";
    if (playing) step(play, performance.now(), Number(at("way").value));
  }, { id: "play" });
  return element("div", { className: "way" }, way, play, element("p", { className: "note" }, isBetween ? kindOfWay() : kindOfNumber()));
}

function kindOfWay() {
  const kinds = [role.noise, ...role.codes].map((i) => `${i.name} ${i.prior === "normal" ? "along the great circle (spherical interpolation)" : "straight (linear interpolation)"}`);
  const rest = role.categories.length ? "; a category is that of the nearer seed" : "";
  return `From seed ${state.seed} to seed ${state.to}: ${kinds.join(", ")}${rest}.`;
}

function kindOfNumber() {
  return `${moving().prior === "normal" ? `A normal number, of which 99.7% lie between \u22123 and 3` : "A uniform number between \u22121 and 1"}; all else is as seed ${state.seed} draws it.`;
}

/** Go to and fro while it plays. */
function step(play, start, from) {
  requestAnimationFrame((now) => {
    if (!playing || !play.isConnected) {
      playing = false;
      return;
    }
    const along = from + (now - start) / 1000 / SECONDS;
    const t = along % 2 < 1 ? along % 2 : 2 - (along % 2);
    if (!isDrawing) walkTo(t);
    step(play, start, from);
  });
}

const clouds = new Map(); // reference points by the address of a graph

/** Points of the whole distribution, labels in turn, and the axes around them. */
async function reference() {
  const address = role.address(graph().file);
  if (!clouds.has(address)) {
    const some = Array.from({ length: 1024 }, (_, k) => BigInt(k));
    const rows = Object.fromEntries(role.inputs.map((input) =>
      [input.name, input.prior === "label" ? BigInt64Array.from(some, (k) => k % BigInt(input.size)) : drawn(input, some)]));
    const points = await pointsOf(rows, some.length);
    clouds.set(address, { points, ends: frame(points, role.shape[0]) });
  }
  return clouds.get(address);
}

function cloudView() {
  const n = counted();
  const canvas = element("canvas", { className: "cloud", role: "img" });
  at("view").replaceChildren(...(isWalk() ? [canvas, wayControl()] : [canvas]));
  return async (took, isStale) => {
    const { points: behind, ends } = await reference();
    const size = role.shape[0];
    if (isWalk()) {
      const way = Array.from({ length: WAY }, (_, k) => k / (WAY - 1));
      const path = await pointsOf(rowsOn(way), WAY, took);
      const here = await pointsOf(rowsOn([shareNow()]), 1, took);
      if (isStale()) return undefined;
      plot(canvas, size, ends, { behind, path, at: here });
      canvas.ariaLabel = `${WAY} points on the way; now at ${[...here].map(signed).join(", ")}`;
      return [WAY + 1, "point"];
    }
    const points = await pointsOf(rowsFor(seeds(n)), n, took);
    if (isStale()) return undefined;
    plot(canvas, size, ends, { points });
    canvas.ariaLabel = `${count(n)} points of seeds ${state.seed} to ${seed() + BigInt(n - 1)}`;
    return [n, "point"];
  };
}

/** Of a role that takes pictures: what the graph gets, what it gives, and what the role that undoes it makes of that. */
function pictureView() {
  const back = role.counterpart;
  const panel = (of, title, says) => {
    const canvas = canvasOf(of);
    return [canvas, element("figure", {}, canvas, element("figcaption", {}, element("b", {}, title), ` ${says}`))];
  };
  const taken = { shape: role.source.shape.slice(1) };
  const [input, inputPanel] = panel(taken, "In", "");
  const numbers = element("div", { className: "numbers" });
  const [output, outputPanel] = role.makesImages
    ? panel(role, "Out", `by ${role.name}`)
    : [numbers, element("figure", {}, numbers, element("figcaption", {}, element("b", {}, "Latent"), ` ${role.about.output.name}, ${role.shape[0]} numbers`))];
  const [again, backPanel] = back ? panel(back, "Back", `by ${back.name}`) : [];
  at("view").replaceChildren(element("div", { className: "panels" }, inputPanel, outputPanel, ...(back ? [backPanel] : [])));
  return async (took, isStale) => {
    const { pixels, says } = picture ?? (await heldOut(Number(state.held) || 0));
    const value = graph().pixels ? pixels : toFloats(pixels, taken.shape, role.bits);
    paint(input, pixels, taken.shape);
    input.ariaLabel = `what the graph gets: ${says}`;
    inputPanel.lastChild.lastChild.textContent = ` ${says}`;
    const { output: made, ms } = await compute(role.address(graph().file), feeds(role, { [role.source.name]: value }, 0, 1));
    took.ms += ms;
    if (isStale()) return undefined;
    if (role.makesImages) {
      for (const [, found] of images(role, { from: 0, to: 1, ...made })) paint(output, found, role.shape);
      output.ariaLabel = `what ${role.name} gives`;
    } else bars(numbers, made.data);
    if (!back) return [1, "picture"];
    const backGraph = back.graphs[precision()] ?? Object.values(back.graphs)[0];
    const turned = made.data instanceof Float32Array && backGraph.pixels && back.source ? toPixels(made.data, role.shape, role.bits) : made.data;
    const returned = await compute(back.address(backGraph.file), feeds(back, { [back.inputs[0].name]: turned }, 0, 1));
    took.ms += returned.ms;
    if (isStale()) return undefined;
    for (const [, found] of images(back, { from: 0, to: 1, ...returned.output })) paint(again, found, back.shape);
    again.ariaLabel = `what ${back.name} makes of that`;
    return [2, "picture"];
  };
}

function bars(numbers, values) {
  const most = Math.max(3, ...values.map(Math.abs));
  numbers.replaceChildren(...[...values].map((value) => {
    const bar = element("i", { className: value < 0 ? "below" : "" });
    bar.style.setProperty("--share", Math.abs(value) / most);
    return element("div", { title: signed(value) }, bar);
  }));
  numbers.setAttribute("role", "img");
  numbers.ariaLabel = `latent: ${[...values].map(signed).join(", ")}`;
}

/** One of the held-out samples that lie in the golden file. */
async function heldOut(k) {
  const { data, dims } = (await goldenOf(role))[`input/${role.source.name}`];
  const [n, ...shape] = dims;
  const size = data.length / n;
  const which = Math.min(n - 1, Math.max(0, k));
  return { n, pixels: toPixels(data.slice(which * size, (which + 1) * size), shape, role.bits), says: `held-out sample ${which}` };
}

// ---- controls ----

const countsOf = () => {
  const turn = columnsOf(IN_LINE);
  const isTurn = role.labels.some((i) => chosen(i).length > 1) && turn <= IN_LINE;
  return COUNTS[kind()].map((n) => (kind() === "image" && isTurn && n > 1 ? Math.ceil(n / turn) * turn : n));
};
const counted = () => {
  const usual = COUNTS[kind()].indexOf(USUAL[kind()]);
  return Math.min(4096, Math.max(1, Math.floor(Number(state.n)) || countsOf()[usual]));
};

function set(name, value, then = draw) {
  state[name] = String(value);
  write();
  then();
}

/** Build something again, with the focus where it was. */
function again(build) {
  return () => {
    const { id } = document.activeElement ?? {};
    build();
    if (id) at(id)?.focus();
  };
}

function seedField(id, name, key, stride) {
  const input = element("input", { id, type: "text", inputMode: "numeric", value: state[key], size: 8, autocomplete: "off", spellcheck: false });
  const use = (value) => {
    const bad = seedOf(String(value)) === undefined;
    input.setCustomValidity(bad ? "a whole number of 64 bits" : "");
    input.toggleAttribute("aria-invalid", bad);
    if (bad) return;
    if (input.value !== String(value)) input.value = value;
    set(key, String(seedOf(String(value))), isWalk() ? again(buildMode) : draw);
  };
  input.onchange = () => use(input.value);
  const now = () => seedOf(state[key]) ?? 0n;
  return element("div", { className: "seed" },
    field(name, input),
    button("\u25c2", () => use(now() - BigInt(stride())), { "aria-label": `${name}: previous`, title: "Previous" }),
    button("\u25b8", () => use(now() + BigInt(stride())), { "aria-label": `${name}: next`, title: "Next" }),
    button("Random", () => use(crypto.getRandomValues(new Uint32Array(1))[0]), { "aria-label": `${name}: random` }));
}

function wholeControl(input) {
  const isLabel = input.prior === "label";
  const options = Array.from({ length: input.size }, (_, k) => [said(input, k), input.classes ? input.classes[k] : `${k}`]);
  const turn = isWalk() ? [] : [["turn", "all in turn"]];
  const own = isLabel ? [] : [["", "drawn by the seed"]];
  const now = chosen(input);
  const value = now === undefined ? "" : now.length > 1 ? "turn" : said(input, now[0]);
  return choice(`given-${input.name}`, input.name, [...own, ...turn, ...options], value, (v) => {
    give(input.name, v === "turn" && isLabel ? "" : v);
    state.n = state.n === "1" ? "1" : "";
    write();
    again(buildMode)();
  });
}

function codeControls(input) {
  const numbers = dialled(input);
  const reach = REACH[input.prior];
  const sliders = Array.from({ length: input.size }, (_, k) =>
    slider(`code-${input.name}-${k}`, input.size > 1 ? `${input.name}[${k}]` : input.name, { least: -reach, most: reach, step: 0.01 },
      numbers?.[k] ?? 0, (v) => (dialled(input) ? signed(v) : "drawn by the seed"), (v) => {
        const next = dialled(input) ?? new Array(input.size).fill(0);
        const first = !dialled(input);
        next[k] = Number(v);
        give(input.name, next.join(","));
        write();
        if (first) again(buildMode)();
        else draw();
      }));
  const release = button("Let the seed draw it", () => {
    give(input.name, "");
    write();
    again(buildMode)();
  }, { disabled: !numbers, id: `release-${input.name}` });
  return [...sliders, release];
}

function buildMode() {
  playing = false;
  if (role.source) {
    at("bar").replaceChildren(...pictureControls());
    at("side").replaceChildren(about());
    view = pictureView();
    draw();
    return;
  }
  const isMany = state.mode === "samples";
  const bar = [seedField("seed", state.mode === "between" ? "From seed" : "Seed", "seed", () => (isMany ? counted() : 1))];
  if (state.mode === "between") bar.push(seedField("to", "To seed", "to", () => 1));
  if (isMany) {
    const now = counted();
    const counts = [...new Set([...countsOf(), now])].sort((a, b) => a - b);
    bar.push(choice("n", "Samples", counts.map((n) => [String(n), count(n)]), String(now), (n) => set("n", n, again(buildMode))));
  }
  bar.push(...role.labels.map(wholeControl));
  at("bar").replaceChildren(...bar);
  const side = [...role.categories.map(wholeControl)];
  if (state.mode === "coordinate") {
    const inputs = [role.noise, ...role.codes];
    if (inputs.length > 1) {
      side.push(choice("input", "Of the input", inputs.map((i) => [i.name, i.name]), moving().name, (name) => {
        Object.assign(state, { place: "0", value: "" });
        set("input", name, again(buildMode));
      }));
    }
    side.push(slider("place", "Coordinate", { least: 0, most: moving().size - 1, step: 1 }, place(), (k) => `${k} of 0 to ${moving().size - 1}`, (k) => {
      state.value = "";
      set("place", k, again(buildMode));
    }));
  }
  side.push(...role.codes.flatMap(codeControls));
  if (role.isNormal) side.push(massControl());
  at("side").replaceChildren(...(side.length ? [section("Latents", ...side)] : []), ...(isMany ? [command()] : []), about());
  view = role.makesImages ? (isWalk() ? walkView() : samplesView()) : cloudView();
  draw();
}

function massControl() {
  const words = (v) => (v >= 1 ? "1.00, all of the normal" : v.toFixed(2));
  const made = slider("mass", "Central mass", { least: 0.05, most: 1, step: 0.01 }, mass(), words, (v) => set("mass", v, () => {
    tellCommand();
    draw();
  }));
  made.append(element("small", {}, "The central share of the normal distribution that latents are drawn from."));
  return made;
}

function pictureControls() {
  const file = element("input", { type: "file", id: "file", accept: "image/*" });
  const drop = element("label", { className: "drop" }, file, element("span", {}, element("b", {}, "Choose a picture"), " or drop one here"));
  const use = async (chosenFile) => {
    if (!chosenFile) return;
    const shape = role.source.shape.slice(1);
    try {
      const bitmap = await createImageBitmap(chosenFile);
      const [, high, wide] = shape;
      picture = {
        pixels: fitted(bitmap, shape, role.bits),
        says: `${chosenFile.name}: ${bitmap.width} \u00d7 ${bitmap.height}, cropped in its middle to ${aspect(wide, high)} and resized to ${wide} \u00d7 ${high}`,
      };
      mark();
      draw();
    } catch {
      say(`${chosenFile.name} is no picture that this browser can read`);
    }
  };
  file.onchange = () => use(file.files[0]);
  drop.ondragover = (event) => {
    event.preventDefault();
    drop.classList.add("over");
  };
  drop.ondragleave = () => drop.classList.remove("over");
  drop.ondrop = (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    use(event.dataTransfer.files[0]);
  };
  const strip = element("div", { className: "held", role: "group", "aria-label": "Held-out samples" });
  const mark = () => [...strip.children].forEach((one, k) => one.setAttribute("aria-pressed", String(!picture && k === (Number(state.held) || 0))));
  heldOut(0).then(async ({ n }) => {
    for (let k = 0; k < n; k += 1) {
      const canvas = canvasOf({ shape: role.source.shape.slice(1) });
      paint(canvas, (await heldOut(k)).pixels, role.source.shape.slice(1));
      strip.append(button(canvas, () => {
        picture = undefined;
        file.value = "";
        set("held", k);
        mark();
      }, { "aria-label": `held-out sample ${k}` }));
    }
    mark();
  }).catch((error) => say(error.message));
  return [drop, element("div", { className: "field" }, element("span", {}, "Held-out samples"), strip)];
}

function aspect(wide, high) {
  const divisor = (a, b) => (b ? divisor(b, a % b) : a);
  return `${wide / divisor(wide, high)}:${high / divisor(wide, high)}`;
}

// ---- beside it ----

function section(title, ...children) {
  return element("section", {}, element("h2", {}, title), ...children);
}

/** The command that draws the same. */
function command() {
  const code = element("code", { id: "command" });
  const copy = button("Copy", () => navigator.clipboard?.writeText(code.textContent).then(() => {
    copy.textContent = "Copied";
  }));
  queueMicrotask(tellCommand);
  return section("The same on a command line", element("pre", {}, code), copy);
}

const quoted = (text) => (/^[\w./=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

function tellCommand() {
  if (!at("command")) return;
  const options = ["--seed", String(seed()), "--n", String(counted())];
  const others = Object.keys(role.manifest.roles).filter((name) => name !== role.name && !new Role(role.folder, role.manifest, name).source);
  if (others.length) options.push("--role", role.name);
  if (precision() !== "fp32") options.push("--file", graph().file);
  if (mass() < 1) options.push("--central-mass", String(mass()));
  for (const input of [...role.labels, ...role.categories, ...role.codes]) {
    const value = given(input.name);
    const all = Array.from({ length: input.size }, (_, k) => k).join(",");
    if (value === "turn" && input.prior === "category") options.push("--given", `${input.name}=${all}`);
    else if (value && value !== "turn") options.push("--given", `${input.name}=${value}`);
  }
  at("command").textContent = ["gan", "sample", `exported/${role.manifest.run}`, ...options].map(quoted).join(" ");
}

/** What the run is, and how good. */
function about() {
  const { manifest, name, about: entry } = role;
  const { notes } = entry.provenance;
  const figures = manifest.metrics?.[name] ?? {};
  const [channels, high, wide] = role.shape;
  const gives = role.makesImages ? `${wide} \u00d7 ${high} pixels, ${COLOURS[channels] ?? `${channels} channels`}, ${role.bits} bits` : role.space === "latent" ? `a latent of ${role.shape[0]} numbers` : `points of ${role.shape[0]} numbers`;
  const takes = role.inputs.map((i) => `${i.name} (${takesWords(i)})`).join(", ");
  const rows = Object.entries(figures).filter(([key, value]) => typeof value === "number" && FIGURES.some((f) => key === f || key.startsWith(`${f}_`)) && !key.includes("class_lite0"));
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...["measure", "samples", "real"].map((h) => element("th", { scope: "col" }, h)))),
    element("tbody", {}, ...rows.map(([key, value]) => element("tr", {}, element("th", { scope: "row" }, key), element("td", {}, number(value)), element("td", {}, key in (figures.real ?? {}) ? number(figures.real[key]) : "")))));
  const link = (file, words) => element("a", { href: role.address(file) }, words);
  return section("About",
    element("dl", {}, ...[["Paper", notes.variant], ["Data", manifest.dataset], ["Trained", `${count(Number(notes.steps))} steps`], ["Takes", takes], ["Gives", gives], ["Graph", `${graph().file} (${precisionName(precision())})`]]
      .flatMap(([term, words]) => [element("dt", {}, term), element("dd", {}, words)])),
    ...(rows.length ? [table] : []),
    ...Object.values(figures.verdicts ?? {}).map((verdict) => element("p", { className: "verdict" }, sentence(verdict))),
    element("p", { className: "links" }, ...("README.md" in manifest.files ? [link("README.md", "Card"), " "] : []), link("manifest.json", "Manifest")));
}

const sentence = (words) => `${words[0].toUpperCase()}${words.slice(1)}.`;
const number = (value) => value.toPrecision(3).replace("-", "\u2212");

function takesWords(input) {
  if (input === role.source) return `a picture, ${input.shape.slice(1).join(" \u00d7 ")}`;
  if (input.prior === "label") return `${input.size} classes`;
  if (input.prior === "category") return `a category of ${input.size}`;
  return `${input.size} ${input.prior} numbers`;
}

// ---- the run ----

function buildRole() {
  picture = undefined;
  const modes = role.source ? [] : [segments("mode", "What to see", MODES, state.mode, (mode) => set("mode", mode, again(buildMode)))];
  at("modes").replaceChildren(...modes);
  buildMode();
}

async function buildRun() {
  const { run, folder } = demo.runs.find((one) => one.run === state.run) ?? demo.runs[0];
  const address = new URL(`${folder}/`, document.baseURI).href;
  const manifest = await (await fetched(`${address}manifest.json`)).json();
  const roles = Object.keys(manifest.roles).map((name) => new Role(address, manifest, name));
  const usable = roles.filter((one) => one.isShown);
  role = usable.find((one) => one.name === state.role) ?? usable[0];
  document.title = `${run} \u00b7 GAN Foundry demo`;
  if (!MODES.some(([mode]) => mode === state.mode)) state.mode = "samples";
  const start = (name, value, then) => {
    forget();
    if (name === "run") state.role = "";
    set(name, value, then);
  };
  at("choice").replaceChildren(
    choice("run", "Run", demo.runs.map((one) => [one.run, one.run]), run, (value) => start("run", value, guarded(again2(buildRun)))),
    ...(usable.length > 1 ? [choice("role", "Role", usable.map((one) => [one.name, one.name]), role.name, (value) => start("role", value, guarded(again2(buildRun))))] : []),
    ...(Object.keys(role.graphs).length > 1
      ? [choice("precision", "Graph", Object.keys(role.graphs).map((p) => [p, precisionName(p)]), precision(), (value) => set("precision", value, again(buildMode)))]
      : []),
  );
  buildRole();
}

const again2 = (build) => async () => {
  const { id } = document.activeElement ?? {};
  await build();
  if (id) at(id)?.focus();
};

/** Say what goes wrong in a sentence. */
const guarded = (build) => () => build().catch((error) => say(error.message));

async function start() {
  demo = await (await fetched(new URL("demo.json", document.baseURI).href)).json();
  await buildRun();
}

window.onpopstate = () => {
  read();
  guarded(buildRun)();
};
window.onresize = () => !role?.makesImages && !role?.source && draw();
matchMedia("(prefers-color-scheme: dark)").onchange = () => draw();

guarded(start)();
