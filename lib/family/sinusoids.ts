// Sinusoidal embeddings of numbers: sines and cosines of many frequencies (Vaswani et al. 2017, section 3.5).

const LONGEST_PERIOD = 10_000;
/** Size of the embedding of each number that SDXL is conditioned on. */
export const NUMBER_SIZE = 256;

/**
 * Embeds numbers as SDXL does sizes, places and scores (Podell et al. 2023, section 2.2): for each number x the
 * cosines, then the sines, of x 10000^(-i / 128).
 *
 * @returns `[numbers, 256]`
 */
export function embedNumbers(numbers: readonly number[]): Float32Array {
  const half = NUMBER_SIZE / 2;
  const embeddings = new Float32Array(numbers.length * NUMBER_SIZE);
  for (const [row, number] of numbers.entries()) {
    for (let i = 0; i < half; i++) {
      const angle = number * LONGEST_PERIOD ** (-i / half);
      embeddings[row * NUMBER_SIZE + i] = Math.cos(angle);
      embeddings[row * NUMBER_SIZE + half + i] = Math.sin(angle);
    }
  }
  return embeddings;
}

/**
 * Embeds a guidance scale w for a UNet that was distilled with it (Meng et al. 2022, arXiv:2210.03142; LCM): the sines,
 * then the cosines of 1000 (w - 1) 10000^(-i / (half - 1)).
 *
 * @param size of the embedding.
 */
export function embedGuidance(scale: number, size: number): Float32Array {
  const half = Math.floor(size / 2);
  const embedding = new Float32Array(size); // an odd size ends in a 0
  for (let i = 0; i < half; i++) {
    const angle = 1000 * (scale - 1) * LONGEST_PERIOD ** (-i / Math.max(half - 1, 1));
    embedding[i] = Math.sin(angle);
    embedding[half + i] = Math.cos(angle);
  }
  return embedding;
}
