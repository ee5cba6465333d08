// What the page shows, as text by name: the hash of its address, so that a link shows the same.

const DEFAULTS = {
  run: "", // by name; nothing: the first
  role: "",
  precision: "",
  mode: "samples", // or interpolation, traversal
  seed: "0",
  n: "",
  to: "1", // the seed at the end of a walk
  t: "0.5", // the share of the way
  input: "", // whose number is moved
  place: "0", // which number of it
  value: "", // nothing: as it was drawn
  mass: "1",
  held: "0", // which held-out sample is put in
};
const GIVEN = "given."; // before the names of inputs that are given

export const state = {};
read();

/** Take everything from the address. */
export function read() {
  for (const name of Object.keys(state)) delete state[name];
  const said = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  const known = Object.entries(said).filter(([name]) => name in DEFAULTS || name.startsWith(GIVEN));
  Object.assign(state, DEFAULTS, Object.fromEntries(known));
}

/** Put everything that is not as usual into the address; `isStep`: the browser's Back undoes it. */
export function write(isStep = false) {
  const told = Object.entries(state).filter(([name, value]) => value !== (DEFAULTS[name] ?? ""));
  const address = `#${new URLSearchParams(told)}`;
  if (address !== (location.hash || "#")) history[isStep ? "pushState" : "replaceState"](null, "", address);
}

/** What is said of an input; nothing, where the seed draws it. */
export function given(name) {
  return state[GIVEN + name] ?? "";
}

export function give(name, value) {
  state[GIVEN + name] = value;
}

/** Forget what is of one role alone, and what is named. */
export function forget(names) {
  for (const name of Object.keys(state)) {
    if (name.startsWith(GIVEN)) delete state[name];
  }
  for (const name of ["precision", "n", "input", "place", "value", "held", "mass", ...names])
    state[name] = DEFAULTS[name];
}
