// Images as pixels, as gan_core/core/pixels.py has them, and pixels as a canvas shows them.

const SHADE = 257; // steps of 16 bits in one of 8
const WEIGHTS = [19595, 38470, 7471]; // of red, green and blue in grey, in 65,536ths (ITU-R 601)

/** Rounds half to even, a number that is not negative. */
function rounded(value) {
  const nearest = Math.round(value);
  return nearest - value === 0.5 && nearest % 2 ? nearest - 1 : nearest;
}

/** Images (N, C, H, W) of floats in [-1, 1] as pixels (N, H, W, C) of 8 or 16 bits. */
export function toPixels(x, [channels, high, wide], bits) {
  const half = Math.fround((2 ** bits - 1) / 2);
  const size = channels * high * wide;
  const made = bits === 8 ? new Uint8Array(x.length) : new Uint16Array(x.length);
  for (let k = 0; k < x.length; k += 1) {
    const [row, at] = [k - (k % size), k % size];
    const [channel, place] = [Math.floor(at / (high * wide)), at % (high * wide)];
    const value = Math.fround(Math.min(1, Math.max(-1, x[k])) + 1);
    made[row + place * channels + channel] = rounded(Math.fround(value * half));
  }
  return made;
}

/** One image as pixels (H, W, C) as floats (C, H, W) in [-1, 1]. */
export function toFloats(pixels, [channels, high, wide], bits) {
  const half = (2 ** bits - 1) / 2;
  const made = new Float32Array(pixels.length);
  for (let k = 0; k < pixels.length; k += 1) {
    made[(k % channels) * high * wide + Math.floor(k / channels)] = pixels[k] / half - 1;
  }
  return made;
}

/** Pixels in the 256 shades of 8 bits. */
export function inShades(pixels) {
  return pixels instanceof Uint16Array ? Uint8Array.from(pixels, (v) => Math.floor((v + 128) / SHADE)) : pixels;
}

/** Draws one image as pixels (H, W, C) of 1, 3 or 4 channels on a canvas of its size. */
export function paint(canvas, pixels, [channels, high, wide]) {
  const shades = inShades(pixels);
  const picture = new ImageData(wide, high);
  for (let k = 0; k < wide * high; k += 1) {
    for (let c = 0; c < 3; c += 1) picture.data[4 * k + c] = shades[k * channels + (channels > 2 ? c : 0)];
    picture.data[4 * k + 3] = channels === 4 ? shades[4 * k + 3] : 255;
  }
  Object.assign(canvas, { width: wide, height: high });
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

/**
 * A user's picture (ImageBitmap) as one image's pixels (H, W, C): cropped in its middle to the aspect, resized; what
 * has alpha is laid on white unless the image has alpha itself.
 */
export function fitted(bitmap, [channels, high, wide], bits) {
  const share = Math.min(bitmap.width / wide, bitmap.height / high);
  const [w, h] = [wide * share, high * share];
  const canvas = new OffscreenCanvas(wide, high);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (channels < 4) {
    context.fillStyle = "white";
    context.fillRect(0, 0, wide, high);
  }
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, (bitmap.width - w) / 2, (bitmap.height - h) / 2, w, h, 0, 0, wide, high);
  const { data } = context.getImageData(0, 0, wide, high);
  const made = bits === 8 ? new Uint8Array(channels * high * wide) : new Uint16Array(channels * high * wide);
  for (let k = 0; k < wide * high; k += 1) {
    const colours = data.subarray(4 * k, 4 * k + 4);
    const grey = WEIGHTS.reduce((sum, weight, c) => sum + weight * colours[c], 32768) >> 16;
    for (let c = 0; c < channels; c += 1) {
      made[k * channels + c] = (channels === 1 ? grey : colours[c]) * (bits === 8 ? 1 : SHADE);
    }
  }
  return made;
}
