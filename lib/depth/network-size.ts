// The size at which a depth network sees an image.

import type { Size } from '../image/resize.ts';

/** The maximum number of squares of the network's own size in the largest image that it sees. */
const MOST_SQUARES = 4;

/**
 * The rule of MiDaS ("minimal", also in transformers): of the two scales that bring one side of the image to the
 * network's side, the one closer to 1; both sides are then rounded to multiples. An image that this would scale down
 * little because it is very long or very high is made smaller than by that rule.
 *
 * @param side that the network was made for.
 * @param multiple of which sides must be.
 */
export function networkSize({ width, height }: Size, side: number, multiple: number): Size {
  const [across, down] = [side / width, side / height];
  const minimal = Math.abs(1 - across) < Math.abs(1 - down) ? across : down;
  const scale = Math.min(minimal, Math.sqrt((MOST_SQUARES * side * side) / (width * height)));
  const round = (length: number) => Math.max(roundHalfToEven((scale * length) / multiple), 1) * multiple;
  return { width: round(width), height: round(height) };
}

/** Like Python and NumPy. */
function roundHalfToEven(x: number): number {
  const below = Math.floor(x);
  const half = x - below === 0.5;
  return half ? below + (below % 2) : Math.round(x);
}
