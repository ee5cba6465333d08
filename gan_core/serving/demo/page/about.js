// What stands beside the samples: the command that draws the same, and what the run is.

import { chosen, graphOf, mass, seed } from "./asked.js";
import { count, element } from "./controls.js";
import { precisionName } from "./roles.js";
import { given } from "./state.js";

const OF_SAMPLES = "fd|kid|precision|recall|coverage|label_accuracy|category_accuracy";
const OF_PAIRS = "translation_r2|cycle_l1|psnr|ssim|l1|perceptual|reconstruction_mse|reconstruction_class_kept";
const FIGURES = new RegExp(`^(${OF_SAMPLES}|${OF_PAIRS})(_[a-z0-9]+)?$`); // with or without the features they are in
const COLOURS = { 1: "grey", 3: "RGB", 4: "RGBA" };

export function section(title, ...children) {
  return element("section", {}, element("h2", {}, title), ...children);
}

/** The words of the command that draws the n samples that are shown. */
export function command(role, n) {
  const words = ["gan", "sample", `exported/${role.manifest.run}`, "--seed", String(seed()), "--n", String(n)];
  if (role.others.some((other) => !other.source)) words.push("--role", role.name);
  const graph = graphOf(role);
  if (graph !== role.graph("fp32") && graph.precision !== "fp32") words.push("--file", graph.file);
  if (mass(role) < 1) words.push("--central-mass", String(mass(role)));
  for (const input of [...role.whole, ...role.codes]) {
    const values = role.whole.includes(input) ? chosen(input) : undefined;
    if (input.prior === "category" && values) words.push("--given", `${input.name}=${values.join(",")}`);
    else if (given(input.name) && (!values || values.length === 1))
      words.push("--given", `${input.name}=${given(input.name)}`);
  }
  return words.map((word) => (/^[\w./=,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`));
}

/** What the run is, and how good its samples are. */
export function about(role) {
  const { manifest } = role;
  const { notes } = role.about.provenance;
  const figures = manifest.metrics?.[role.name] ?? {};
  const terms = {
    ...(notes.imported
      ? { "Imported from": notes.imported.file }
      : { Paper: notes.variant, Trained: `${count(Number(notes.steps))} steps` }),
    Data: manifest.dataset,
    Takes: role.inputs.map((input) => `${input.name}, ${takes(role, input)}`).join("; "),
    Gives: gives(role),
    Graph: `${graphOf(role).file}, ${precisionName(graphOf(role).precision)}`,
  };
  const list = Object.entries(terms).flatMap(([term, words]) => [element("dt", {}, term), element("dd", {}, words)]);
  const verdicts = Object.values(figures.verdicts ?? {}).map((says) =>
    element("p", { className: "verdict" }, `${says[0].toUpperCase()}${says.slice(1)}.`),
  );
  const files = { Card: "README.md", Manifest: "manifest.json" };
  const links = Object.entries(files).map(([words, file]) => element("a", { href: role.address(file) }, words));
  return section(
    "About",
    element("dl", {}, ...list),
    ...table(figures),
    ...verdicts,
    element("p", { className: "links" }, ...links),
  );
}

function takes(role, input) {
  if (input === role.source) return `a picture of ${input.shape[3]} \u00d7 ${input.shape[2]}`;
  if (input.prior === "label") return `one of ${input.size} classes`;
  if (input.prior === "category") return `one of ${input.size} values`;
  return `${input.size} ${input.prior} number${input.size > 1 ? "s" : ""}`;
}

function gives(role) {
  const [channels, high, wide] = role.shape;
  if (role.isImage)
    return `pictures of ${wide} \u00d7 ${high}, ${COLOURS[channels] ?? `${channels} channels`}, ${role.bits} bits`;
  const count = role.shape.reduce((product, side) => product * side, 1);
  return `${role.space === "latent" ? "a latent" : "points"} of ${count} number${count > 1 ? "s" : ""}`;
}

/** The main figures, each beside what real samples score. */
function table(figures) {
  const found = Object.entries(figures).filter(([name, value]) => FIGURES.test(name) && typeof value === "number");
  const number = (value) => (typeof value === "number" ? value.toPrecision(3).replace("-", "\u2212") : "");
  const row = ([name, value]) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, name.replaceAll("_", " ")),
      element("td", {}, number(value)),
      element("td", {}, number(figures.real?.[name])),
    );
  const heads = ["measure", "samples", "real"].map((head) => element("th", { scope: "col" }, head));
  return found.length
    ? [element("table", {}, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...found.map(row)))]
    : [];
}
