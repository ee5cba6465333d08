// Ways through latents.

/**
 * From row a to row b of a prior, the share t of the way. Normal latents lie near a sphere, so the way is the great
 * circle (slerp; White 2016), and the radius goes evenly; uniform ones fill a cube, so it is the chord. The ends are
 * the rows themselves.
 */
export function between(prior, a, b, t) {
  if (t <= 0 || t >= 1) return Float32Array.from(t <= 0 ? a : b);
  const straight = () => Float32Array.from(a, (x, k) => (1 - t) * x + t * b[k]);
  if (prior !== "normal") return straight();
  const [longA, longB] = [a, b].map((row) => Math.max(1e-12, Math.hypot(...row)));
  const cosine = a.reduce((sum, x, k) => sum + (x / longA) * (b[k] / longB), 0);
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  const sine = Math.sin(angle);
  if (sine < 1e-6) return straight(); // as good as parallel: there is no circle to follow
  const [shareA, shareB] = [Math.sin((1 - t) * angle) / sine, Math.sin(t * angle) / sine];
  const radius = (1 - t) * longA + t * longB;
  return Float32Array.from(a, (x, k) => ((shareA * x) / longA + (shareB * b[k]) / longB) * radius);
}

/** A row with another number in one place. */
export function moved(row, place, value) {
  const made = Float32Array.from(row);
  made[place] = value;
  return made;
}
