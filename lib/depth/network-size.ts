// At which size a depth network sees an image.

import type { Size } from '../image/resize.ts';

/** Of the square that a network was made for, as many go into the largest image that it sees. */
const MOST_SQUARES = 4;

/**
 * The rule of MiDaS ("minimal", which transformers has too): of the two scales that bring one side of the image to the side that the
 * network was made for, the one closer to 1; both sides are then rounded to multiples. An image of which little would be
 * scaled down, very long or very high, is made smaller than by that rule.
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

/** As Python and NumPy round. */
function roundHalfToEven(x: number): number {
  const below = Math.floor(x);
  const half = x - below === 0.5;
  return half ? below + (below % 2) : Math.round(x);
}
