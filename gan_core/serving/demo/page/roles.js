// What a role of an exported folder takes and gives, from its manifest alone.

const DRAWN = ["normal", "uniform", "category"];
const PRECISIONS = {
  fp32: "float32",
  fp16: "float16",
  bf16: "bfloat16",
  int8: "int8",
};

export class Role {
  /** `folder`: the address of the export; `manifest`: its manifest.json; `name`: one of its roles. */
  constructor(folder, manifest, name) {
    const about = manifest.roles[name];
    Object.assign(this, { folder, manifest, name, about, inputs: about.inputs });
    this.shape = about.output.shape.slice(1);
    this.space = about.provenance.network.output_space;
    this.bits = about.provenance.network.bits ?? 8;
    this.source = this.inputs.find((i) => !DRAWN.includes(i.prior) && i.prior !== "label");
    this.labels = this.inputs.filter((i) => i.prior === "label");
    this.categories = this.inputs.filter((i) => i.prior === "category");
    [this.noise, ...this.codes] = this.inputs.filter((i) => ["normal", "uniform"].includes(i.prior));
    this.isNormal = this.inputs.some((i) => i.prior === "normal");
    this.makesImages = this.shape.length === 3;
    this.takesImages = Boolean(this.source) && this.source.shape.length === 4;
  }

  /** Whether the page has something to show of it: data are put in as pictures. */
  get isShown() {
    return !this.source || this.takesImages;
  }

  /** Its graphs by precision, and of each the one of pixels where there is one. */
  get graphs() {
    const ordered = Object.entries(this.about.graphs).sort((a, b) => a[1].pixels - b[1].pixels);
    const found = Object.fromEntries(ordered.map(([file, graph]) => [graph.precision, { file, ...graph }]));
    return Object.fromEntries(Object.keys(PRECISIONS).filter((p) => p in found).map((p) => [p, found[p]]));
  }

  /** The role that undoes this one: of a translation the other way, of an encoder its decoder. */
  get counterpart() {
    if (!this.source) return undefined;
    const others = Object.keys(this.manifest.roles).map((name) => new Role(this.folder, this.manifest, name));
    return others.find((other) =>
      this.space === "latent"
        ? other.inputs.length === 1 && other.inputs[0].name === this.about.output.name
        : other.source?.prior === this.space && other.space === this.source.prior,
    );
  }

  address(file) {
    return new URL(file.split("/").map(encodeURIComponent).join("/"), this.folder).href;
  }
}

export function precisionName(precision) {
  return PRECISIONS[precision] ?? precision;
}

/** How many numbers one row of an input has. */
export function rowSize(input) {
  return input.shape.slice(1).reduce((product, side) => product * side, 1);
}

/** Some rows of every input, as a graph takes them. `rows`: typed arrays by name; images as pixels or as floats. */
export function feeds(role, rows, from, to) {
  return Object.fromEntries(
    role.inputs.map((input) => {
      const size = rowSize(input);
      const { data, dims } = rows[input.name].dims ? rows[input.name] : { data: rows[input.name], dims: input.shape.slice(1) };
      return [input.name, { type: typeOf(data), data: data.slice(from * size, to * size), dims: [to - from, ...dims] }];
    }),
  );
}

function typeOf(data) {
  if (data instanceof BigInt64Array) return "int64";
  if (data instanceof Float32Array) return "float32";
  return data instanceof Uint16Array ? "uint16" : "uint8";
}
