// Latents as a function of a seed: gan_core/core/latents.py once more, the same bits in float32.
// Philox-4x32-10 (Salmon et al. 2011), and AS 241 (Wichura 1988) in operations that IEEE 754 rounds in one way only.

const MULTIPLIERS = [0xd2511f53, 0xcd9e8d57];
const WEYL = [0x9e3779b9, 0xbb67ae85];
const ROUNDS = 10;

const CENTRE = [
  [
    2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457, 13731.693765509461125,
    1971.5909503065514427, 133.14166789178437745, 3.387132872796366608,
  ],
  [
    5226.495278852854561, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867, 5394.1960214247511077,
    687.1870074920579083, 42.313330701600911252, 1,
  ],
];
const TAIL = [
  [
    7.7454501427834140764e-4, 2.27238449892691845833e-2, 0.24178072517745061177, 1.27045825245236838258,
    3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734,
  ],
  [
    1.05075007164441684324e-9, 5.475938084995344946e-4, 1.51986665636164571966e-2, 0.14810397642748007459,
    0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1,
  ],
];
const FAR = [
  [
    2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.2426609473880784386e-3, 2.6532189526576123093e-2,
    0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772,
  ],
  [
    2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4,
    1.48753612908506148525e-2, 0.13692988092273580531, 0.59983220655588793769, 1,
  ],
];
const SERIES = Array.from({ length: 14 }, (_, k) => 1 / (27 - 2 * k)); // of artanh(s)/s in powers of s squared
const LN2 = 0.6931471805599453;
const SQRT_HALF = 0.7071067811865476;

/**
 * Rows of one input from its prior, one a seed: Float32Array (N * size) of `normal`, or of `uniform` on (-1, 1);
 * BigInt64Array (N) of a `category`. `input`: as in manifest.json; `seeds`: BigInts of 64 bits; `centralMass`: the
 * central share of the normal distribution to draw from, above 0 and at most 1.
 */
export function drawn({ name, prior, size }, seeds, centralMass = 1) {
  if (prior === "category") {
    return BigInt64Array.from(seeds, (seed) => BigInt(high(bits(seed, name, 1)[1], size)));
  }
  const rows = new Float32Array(seeds.length * size);
  const share = Math.fround(centralMass);
  seeds.forEach((seed, row) => {
    const words = bits(seed, name, size);
    for (let k = 0; k < size; k += 1) {
      const place = centred(words[2 * k], words[2 * k + 1]);
      rows[row * size + k] = prior === "normal" ? quantile(place * share) : place * 2;
    }
  });
  return rows;
}

/** At least `size` times 64 random bits for a seed, each as its lower and its upper 32. */
function bits(seed, name, size) {
  const key = [Number(BigInt.asUintN(32, seed)), Number(BigInt.asUintN(32, seed >> 32n))];
  const nameBits = crc32(new TextEncoder().encode(name));
  const words = [];
  for (let block = 0; 4 * block < 2 * size; block += 1) words.push(...philox([block, nameBits, 0, 0], key));
  return words;
}

/** Philox-4x32-10: four words of 32 random bits from a counter of four and a key of two. */
export function philox([a, b, c, d], [k0, k1]) {
  for (let round = 0; round < ROUNDS; round += 1) {
    const [m0, m1] = MULTIPLIERS;
    [a, b, c, d] = [
      (high(m1, c) ^ b ^ k0) >>> 0,
      Math.imul(m1, c) >>> 0,
      (high(m0, a) ^ d ^ k1) >>> 0,
      Math.imul(m0, a) >>> 0,
    ];
    k0 = (k0 + WEYL[0]) >>> 0;
    k1 = (k1 + WEYL[1]) >>> 0;
  }
  return [a, b, c, d];
}

/** The upper 32 bits of the product of two numbers of 32 bits, from products of 16. */
function high(x, y) {
  const [xh, xl, yh, yl] = [x >>> 16, x & 0xffff, y >>> 16, y & 0xffff];
  const middle = xh * yl + ((xl * yl) >>> 16);
  return xh * yh + (middle >>> 16) + ((xl * yh + (middle & 0xffff)) >>> 16);
}

/** The checksum of zip files. */
function crc32(content) {
  let crc = 0xffffffff;
  for (const byte of content) {
    crc ^= byte;
    for (let k = 0; k < 8; k += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

/** The middle of one of 2^52 equal steps of (-0.5, 0.5). */
function centred(low, upper) {
  return (upper * 2 ** 20 + (low >>> 12) + 0.5) * 2 ** -52 - 0.5;
}

/** The normal number below which a share 0.5 + q of all lies. */
export function quantile(q) {
  if (Math.abs(q) <= 0.425) return q * ratio(CENTRE, 0.180625 - q * q);
  const r = Math.sqrt(-log(0.5 - Math.abs(q)));
  return Math.sign(q) * (r <= 5 ? ratio(TAIL, r - 1.6) : ratio(FAR, r - 5));
}

function ratio([above, below], x) {
  return polynomial(above, x) / polynomial(below, x);
}

/** Highest power first (Horner). */
function polynomial(coefficients, x) {
  return coefficients.reduce((value, c) => value * x + c, 0);
}

const cell = new DataView(new ArrayBuffer(8));

/** The natural logarithm of a normal double above 0; the last bits of a browser's own are not those of NumPy. */
function log(x) {
  cell.setFloat64(0, x);
  const upper = cell.getUint32(0);
  let exponent = (upper >>> 20) - 1022;
  cell.setUint32(0, (upper & 0xfffff) | (1022 << 20)); // the mantissa, in [0.5, 1)
  let mantissa = cell.getFloat64(0);
  if (mantissa < SQRT_HALF) {
    mantissa *= 2;
    exponent -= 1;
  }
  const s = (mantissa - 1) / (mantissa + 1);
  return exponent * LN2 + 2 * s * polynomial(SERIES, s * s);
}
