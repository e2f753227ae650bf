// Attention weights on the output of the text encoder.

/**
 * Multiplies the hidden state of each token by its weight, in place, then scales each chunk so that its mean over all
 * values is restored. A chunk whose weights are all 1 is not changed.
 *
 * Means and products are those of stable-diffusion.cpp: the mean is summed in double precision and rounded to a 32-bit
 * float. AUTOMATIC1111's web UI does the same in single precision, with the mean over one chunk and all images of the
 * batch, which share the prompt. If the new mean is 0 or not finite, there is nothing to restore, and the product
 * stays.
 *
 * @param hidden hidden states `[chunks, positions, width]`
 * @param weights `[positions]` for each chunk, as in `PromptChunk`
 * @throws RangeError if the shapes do not match
 */
export function applyWeights(hidden: Float32Array, weights: readonly Float32Array[]): void {
  const size = hidden.length / weights.length;
  const positions = weights[0]?.length ?? 0;
  if (!Number.isInteger(size / positions) || weights.some((row) => row.length !== positions)) {
    throw new RangeError(
      `Expected hidden states [chunks, positions, width] for ${weights.length} chunks of ${positions} weights, ` +
        `but received ${hidden.length} values`,
    );
  }
  for (const [i, row] of weights.entries()) {
    if (row.some((weight) => weight !== 1)) weightChunk(hidden.subarray(i * size, (i + 1) * size), row);
  }
}

/** `chunk` is `[positions, width]`. Storing into it rounds each product to 32 bits. */
function weightChunk(chunk: Float32Array, weights: Float32Array): void {
  const width = chunk.length / weights.length;
  const before = mean(chunk);
  for (let i = 0; i < chunk.length; i++) {
    chunk[i] = (chunk[i] as number) * (weights[Math.floor(i / width)] as number);
  }
  const after = mean(chunk);
  if (!Number.isFinite(before) || !Number.isFinite(after) || after === 0) return;
  const restore = Math.fround(before / after);
  for (let i = 0; i < chunk.length; i++) chunk[i] = (chunk[i] as number) * restore;
}

function mean(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return Math.fround(sum / values.length);
}
