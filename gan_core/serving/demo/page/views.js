// What samples are shown in. Each view fills the host, and gives a function that computes and shows what is asked for
// now: `show(took, isStale)` adds milliseconds to `took.ms`, stops where another one is asked for meanwhile, and says
// in words what was computed.

import { chosen, graphOf, isWalk, moving, rowsFor, rowsOn, seed, seeds, share, valueAt, wrapped } from "./asked.js";
import { button, count, element, signed } from "./controls.js";
import { images, numbers } from "./engine.js";
import { drawn } from "./latents.js";
import { paint, toFloats } from "./pixels.js";
import { frame, plot } from "./plots.js";
import { state } from "./state.js";

const CRISP = 96; // pixels of a side up to which images are enlarged without blur
const IN_LINE = 12; // values that stand side by side
const WIDE = 6; // columns that a phone has room for
const FRAMES = 9; // of a walk through images
const STEPS = 65; // of a walk through points
const CLOUD = 1024; // points that are the ground of a walk, and give the axes

/** A canvas for one image of a shape (C, H, W). */
export function canvasOf([channels, high, wide]) {
  const crisp = Math.max(high, wide) <= CRISP ? "crisp" : "";
  return element("canvas", {
    className: `${crisp} ${channels === 4 ? "alpha" : ""}`,
    width: wide,
    height: high,
    role: "img",
  });
}

/** How many values come in turn and have room side by side; 1, where none do. */
export function inTurn(role) {
  return role.whole.map((input) => chosen(input)?.length ?? 1).find((values) => values > 1 && values <= IN_LINE) ?? 1;
}

/** Columns of a grid of n samples, about a square: whole rows of the values that come in turn. */
function columnsOf(role, n) {
  const turn = inTurn(role);
  const columns = turn * Math.ceil(Math.sqrt(n) / turn);
  return n < turn ? n : columns <= IN_LINE ? columns : Math.max(turn, Math.ceil(Math.sqrt(n)));
}

function grid([, high, wide], n, columns, className = "") {
  const made = element("div", { className: `grid ${className}` });
  made.style.setProperty("--columns", columns);
  made.style.setProperty("--narrow", columns > WIDE ? Math.ceil(columns / 2) : columns);
  made.style.setProperty("--aspect", (columns * wide) / (Math.ceil(n / columns) * high));
  return made;
}

/** n samples; `alone(k, rows)`: asks for the k-th alone. */
export function samplesView(host, role, n, alone) {
  const made = grid(role.shape, n, columnsOf(role, n));
  const cells = seeds(n).map((_, k) => {
    const [canvas, caption] = [canvasOf(role.shape), element("span")];
    const cell = button(canvas, () => alone(k, rowsFor(role, seeds(n))), { className: "cell", disabled: n === 1 });
    cell.append(caption);
    made.append(cell);
    return { canvas, caption, cell };
  });
  host.replaceChildren(made);
  return async (took, isStale) => {
    const [some, graph] = [seeds(n), graphOf(role)];
    const rows = rowsFor(role, some);
    for await (const [k, pixels] of images(role, graph, rows, n, took)) {
      if (isStale()) return "";
      const { canvas, caption, cell } = cells[k];
      const varied = role.whole
        .filter((input) => chosen(input)?.length !== 1)
        .map((input) => named(input, rows[input.name][k]));
      paint(canvas, pixels, role.shape);
      canvas.ariaLabel = [`seed ${some[k]}`, ...varied].join(", ");
      caption.textContent = varied.join(", ") || String(some[k]);
      cell.title = canvas.ariaLabel;
    }
    return `${count(n)} picture${n > 1 ? "s" : ""}`;
  };
}

/** A class or a value in words. */
function named(input, value) {
  return input.classes?.[Number(value)] ?? `${input.name} ${value}`;
}

/** How far a walk has come, in words. */
export function wayWords(role, t) {
  const { input, place } = moving(role);
  return state.mode === "interpolation"
    ? `${Math.round(100 * t)}%`
    : `${input.name}[${place}] = ${signed(valueAt(role, t))}`;
}

/** A walk: where it is now, and frames of all of it; `control`: what moves it; `go(t)`: goes to a share of it. */
export function walkView(host, role, control, go) {
  const large = canvasOf(role.shape);
  const one = grid(role.shape, 1, 1, "one");
  one.append(large);
  const strip = grid(role.shape, FRAMES, FRAMES, "strip");
  const shares = Array.from({ length: FRAMES }, (_, k) => k / (FRAMES - 1));
  const frames = shares.map((t) => {
    const canvas = canvasOf(role.shape);
    strip.append(button(canvas, () => go(t), { className: "cell" }));
    return canvas;
  });
  host.replaceChildren(one, control, strip);
  let last = ""; // what the frames are of
  return async (took, isStale) => {
    const [t, graph, now] = [share(role), graphOf(role), JSON.stringify({ ...state, t: "", value: "" })];
    for await (const [, pixels] of images(role, graph, rowsOn(role, [t]), 1, took)) paint(large, pixels, role.shape);
    large.ariaLabel = wayWords(role, t);
    if (now === last) return "1 picture";
    for await (const [k, pixels] of images(role, graph, rowsOn(role, shares), FRAMES, took)) {
      if (isStale()) return "";
      paint(frames[k], pixels, role.shape);
      frames[k].ariaLabel = wayWords(role, shares[k]);
    }
    last = now;
    return `${FRAMES + 1} pictures`;
  };
}

const clouds = new Map(); // promises of points and axes by the address of a graph

/** Points of the whole distribution, labels in turn, and the axes around them. */
function cloud(role, graph) {
  const address = role.address(graph.file);
  const some = Array.from({ length: CLOUD }, (_, k) => BigInt(k));
  const column = (input) =>
    input.prior === "label" ? BigInt64Array.from(some, (k) => k % BigInt(input.size)) : drawn(input, some);
  const made = async () => {
    const points = await numbers(
      role,
      graph,
      Object.fromEntries(role.inputs.map((input) => [input.name, column(input)])),
      CLOUD,
    );
    return { points, axes: frame(points, role.shape[0]) };
  };
  if (!clouds.has(address)) clouds.set(address, made());
  return clouds.get(address);
}

/** n samples that are points, or a walk through them. */
export function pointsView(host, role, n, control) {
  const canvas = element("canvas", { className: "cloud", role: "img" });
  host.replaceChildren(canvas, ...(isWalk() ? [control] : []));
  return async (took, isStale) => {
    const [graph, size] = [graphOf(role), role.shape[0]];
    const { points: behind, axes } = await cloud(role, graph);
    if (isWalk()) {
      const shares = Array.from({ length: STEPS }, (_, k) => k / (STEPS - 1));
      const path = await numbers(role, graph, rowsOn(role, [...shares, share(role)]), STEPS + 1, took);
      const at = path.subarray(STEPS * size);
      if (isStale()) return "";
      plot(canvas, size, axes, { behind, path: path.subarray(0, STEPS * size), at });
      canvas.ariaLabel = `a walk of ${STEPS} points, now at ${[...at].map(signed).join(", ")}`;
      return `${STEPS + 1} points`;
    }
    const points = await numbers(role, graph, rowsFor(role, seeds(n)), n, took);
    if (isStale()) return "";
    plot(canvas, size, axes, { points });
    canvas.ariaLabel = `${count(n)} points, of seeds ${seed()} to ${wrapped(seed() + BigInt(n - 1))}`;
    return `${count(n)} points`;
  };
}

/**
 * A picture, what a role gives for it, and what the role that undoes it makes of that. `picture`: promises {pixels,
 * says} of what is put in.
 */
export function pictureView(host, role, picture) {
  const taken = role.source.shape.slice(1);
  const back = role.counterpart;
  const panel = (what, title) => {
    const caption = element("span");
    return {
      what,
      caption,
      figure: element("figure", {}, what, element("figcaption", {}, element("b", {}, title), " ", caption)),
    };
  };
  const into = panel(canvasOf(taken), "In");
  const out = role.isImage
    ? panel(canvasOf(role.shape), "Out")
    : panel(element("div", { className: "bars", role: "img" }), "Latent");
  const again = back && panel(canvasOf(back.shape), "Back");
  out.caption.textContent = role.isImage
    ? `of ${role.name}`
    : `${role.about.output.name} of ${role.name}, ${role.shape.join(" \u00d7 ")} numbers`;
  if (again) again.caption.textContent = `of ${back.name}`;
  host.replaceChildren(
    element("div", { className: "panels" }, ...[into, out, again].filter(Boolean).map(({ figure }) => figure)),
  );
  return async (took, isStale) => {
    const [{ pixels, says }, graph] = [await picture(), graphOf(role)];
    const rows = { [role.source.name]: graph.pixels ? pixels : toFloats(pixels, taken, role.bits) };
    paint(into.what, pixels, taken);
    into.what.ariaLabel = `what ${role.name} gets: ${says}`;
    into.caption.textContent = says;
    const made = role.isImage
      ? await one(images(role, graph, rows, 1, took))
      : await numbers(role, graph, rows, 1, took);
    if (isStale()) return "";
    if (role.isImage) paint(out.what, made, role.shape);
    else bars(out.what, made);
    out.what.ariaLabel = role.isImage ? `what ${role.name} gives` : `latent: ${[...made].map(signed).join(", ")}`;
    if (!back) return role.name;
    const returned = back.graph(state.precision);
    const given = role.isImage && !returned.pixels ? toFloats(made, role.shape, role.bits) : made;
    paint(again.what, await one(images(back, returned, { [back.inputs[0].name]: given }, 1, took)), back.shape);
    again.what.ariaLabel = `what ${back.name} makes of that`;
    return `${role.name} and ${back.name}`;
  };
}

async function one(found) {
  for await (const [, pixels] of found) return pixels;
  return undefined;
}

/** Numbers as bars, upwards and downwards. */
function bars(host, values) {
  const most = Math.max(3, ...values.map(Math.abs));
  const bar = (value) => {
    const made = element("i", { className: value < 0 ? "below" : "" });
    made.style.setProperty("--share", Math.abs(value) / most);
    return element("div", { title: signed(value) }, made);
  };
  host.replaceChildren(...Array.from(values, bar));
}
