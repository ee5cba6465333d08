// What a role of an exported folder takes and gives, from its manifest alone.

const WHOLE = ["label", "category"];
const FLOATS = ["normal", "uniform"];
const PRECISIONS = { fp32: "float32", fp16: "float16", bf16: "bfloat16", int8: "int8" };
const TYPES = [
  [BigInt64Array, "int64"],
  [Float32Array, "float32"],
  [Uint16Array, "uint16"],
  [Uint8Array, "uint8"],
];

export class Role {
  /** `folder`: the address of the export; `manifest`: its manifest.json; `name`: one of its roles. */
  constructor(folder, manifest, name) {
    const about = manifest.roles[name];
    Object.assign(this, { folder, manifest, name, about, inputs: about.inputs });
    this.shape = about.output.shape.slice(1); // of a sample: (C, H, W) or (D,)
    this.space = about.provenance.network.output_space;
    this.bits = about.provenance.network.bits ?? 8;
    this.source = this.inputs.find(({ prior }) => ![...WHOLE, ...FLOATS].includes(prior)); // data, if it takes any
    this.labels = this.inputs.filter(({ prior }) => prior === "label");
    this.whole = this.inputs.filter(({ prior }) => WHOLE.includes(prior));
    [this.noise, ...this.codes] = this.inputs.filter(({ prior }) => FLOATS.includes(prior));
    this.isNormal = this.inputs.some(({ prior }) => prior === "normal");
    this.isImage = this.shape.length === 3 && this.space !== "latent"; // a map of latents is none
  }

  /** Whether the page can show it: data must be pictures to be put in. */
  get isShown() {
    const { source } = this;
    return !source || (source.shape.length === 4 && source.prior !== "latent" && this.inputs.length === 1);
  }

  get others() {
    const names = Object.keys(this.manifest.roles).filter((name) => name !== this.name);
    return names.map((name) => new Role(this.folder, this.manifest, name));
  }

  /** The role that undoes this one: of a translation the other way, of an encoder its decoder. */
  get counterpart() {
    const undoes = (other) =>
      this.space === "latent"
        ? other.inputs.length === 1 && other.inputs[0].name === this.about.output.name
        : other.source?.prior === this.space && other.space === this.source.prior;
    return this.source && this.others.find((other) => other.isImage && undoes(other));
  }

  /** Its graphs by precision, and of each the one of pixels where there is one. */
  get graphs() {
    const ordered = Object.entries(this.about.graphs).sort((a, b) => a[1].pixels - b[1].pixels);
    const found = Object.fromEntries(ordered.map(([file, graph]) => [graph.precision, { file, ...graph }]));
    return Object.fromEntries(
      Object.keys(PRECISIONS)
        .filter((p) => p in found)
        .map((p) => [p, found[p]]),
    );
  }

  /** The graph of a precision; of the first one there is, where there is none of that. */
  graph(precision) {
    return this.graphs[precision] ?? Object.values(this.graphs)[0];
  }

  /** The address of one of the export's files. */
  address(file) {
    return new URL(file.split("/").map(encodeURIComponent).join("/"), this.folder).href;
  }

  /** Some rows of every input, as a graph takes them. `rows`: typed arrays by name; images as pixels or as floats. */
  feeds(rows, from, to) {
    const feed = (input) => {
      const [data, size, [channels, ...sides]] = [rows[input.name], rowSize(input), input.shape.slice(1)];
      const [, type] = TYPES.find(([array]) => data instanceof array);
      const dims = type.startsWith("uint") ? [...sides, channels] : input.shape.slice(1);
      return { type, data: data.slice(from * size, to * size), dims: [to - from, ...dims] };
    };
    return Object.fromEntries(this.inputs.map((input) => [input.name, feed(input)]));
  }
}

export function precisionName(precision) {
  return PRECISIONS[precision] ?? precision;
}

/** How many numbers one row of an input has. */
export function rowSize(input) {
  return input.shape.slice(1).reduce((product, side) => product * side, 1);
}
