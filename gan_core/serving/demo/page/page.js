// The page: which controls there are follows from the manifest of what is shown, and this browser computes it.

import { about, command, section } from "./about.js";
import {
  chosen,
  dialled,
  graphOf,
  isWalk,
  mass,
  moving,
  REACH,
  seed,
  seedOf,
  seeds,
  share,
  valueAt,
  WALKS,
  wrapped,
} from "./asked.js";
import { button, choice, count, element, field, segments, signed, slider } from "./controls.js";
import { fetched } from "./engine.js";
import { check, kept } from "./golden.js";
import { fitted, paint, toPixels } from "./pixels.js";
import { precisionName, Role } from "./roles.js";
import { forget, give, read, state, write } from "./state.js";
import { canvasOf, inTurn, pictureView, pointsView, samplesView, walkView, wayWords } from "./views.js";

const MODES = [
  ["samples", "Samples"],
  ["interpolation", "Interpolation"],
  ["traversal", "Traversal"],
];
const IMAGES = [1, 4, 16, 24, 64]; // samples that can be asked for: usually the third, with values in turn the fourth
const POINTS = [64, 256, 1024, 2048, 4096];
const MOST = 4096;
const SECONDS = 6; // that a walk takes one way as it plays

const at = (id) => document.getElementById(id);

let demo; // what demo.json says
let role; // what is shown
let show; // of the view that it is shown in
let picture; // {pixels, says} of a user; nothing: a held-out sample

// ---- drawing ----

let wished = 0;
let isDrawing = false;

/** Show what is asked for now. What is asked for meanwhile comes next, and only the last of it. */
async function draw() {
  wished += 1;
  if (isDrawing) return;
  isDrawing = true;
  at("stage").ariaBusy = "true";
  let served;
  while (served !== wished) {
    served = wished;
    try {
      const took = { ms: 0 };
      const what = await show(took, () => served !== wished);
      if (what) at("timing").textContent = timing(what, took.ms);
      say();
    } catch (error) {
      say(error.message);
    }
  }
  isDrawing = false;
  at("stage").ariaBusy = "false";
  checkGolden(role, graphOf(role));
}

function timing(what, ms) {
  const each = ms / (Number.parseInt(what.replace(",", ""), 10) || 1);
  const short = (value) => `${value < 10 ? value.toPrecision(2) : count(Math.round(value))} ms`;
  const some = each < ms && each > 0.1 ? `, ${short(each)} each` : "";
  const where = `ONNX Runtime Web ${demo.onnxruntime_web} (WebAssembly, one thread)`;
  return `${what} in ${short(ms)}${some}, computed in this browser by ${where}`;
}

/** What went wrong, or nothing. */
function say(problem = "") {
  at("problem").textContent = problem;
  at("problem").hidden = !problem;
}

async function checkGolden(of, graph) {
  const tell = (words, className) =>
    Object.assign(at("golden"), { textContent: `golden outputs: ${words}`, className });
  const found = check(of, graph);
  const soon = setTimeout(() => tell("computing\u2026", ""), 200);
  const { passed, says } = await found;
  clearTimeout(soon);
  if (of === role && graph.file === graphOf(role).file) tell(says, passed ? "good" : "bad");
}

// ---- controls ----

function set(name, value, then = draw) {
  state[name] = String(value);
  write();
  then();
}

function giveAnd(name, value, then) {
  give(name, value);
  write();
  then();
}

/** Build the controls again, with the focus where it was. */
async function rebuild(build = buildMode) {
  const { id } = document.activeElement ?? {};
  await build();
  if (id) at(id)?.focus();
}

/** How many samples can be asked for: as often each of the values that come in turn. */
function counts() {
  const turn = inTurn(role);
  return (role.isImage ? IMAGES : POINTS).map((n) => (n > 1 ? Math.ceil(n / turn) * turn : n));
}

const counted = () => (state.n >= 1 ? Math.min(MOST, Math.floor(state.n)) : counts()[inTurn(role) > 1 ? 3 : 2]);

function seedControl(key, name, stride) {
  const input = element("input", {
    id: key,
    type: "text",
    inputMode: "numeric",
    value: state[key],
    autocomplete: "off",
    spellcheck: false,
  });
  const use = (value) => {
    const isSeed = seedOf(value) !== undefined;
    input.setCustomValidity(isSeed ? "" : "A whole number from \u22122^63 to 2^63 \u2212 1");
    input.reportValidity();
    if (!isSeed) return;
    input.value = String(seedOf(value));
    set(key, input.value, isWalk() ? rebuild : retold);
  };
  const by = (n) => use(String(wrapped((seedOf(state[key]) ?? 0n) + BigInt(n))));
  input.onchange = () => use(input.value);
  return element(
    "div",
    { className: "seed" },
    field(name, input),
    button("\u25c2", () => by(-stride()), { id: `${key}-less`, "aria-label": `${name}: previous`, title: "Previous" }),
    button("\u25b8", () => by(stride()), { id: `${key}-more`, "aria-label": `${name}: next`, title: "Next" }),
    button("Random", () => use(String(crypto.getRandomValues(new Uint32Array(1))[0])), {
      id: `${key}-random`,
      "aria-label": `${name}: random`,
    }),
  );
}

/** A label or a category: by name or number, all in turn, or drawn by the seed. */
function wholeControl(input) {
  const isLabel = input.prior === "label";
  const values = Array.from({ length: input.size }, (_, k) => input.classes?.[k] ?? String(k));
  const options = [
    ...(isLabel ? [] : [["", "drawn by the seed"]]),
    ...(isWalk() ? [] : [["turn", "all in turn"]]),
    ...values.map((v) => [v, v]),
  ];
  const now = chosen(input);
  const value = now === undefined ? "" : now.length > 1 ? "turn" : values[now[0]];
  return choice(`given-${input.name}`, isLabel ? `Label ${input.name}` : input.name, options, value, (v) => {
    giveAnd(input.name, v === "turn" && isLabel ? "" : v, rebuild);
  });
}

/** The numbers of a continuous code: drawn by the seed until one is moved. */
function codeControls(input) {
  const reach = REACH[input.prior];
  const row = () => dialled(input) ?? new Array(input.size).fill(0);
  const one = (_, k) => {
    const says = (value) => (dialled(input) ? signed(value) : "drawn by the seed");
    return slider(
      `code-${input.name}-${k}`,
      `${input.name}[${k}]`,
      { least: -reach, most: reach, step: 0.01 },
      row()[k],
      says,
      (value) => {
        const wasDrawn = !dialled(input);
        const next = row();
        next[k] = Number(value);
        giveAnd(input.name, next.join(","), wasDrawn ? rebuild : retold);
      },
    );
  };
  const release = button(`Let the seed draw ${input.name}`, () => giveAnd(input.name, "", rebuild), {
    id: `release-${input.name}`,
    disabled: !dialled(input),
  });
  return [...Array.from({ length: input.size }, one), release];
}

function massControl() {
  const words = (value) => (value < 1 ? value.toFixed(2) : "1, all of the normal");
  const made = slider("mass", "Central mass", { least: 0.05, most: 1, step: 0.01 }, mass(role), words, (value) =>
    set("mass", value, retold),
  );
  made.append(element("small", {}, "The central share of the normal distribution that latents are drawn from."));
  return made;
}

function placeControls() {
  const [inputs, { input, place }] = [[role.noise, ...role.codes], moving(role)];
  const name = (v) => {
    Object.assign(state, { place: "0", value: "" });
    set("input", v, rebuild);
  };
  const number = slider(
    "place",
    `Coordinate of ${input.name}`,
    { least: 0, most: input.size - 1, step: 1 },
    place,
    (k) => `${k} (0 to ${input.size - 1})`,
    (k) => {
      state.value = "";
      set("place", k, rebuild);
    },
  );
  return [
    ...(inputs.length > 1
      ? [
          choice(
            "input",
            "Input",
            inputs.map((i) => [i.name, i.name]),
            input.name,
            name,
          ),
        ]
      : []),
    number,
  ];
}

/** What moves a walk, and what kind of walk it is. */
function wayControl() {
  const isStraight = state.mode === "traversal";
  const { input, place } = moving(role);
  const move = (t) => (isStraight ? set("value", valueAt(role, Number(t))) : set("t", t));
  const name = isStraight ? `The value of ${input.name}[${place}]` : "The way";
  const play = button(
    "Play",
    () => {
      const isPlaying = play.textContent === "Stop";
      play.textContent = isPlaying ? "Play" : "Stop";
      if (!isPlaying) playing(play, performance.now() - 1000 * SECONDS * Number(at("way").value));
    },
    { id: "play" },
  );
  const control = slider("way", name, { least: 0, most: 1, step: "any" }, share(role), (t) => wayWords(role, t), move);
  return element(
    "div",
    { className: "way" },
    control,
    play,
    element("p", { className: "note" }, isStraight ? kindOfNumber(input) : kindOfWay()),
  );
}

/** Go to and fro, as long as the button says Stop. */
function playing(play, start) {
  requestAnimationFrame((now) => {
    if (play.textContent !== "Stop" || !play.isConnected) return;
    const t = ((now - start) / 1000 / SECONDS) % 2;
    if (!isDrawing) go(t < 1 ? t : 2 - t);
    playing(play, start);
  });
}

function go(t) {
  at("way").value = t;
  at("way").dispatchEvent(new Event("input"));
}

function kindOfWay() {
  const ways = {
    normal: "along the great circle (spherical interpolation)",
    uniform: "straight (linear interpolation)",
  };
  const kinds = [role.noise, ...role.codes].map(({ name, prior }) => `${name} goes ${ways[prior]}`);
  const whole = role.whole.some((input) => !chosen(input)) ? "; a category is that of the nearer seed" : "";
  return `From seed ${seed()} to seed ${seedOf(state.to) ?? 0n}: ${kinds.join(", ")}${whole}.`;
}

function kindOfNumber({ prior }) {
  const kind =
    prior === "normal"
      ? "A normal number; 99.7% of them lie between \u22123 and 3"
      : "A uniform number, between \u22121 and 1";
  return `${kind}. All else is as seed ${seed()} draws it.`;
}

/** The command, where there is one, and the samples. */
function retold() {
  tellCommand();
  draw();
}

function tellCommand() {
  at("command")?.replaceChildren(...command(role, counted()).flatMap((word) => [element("span", {}, word), " "]));
}

function commandSection() {
  const code = element("code", { id: "command" });
  const copy = button("Copy", () =>
    navigator.clipboard?.writeText(code.textContent.trim()).then(() => {
      copy.textContent = "Copied";
    }),
  );
  return section("The same on a command line", element("pre", {}, code), copy);
}

// ---- pictures that are put in ----

/** One of the held-out samples in the golden file, and how many there are. */
async function heldOut(k) {
  const {
    data,
    dims: [n, ...shape],
  } = (await kept(role))[`input/${role.source.name}`];
  const [size, which] = [data.length / n, Math.min(n - 1, Math.max(0, Math.floor(k) || 0))];
  return {
    n,
    pixels: toPixels(data.subarray(which * size, (which + 1) * size), shape, role.bits),
    says: `held-out sample ${which}`,
  };
}

function pictureControls() {
  const shape = role.source.shape.slice(1);
  const [, high, wide] = shape;
  const file = element("input", { type: "file", id: "file", accept: "image/*" });
  const held = element("div", { className: "held", role: "group", "aria-label": "Held-out samples" });
  const mark = () =>
    [...held.children].forEach((one, k) =>
      one.setAttribute("aria-pressed", String(!picture && String(k) === state.held)),
    );
  const use = async (given) => {
    const bitmap =
      given &&
      (await createImageBitmap(given).catch(() => say(`${given.name} is no picture that this browser can read`)));
    if (!bitmap) return;
    const [to, from] = [`${wide} \u00d7 ${high}`, `${bitmap.width} \u00d7 ${bitmap.height}`];
    const says = `${given.name}, cropped in its middle to the aspect of ${to} and resized to that from ${from}`;
    picture = { pixels: fitted(bitmap, shape, role.bits), says };
    mark();
    draw();
  };
  file.onchange = () => use(file.files[0]);
  const drop = element(
    "label",
    { className: "drop" },
    file,
    element("span", {}, element("b", {}, "Choose a picture"), " or drop one here"),
  );
  const over = (isOver) => (event) => {
    event.preventDefault();
    drop.classList.toggle("over", isOver);
  };
  Object.assign(drop, { ondragover: over(true), ondragleave: over(false) });
  drop.ondrop = (event) => {
    over(false)(event);
    use(event.dataTransfer.files[0]);
  };
  const fill = async () => {
    for (let k = 0, n = 1; k < n; k += 1) {
      const found = await heldOut(k);
      const canvas = canvasOf(shape);
      paint(canvas, found.pixels, shape);
      canvas.ariaLabel = found.says;
      const use = () => {
        [picture, file.value] = [undefined, ""];
        set("held", k);
        mark();
      };
      held.append(button(canvas, use));
      n = found.n;
    }
    mark();
  };
  fill().catch((error) => say(error.message));
  return [drop, element("div", { className: "field" }, element("span", {}, "Held-out samples"), held)];
}

// ---- building ----

/** One sample, large; Back shows all again. */
function alone(k, rows) {
  for (const input of role.whole) {
    if (chosen(input)) give(input.name, input.classes?.[Number(rows[input.name][k])] ?? String(rows[input.name][k]));
  }
  Object.assign(state, { seed: String(seeds(k + 1)[k]), n: "1" });
  write(true);
  buildMode();
}

function buildMode() {
  const host = at("view");
  if (role.source) {
    at("bar").replaceChildren(...pictureControls());
    at("side").replaceChildren(about(role));
    show = pictureView(host, role, async () => picture ?? heldOut(state.held));
    draw();
    return;
  }
  const n = counted();
  const bar = [
    seedControl("seed", state.mode === "interpolation" ? "From seed" : "Seed", () => (isWalk() ? 1 : counted())),
  ];
  if (state.mode === "interpolation") bar.push(seedControl("to", "To seed", () => 1));
  if (!isWalk()) {
    const options = [...new Set([...counts(), n])].sort((a, b) => a - b);
    bar.push(
      choice(
        "n",
        "Samples",
        options.map((some) => [String(some), count(some)]),
        String(n),
        (some) => set("n", some, rebuild),
      ),
    );
  }
  at("bar").replaceChildren(...bar, ...role.labels.map(wholeControl));
  const side = [...role.whole.filter((input) => !role.labels.includes(input)).map(wholeControl)];
  if (state.mode === "traversal") side.push(...placeControls());
  side.push(...role.codes.flatMap(codeControls), ...(role.isNormal ? [massControl()] : []));
  at("side").replaceChildren(
    ...(side.length ? [section("Latents", ...side)] : []),
    ...(isWalk() ? [] : [commandSection()]),
    about(role),
  );
  tellCommand();
  if (!role.isImage) show = pointsView(host, role, n, isWalk() ? wayControl() : undefined);
  else show = isWalk() ? walkView(host, role, wayControl(), go) : samplesView(host, role, n, alone);
  draw();
}

/** Everything, from what the address says. */
async function build() {
  const { run, folder } = demo.runs.find((one) => one.run === state.run) ?? demo.runs[0];
  const address = new URL(`${folder}/`, document.baseURI).href;
  const manifest = await (await fetched(`${address}manifest.json`)).json();
  const roles = Object.keys(manifest.roles)
    .map((name) => new Role(address, manifest, name))
    .filter((one) => one.isShown);
  if (!roles.length) throw new Error(`${run} takes data that are no pictures, and this page has none to put in`);
  role = roles.find(({ name }) => name === state.role) ?? roles[0];
  picture = undefined;
  if (!WALKS.includes(state.mode)) state.mode = "samples";
  for (const key of ["seed", "to"]) state[key] = String(seedOf(state[key]) ?? 0n);
  document.title = `${run} \u00b7 GAN Foundry demo`;
  const other = (key) => (value) => {
    forget(key === "run" ? ["role"] : []);
    set(key, value, () => rebuild(guarded));
  };
  const names = (list) => list.map((name) => [name, name]);
  const precisions = Object.keys(role.graphs);
  at("choice").replaceChildren(
    choice("run", "Run", names(demo.runs.map((one) => one.run)), run, other("run")),
    ...(roles.length > 1
      ? [choice("role", "Role", names(roles.map(({ name }) => name)), role.name, other("role"))]
      : []),
    ...(precisions.length > 1
      ? [
          choice(
            "precision",
            "Graph",
            precisions.map((p) => [p, precisionName(p)]),
            graphOf(role).precision,
            (p) => set("precision", p, rebuild),
          ),
        ]
      : []),
  );
  at("modes").replaceChildren(
    ...(role.source ? [] : [segments("mode", "What to see", MODES, state.mode, (mode) => set("mode", mode, rebuild))]),
  );
  buildMode();
}

/** The same; what goes wrong is said in a sentence. */
async function guarded() {
  at("stage").ariaBusy = "true";
  at("golden").textContent = at("golden").className = "";
  try {
    demo ??= await (await fetched(new URL("demo.json", document.baseURI).href)).json();
    await build();
  } catch (error) {
    say(error.message);
    at("stage").ariaBusy = "false";
  }
}

window.onpopstate = () => {
  read();
  guarded();
};
window.onresize = () => role && !role.isImage && !role.source && draw();
matchMedia("(prefers-color-scheme: dark)").onchange = () => role && draw();

guarded();
