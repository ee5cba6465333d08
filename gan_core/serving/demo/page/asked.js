// What is asked of a role: rows of its inputs, from what the page's state says.

import { drawn } from "./latents.js";
import { given, state } from "./state.js";
import { between, moved } from "./walks.js";

export const REACH = { normal: 3, uniform: 1 }; // how far one number is moved to both sides
export const WALKS = ["interpolation", "traversal"];

/** A seed as its text says; undefined, where that is no whole number of 64 bits. */
export function seedOf(text) {
  const found = text.trim().replace("\u2212", "-");
  const seed = /^-?\d{1,19}$/.test(found) ? BigInt(found) : undefined;
  return seed !== undefined && wrapped(seed) === seed ? seed : undefined;
}

/** After the highest seed comes the lowest. */
export const wrapped = (seed) => BigInt.asIntN(64, seed);
export const seed = () => seedOf(state.seed) ?? 0n;
export const seeds = (n) => Array.from({ length: n }, (_, k) => wrapped(seed() + BigInt(k)));
export const isWalk = () => WALKS.includes(state.mode);
export const graphOf = (role) => role.graph(state.precision);

/** The central share of the normal that latents are drawn from. */
export function mass(role) {
  const share = Number(state.mass);
  return role.isNormal && share > 0 && share < 1 ? share : 1;
}

/** The values that are given of a label or a category: one, or all in turn; undefined, where the seed draws it. */
export function chosen(input) {
  const said = given(input.name);
  const all = Array.from({ length: input.size }, (_, k) => k);
  const one = input.classes?.includes(said) ? input.classes.indexOf(said) : said === "" ? -1 : Number(said);
  if (all.includes(one)) return [one];
  if (input.prior !== "label" && said !== "turn") return undefined;
  return isWalk() ? [0] : all;
}

/** The numbers that are given of a code; undefined, where the seed draws them. */
export function dialled(input) {
  const numbers = given(input.name).split(",").map(Number);
  return given(input.name) && numbers.length === input.size && numbers.every(Number.isFinite) ? numbers : undefined;
}

/** Rows for seeds, as `gan sample` has them: whole numbers that are given in turn, the rest given or drawn. */
export function rowsFor(role, some) {
  const column = (input) => {
    const values = role.whole.includes(input) ? chosen(input) : undefined;
    if (values) return BigInt64Array.from(some, (_, k) => BigInt(values[k % values.length]));
    const row = role.codes.includes(input) ? dialled(input) : undefined;
    if (row) return Float32Array.from({ length: some.length * row.length }, (_, k) => row[k % row.length]);
    return drawn(input, some, mass(role));
  };
  return Object.fromEntries(role.inputs.map((input) => [input.name, column(input)]));
}

/** The input of which a traversal moves one number, and which number that is. */
export function moving(role) {
  const input = [role.noise, ...role.codes].find(({ name }) => name === state.input) ?? role.noise;
  return { input, place: Math.min(input.size - 1, Math.max(0, Math.floor(Number(state.place)) || 0)) };
}

/** Rows of a walk at shares of its way, from 0 to 1. */
export function rowsOn(role, shares) {
  const a = rowsFor(role, [seed()]);
  if (state.mode === "traversal") {
    const { input, place } = moving(role);
    const at = (t) => moved(a[input.name], place, valueAt(role, t));
    return joined(shares.map((t) => ({ ...a, [input.name]: at(t) })));
  }
  const b = rowsFor(role, [seedOf(state.to) ?? 0n]); // a whole number is that of the nearer seed
  const at = ({ name, prior }, t) =>
    role.whole.some((i) => i.name === name) ? (t < 0.5 ? a : b)[name] : between(prior, a[name], b[name], t);
  return joined(shares.map((t) => Object.fromEntries(role.inputs.map((input) => [input.name, at(input, t)]))));
}

/** The number that a traversal has at a share of its way. */
export const valueAt = (role, t) => REACH[moving(role).input.prior] * (2 * t - 1);

/** Where on its way a walk is: a traversal where the seed draws the number, until it is moved. */
export function share(role) {
  if (state.mode === "interpolation") return Math.min(1, Math.max(0, Number(state.t) || 0));
  const { input, place } = moving(role);
  const value = state.value === "" ? rowsFor(role, [seed()])[input.name][place] : Number(state.value) || 0;
  return (value / REACH[input.prior] + 1) / 2;
}

function joined(rows) {
  const column = (name) => {
    const made = new rows[0][name].constructor(rows.length * rows[0][name].length);
    rows.forEach((row, k) => made.set(row[name], k * row[name].length));
    return made;
  };
  return Object.fromEntries(Object.keys(rows[0]).map((name) => [name, column(name)]));
}
