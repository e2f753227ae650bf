// How alike two images are.

/** Peak signal-to-noise ratio of bytes in decibels; infinite if they are equal. */
export function psnr(a: Uint8Array, b: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += ((a[i] as number) - (b[i] as number)) ** 2;
  return 10 * Math.log10((255 ** 2 * a.length) / sum);
}

interface Plane {
  readonly width: number;
  readonly height: number;
  readonly values: Float64Array;
}

/** Weight of each scale, from the full one on (Wang et al. 2003, table 1). */
const SCALE_WEIGHTS = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];
const WINDOW = 11;
const SIGMA = 1.5;
const C1 = (0.01 * 255) ** 2;
const C2 = (0.03 * 255) ** 2;

/**
 * Multi-scale structural similarity of the luma of two RGB images, at most 1 for equal ones: Wang, Simoncelli and Bovik,
 * "Multi-scale structural similarity for image quality assessment" (2003). Of images below 176 pixels fewer scales are
 * used, with weights in the same proportions.
 */
export function multiScaleSsim(a: Uint8Array, b: Uint8Array, width: number, height: number): number {
  const scales = SCALE_WEIGHTS.filter((_, i) => Math.floor(Math.min(width, height) / 2 ** i) >= WINDOW);
  const total = scales.reduce((sum, weight) => sum + weight, 0);
  let [x, y] = [lumaOf(a, width, height), lumaOf(b, width, height)];
  let product = 1;
  for (const [i, weight] of scales.entries()) {
    const { ssim, structure } = compare(x, y);
    const similarity = i === scales.length - 1 ? ssim : structure;
    product *= Math.max(similarity, 0) ** (weight / total);
    [x, y] = [halved(x), halved(y)];
  }
  return product;
}

function lumaOf(rgb: Uint8Array, width: number, height: number): Plane {
  const channel = (i: number, offset: number) => rgb[3 * i + offset] as number;
  const luma = (_: unknown, i: number) => 0.299 * channel(i, 0) + 0.587 * channel(i, 1) + 0.114 * channel(i, 2);
  return { width, height, values: Float64Array.from({ length: width * height }, luma) };
}

/** Means over all windows of SSIM, and of its contrast and structure terms alone. */
function compare(x: Plane, y: Plane): { ssim: number; structure: number } {
  const products = (p: Plane, q: Plane) => ({
    ...p,
    values: p.values.map((value, i) => value * (q.values[i] as number)),
  });
  const [mx, my, xx, yy, xy] = [x, y, products(x, x), products(y, y), products(x, y)].map(blurred) as Plane['values'][];
  let ssim = 0;
  let structure = 0;
  const at = (values: Float64Array | undefined, i: number) => values?.[i] as number;
  const count = mx?.length ?? 0;
  for (let i = 0; i < count; i++) {
    const both = at(mx, i) * at(my, i);
    const squares = at(mx, i) ** 2 + at(my, i) ** 2;
    const variances = at(xx, i) + at(yy, i) - squares;
    const own = (2 * (at(xy, i) - both) + C2) / (variances + C2);
    structure += own;
    ssim += (own * (2 * both + C1)) / (squares + C1);
  }
  return { ssim: ssim / count, structure: structure / count };
}

const kernel = Array.from({ length: WINDOW }, (_, i) => Math.exp(-((i - (WINDOW - 1) / 2) ** 2) / (2 * SIGMA ** 2)));
const kernelSum = kernel.reduce((sum, value) => sum + value, 0);

/** Convolved with a Gaussian window, where all of it is inside. */
function blurred({ width, height, values }: Plane): Float64Array {
  const [w, h] = [width - WINDOW + 1, height - WINDOW + 1];
  const along = (from: Float64Array, stride: number, start: number) =>
    kernel.reduce((sum, weight, i) => sum + weight * (from[start + i * stride] as number), 0) / kernelSum;
  const rows = Float64Array.from({ length: w * height }, (_, i) =>
    along(values, 1, Math.floor(i / w) * width + (i % w)),
  );
  return Float64Array.from({ length: w * h }, (_, i) => along(rows, w, i));
}

/** At half the size, by averages of 2x2 pixels. */
function halved({ width, height, values }: Plane): Plane {
  const [w, h] = [Math.floor(width / 2), Math.floor(height / 2)];
  const at = (x: number, y: number) => values[y * width + x] as number;
  const mean = (_: unknown, i: number) => {
    const [x, y] = [2 * (i % w), 2 * Math.floor(i / w)];
    return (at(x, y) + at(x + 1, y) + at(x, y + 1) + at(x + 1, y + 1)) / 4;
  };
  return { width: w, height: h, values: Float64Array.from({ length: w * h }, mean) };
}
