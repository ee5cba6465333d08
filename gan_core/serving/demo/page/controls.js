// Controls that say and set what the page shows.

/** An element with properties, attributes (names with a dash, or `role`) and children. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

/** A control under its name. */
export function field(name, control, ...more) {
  return element("label", { className: "field" }, element("span", {}, name), control, ...more);
}

/** A choice of `options`, [value, words]. */
export function choice(id, name, options, value, set) {
  const made = element("select", { id }, ...options.map(([v, words]) => element("option", { value: v }, words)));
  made.value = value;
  made.onchange = () => set(made.value);
  return field(name, made);
}

/** Some words, of which one is chosen. */
export function segments(id, name, options, value, set) {
  const made = options.map(([v, words]) => {
    const input = element("input", { type: "radio", id: `${id}-${v}`, name: id, value: v, checked: v === value });
    input.onchange = () => set(v);
    return element("label", {}, input, element("span", {}, words));
  });
  return element("fieldset", { className: "segments" }, element("legend", {}, name), ...made);
}

/** A number on a line; `says`: it in words, beside the name. */
export function slider(id, name, { least, most, step }, value, says, set) {
  const output = element("output", {}, says(value));
  const made = element("input", { id, type: "range", min: least, max: most, step, value });
  made.oninput = () => {
    output.textContent = says(Number(made.value));
    set(made.value);
  };
  return element("label", { className: "field", htmlFor: id }, element("span", {}, name, output), made);
}

export function button(words, press, properties = {}) {
  return element("button", { type: "button", onclick: press, ...properties }, words);
}

export const count = (n) => n.toLocaleString("en-US");
export const signed = (value) => value.toFixed(2).replace("-", "\u2212");
