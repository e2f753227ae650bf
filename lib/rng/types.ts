// The interface of a noise source.

/** A seeded generator of standard normal numbers. */
export interface NoiseSource {
  /** The next `n` numbers. A call advances the generator as one call of torch.randn for `n` elements does. */
  normal(n: number): Float32Array;
}
