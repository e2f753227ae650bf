// Edge detection by Canny's method (Canny 1986, A Computational Approach to Edge Detection), as used to train
// ControlNets: the edges of OpenCV's `Canny`, pixel for pixel.

import { eachRow, isTurnOver, nextTurn } from '../async/slices.ts';
import { reportMemory } from '../core/out-of-memory.ts';
import { checkImageArgument, type ImageInput, readImage } from '../image/input.ts';
import { checkMaxPixels, type ImageLimits } from '../image/limits.ts';
import { type Pixels, toRgb } from '../image/pixels.ts';
import { gaussian, resample } from '../image/resample.ts';
import { RgbImage } from '../image/rgb-image.ts';
import { type OptionCheck, within } from '../options/check.ts';

/** Options of {@link canny}. */
export interface CannyOptions {
  /**
   * Thresholds of the gradient, which is the sum of the magnitudes of Sobel's two derivatives, 0 to 2040: a pixel above
   * `high` is an edge, one above `low` if it continues an edge. Defaults 100 and 200, with which ControlNets for edges
   * were trained.
   */
  low?: number | undefined;
  high?: number | undefined;
  /** Standard deviation of a Gaussian blur applied first, in pixels, 0 to 16. Default 0: none, as in OpenCV. */
  blur?: number | undefined;
}

/** The options with every default filled in, validated. */
export interface CheckedCannyOptions {
  readonly low: number;
  readonly high: number;
  readonly blur: number;
}

/** Four times the largest byte, in both directions. */
const MAX_GRADIENT = 2040;
const MAX_BLUR = 16;
const CANNY_OPTIONS: readonly (keyof CannyOptions)[] = ['low', 'high', 'blur'];

/**
 * The edges of an image, white on black. Same as `preprocessor: 'canny'` of a control; use it to see the result.
 *
 * ```ts
 * const edges = await canny('house.png', { low: 80, high: 160 });
 * await edges.save('edges.png');
 * ```
 *
 * @throws TypeError or RangeError for invalid options; DiffusionError `ERR_FILE`, `ERR_IMAGE`, `ERR_MISSING_PACKAGE` if
 *   the image cannot be read, `ERR_OUT_OF_MEMORY`.
 */
export async function canny(image: ImageInput, options: CannyOptions & ImageLimits = {}): Promise<RgbImage> {
  const check = within(options, 'options', [...CANNY_OPTIONS, 'maxPixels']);
  const thresholds = checkThresholds(check, 'options');
  const maxPixels = checkMaxPixels(check, 'options.maxPixels');
  const input = checkImageArgument(check, image, maxPixels);
  check.done();
  const find = async () => findEdges(await toRgb(await readImage(input, 'image', maxPixels)), thresholds);
  const edges = await reportMemory(find());
  return new RgbImage(edges.data, edges.width, edges.height);
}

/** @throws TypeError or RangeError with all problems. */
export function checkCannyOptions(options: unknown, name: string): CheckedCannyOptions {
  const check = within(options, name, CANNY_OPTIONS);
  const checked = checkThresholds(check, name);
  check.done();
  return checked;
}

function checkThresholds(check: OptionCheck, name: string): CheckedCannyOptions {
  const low = check.number(`${name}.low`, 100, { min: 0, max: MAX_GRADIENT });
  const high = check.number(`${name}.high`, Math.max(200, low), { min: 0, max: MAX_GRADIENT });
  const blur = check.number(`${name}.blur`, 0, { min: 0, max: MAX_BLUR });
  if (low > high)
    check.problem({ name: `${name}.low`, expected: `at most the high threshold, ${high},`, received: `${low}` });
  return { low, high, blur };
}

/**
 * @param image RGB.
 * @returns RGB, white on edges.
 */
export async function findEdges(image: Pixels, { low, high, blur }: CheckedCannyOptions): Promise<Pixels> {
  const { width, height } = image;
  const whole = { x: 0, y: 0, width, height };
  const smooth = blur > 0 ? await resample(image, whole, width, height, gaussian(blur)) : image;
  const ridges = await findRidges(await sobel(smooth), width, height, Math.floor(low), Math.floor(high));
  await followEdges(ridges, width);
  const data = new Uint8Array(3 * width * height);
  await eachRow(height, (y) => {
    for (let x = 0; x < width; x++) {
      if (ridges[(y + 1) * (width + 2) + x + 1] === STRONG)
        data.fill(255, 3 * (y * width + x), 3 * (y * width + x) + 3);
    }
  });
  return { width, height, channels: 3, data };
}

/** Derivatives of an image. */
interface Gradient {
  /** Which neighbors lie across an edge, see {@link acrossEdge}: `[height, width]`. */
  readonly across: Uint8Array;
  /** |dx| + |dy|, `[height + 2, width + 2]`, with a border of zeros. */
  readonly magnitude: Uint16Array;
}

/** Sobel's derivatives of the channel that changes most at each pixel. Border pixels are repeated around the image. */
async function sobel({ width, height, data }: Pixels): Promise<Gradient> {
  const across = new Uint8Array(width * height);
  const magnitude = new Uint16Array((width + 2) * (height + 2));
  await eachRow(height, (y) => {
    const rows = [Math.max(y - 1, 0), y, Math.min(y + 1, height - 1)].map((row) => 3 * row * width);
    const [above, here, below] = rows as [number, number, number];
    for (let x = 0; x < width; x++) {
      const [left, right] = [3 * Math.max(x - 1, 0), 3 * Math.min(x + 1, width - 1)];
      let [most, dx, dy] = [-1, 0, 0];
      for (let channel = 0; channel < 3; channel++) {
        const at = (row: number, column: number) => data[row + column + channel] as number;
        const east = at(above, right) + 2 * at(here, right) + at(below, right);
        const west = at(above, left) + 2 * at(here, left) + at(below, left);
        const south = at(below, left) + 2 * at(below, 3 * x) + at(below, right);
        const north = at(above, left) + 2 * at(above, 3 * x) + at(above, right);
        const size = Math.abs(east - west) + Math.abs(south - north);
        if (size <= most) continue;
        most = size;
        dx = east - west;
        dy = south - north;
      }
      across[y * width + x] = acrossEdge(dx, dy);
      magnitude[(y + 1) * (width + 2) + x + 1] = most;
    }
  });
  return { across, magnitude };
}

/** Values of a pixel other than 0: an edge if it continues another one, or a definite edge. */
const WEAK = 1;
const STRONG = 2;

/** The tangent of 22.5 degrees in OpenCV's fixed point, which separates the directions. */
const FIXED_POINT = 1 << 15;
const TANGENT = Math.round(Math.tan(Math.PI / 8) * FIXED_POINT);

/** Thins edges to the pixels that are the largest across them. */
async function findRidges(
  { across, magnitude }: Gradient,
  width: number,
  height: number,
  low: number,
  high: number,
): Promise<Uint8Array> {
  const stride = width + 2;
  const steps = [1, stride, stride + 1, stride - 1];
  const found = new Uint8Array(magnitude.length);
  await eachRow(height, (y) => {
    for (let x = 0; x < width; x++) {
      const place = (y + 1) * stride + x + 1;
      const size = magnitude[place] as number;
      if (size <= low) continue;
      const direction = across[y * width + x] as number;
      const before = magnitude[place - (steps[direction] as number)] as number;
      const after = magnitude[place + (steps[direction] as number)] as number;
      // Of two equal neighbors side by side the first is the ridge; along diagonals neither is, as in OpenCV.
      const isDiagonal = direction > 1;
      if (size > before && (isDiagonal ? size > after : size >= after)) found[place] = size > high ? STRONG : WEAK;
    }
  });
  return found;
}

/**
 * The neighbors that the gradient points to and away from: 0 left and right, 1 above and below, 2 and 3 along the
 * falling and the rising diagonal.
 */
function acrossEdge(dx: number, dy: number): number {
  const [x, y] = [Math.abs(dx), Math.abs(dy) * FIXED_POINT];
  if (y < x * TANGENT) return 0;
  if (y > x * (TANGENT + 2 * FIXED_POINT)) return 1;
  return dx < 0 === dy < 0 ? 2 : 3;
}

/** Pixels processed between two checks of the clock. */
const PLACES_AT_A_TIME = 1 << 12;

/** Marks every weak pixel connected to a definite edge. */
async function followEdges(ridges: Uint8Array, width: number): Promise<void> {
  const stride = width + 2;
  const steps = [-stride - 1, -stride, -stride + 1, -1, 1, stride - 1, stride, stride + 1];
  const waiting: number[] = [];
  await eachRow(ridges.length / stride, (y) => {
    for (let x = 0; x < stride; x++) if (ridges[y * stride + x] === STRONG) waiting.push(y * stride + x);
  });
  while (waiting.length > 0) {
    if (isTurnOver()) await nextTurn();
    for (let turns = 0; turns < PLACES_AT_A_TIME && waiting.length > 0; turns++) {
      const place = waiting.pop() as number;
      for (const step of steps) {
        if (ridges[place + step] !== WEAK) continue;
        ridges[place + step] = STRONG;
        waiting.push(place + step);
      }
    }
  }
}
