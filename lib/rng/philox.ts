// Philox 4x32-10 and the normal numbers that torch's CUDA generator derives from it.

import type { NoiseSource } from './types.ts';

/** Counter or output block of Philox: four unsigned 32-bit words. */
export type Block = readonly [number, number, number, number];

/**
 * The Philox 4x32 bijection with 10 rounds (Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3").
 *
 * @param counter which block of the stream, unsigned words.
 * @param key which stream, unsigned words.
 * @returns four unsigned random words.
 */
export function philox(counter: Block, key: readonly [number, number]): Block {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const mixed0 = multiplyHigh(0xcd9e8d57, c2) ^ c1 ^ k0;
    const mixed2 = multiplyHigh(0xd2511f53, c0) ^ c3 ^ k1;
    c1 = Math.imul(0xcd9e8d57, c2);
    c3 = Math.imul(0xd2511f53, c0);
    c0 = mixed0;
    c2 = mixed2;
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  return [c0 >>> 0, c1 >>> 0, c2 >>> 0, c3 >>> 0];
}

/**
 * Upper 32 bits of the product of two unsigned 32-bit numbers, in halves of 16 bits so that everything fits 32-bit
 * integers.
 */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const lower = Math.imul(aHigh, bLow) + (Math.imul(aLow, bLow) >>> 16);
  const middle = Math.imul(aLow, bHigh) + (lower & 0xffff);
  return (Math.imul(aHigh, bHigh) + (lower >>> 16) + (middle >>> 16)) | 0;
}

/** 2^-32 and 2 pi 2^-32 in float32: the constants with which curand maps a word to (0, 1) and (0, 2 pi). */
const WORD = 2 ** -32;
const WORD_2PI = Math.fround(2 ** -32 * Math.fround(2 * Math.PI));

/**
 * `torch.randn(n, device='cuda')`: element i of call k is the first normal of block (k, 0, i, 0), as long as the GPU
 * has one thread per element. There, larger tensors (about 100,000 elements, depending on the GPU) are split over
 * threads; here, as in other programs that reproduce this generator without a GPU, the rule is the same at every size.
 */
export class PhiloxNoise implements NoiseSource {
  readonly #key: readonly [number, number];
  #calls = 0;

  /** @param seed 0 to 2^64 - 1. */
  constructor(seed: bigint) {
    this.#key = [Number(seed & 0xffffffffn), Number(seed >> 32n)];
  }

  normal(n: number): Float32Array {
    const call = this.#calls++;
    const values = new Float32Array(n);
    for (let i = 0; i < n; i++) {
      const [word0, word1] = philox([call, 0, i, 0], this.#key);
      values[i] = boxMuller(word0, word1);
    }
    return values;
  }
}

/** First of the two normals that curand derives from two words, in float32 with the GPU's fused multiply-add. */
function boxMuller(word0: number, word1: number): number {
  const u = Math.fround(Math.fround(word0) * WORD + WORD / 2);
  const v = Math.fround(Math.fround(word1) * WORD_2PI + WORD_2PI / 2);
  const radius = Math.fround(Math.sqrt(-2 * Math.fround(Math.log(u))));
  return radius * Math.fround(Math.sin(v));
}
