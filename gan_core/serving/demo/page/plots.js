// Points as a scatter, and points of one number as a density, over reference points in grey.

const BINS = 70;
const MARGIN = 28; // pixels of a side, for the axes' numbers

/** The ends of both axes: a square around points (N, D), or the range of points (N, 1). */
export function frame(points, size) {
  let most = 0;
  let [low, high] = [Infinity, -Infinity];
  points.forEach((value, k) => {
    if (k % size < 2) most = Math.max(most, Math.abs(value));
    low = Math.min(low, value);
    high = Math.max(high, value);
  });
  const margin = (high - low) / 20 || 1;
  return size > 1 ? [-1.2 * most || -1, 1.2 * most || 1] : [low - margin, high + margin];
}

/**
 * Draws the first two coordinates of points (N, size), or the density of points (N, 1). `behind`: reference points;
 * `path`: points of a way through them; `at`: one point that is marked.
 */
export function plot(canvas, size, [low, high], { behind, points, path, at }) {
  const side = canvas.clientWidth || 480;
  const ratio = window.devicePixelRatio || 1;
  Object.assign(canvas, { width: side * ratio, height: side * ratio });
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(name).trim();
  const inner = side - 2 * MARGIN;
  const across = (x) => MARGIN + ((x - low) / (high - low)) * inner;
  const up = size > 1 ? (y) => side - across(y) : (share) => side - MARGIN - share * inner;
  axes(context, [low, high], { side, across, up, two: size > 1, colour });
  if (size > 1) {
    const dots = (of, ink, radius, alpha) => {
      context.fillStyle = colour(ink);
      context.globalAlpha = alpha;
      for (let k = 0; k < of.length; k += size) {
        context.beginPath();
        context.arc(across(of[k]), up(of[k + 1]), radius, 0, 2 * Math.PI);
        context.fill();
      }
      context.globalAlpha = 1;
    };
    if (behind) dots(behind, "--soft", 1.5, 0.35);
    if (points) dots(points, "--accent", 1.8, 0.7);
    if (path) {
      line(
        context,
        Array.from({ length: path.length / size }, (_, k) => [across(path[k * size]), up(path[k * size + 1])]),
        colour("--accent"),
      );
    }
    if (at) dots(at, "--mark", 6, 1);
    return;
  }
  const shares = (of) => histogram(of, low, high);
  const highest = Math.max(...shares(behind ?? points)) * 1.2;
  const steps = (of) =>
    shares(of).flatMap((share, k) =>
      [k, k + 1].map((edge) => [across(low + (edge / BINS) * (high - low)), up(share / highest)]),
    );
  if (behind) line(context, steps(behind), colour("--soft"));
  if (points) line(context, steps(points), colour("--accent"));
  for (const [value, ink] of [...(path ?? [])]
    .map((v) => [v, "--accent"])
    .concat([...(at ?? [])].map((v) => [v, "--mark"]))) {
    line(
      context,
      [
        [across(value), side - MARGIN],
        [across(value), side - MARGIN - (ink === "--mark" ? inner : 10)],
      ],
      colour(ink),
    );
  }
}

function line(context, points, ink) {
  context.strokeStyle = ink;
  context.lineWidth = 1.8;
  context.beginPath();
  points.forEach(([x, y], k) => (k ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.stroke();
}

function histogram(values, low, high) {
  const counts = new Array(BINS).fill(0);
  for (const value of values) {
    const bin = Math.floor(((value - low) / (high - low)) * BINS);
    if (bin >= 0 && bin < BINS) counts[bin] += 1;
  }
  return counts.map((count) => count / values.length);
}

/** Lines at round numbers, and their names. */
function axes(context, [low, high], { side, across, up, two, colour }) {
  const rough = (high - low) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  context.font = "11px system-ui, sans-serif";
  context.fillStyle = colour("--soft");
  context.strokeStyle = colour("--line");
  context.lineWidth = 1;
  for (let mark = Math.ceil(low / step) * step; mark <= high; mark += step) {
    const said = String(Number(mark.toPrecision(3)) || 0).replace("-", "\u2212");
    context.beginPath();
    context.moveTo(across(mark), MARGIN);
    context.lineTo(across(mark), side - MARGIN);
    context.textAlign = "center";
    context.fillText(said, across(mark), side - MARGIN + 16);
    if (two) {
      context.moveTo(MARGIN, up(mark));
      context.lineTo(side - MARGIN, up(mark));
      context.textAlign = "right";
      context.fillText(said, MARGIN - 5, up(mark) + 4);
    }
    context.stroke();
  }
}
