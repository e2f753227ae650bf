// The Mersenne Twister MT19937 and the normal numbers that torch's CPU generator derives from it.

import type { NoiseSource } from './types.ts';

const SIZE = 624;
const SHIFT = 397;

/**
 * MT19937 (Matsumoto and Nishimura 1998) with the seeding of 2002, as in torch: only the lower 32 bits of a seed count.
 */
export class Mt19937 {
  readonly #state = new Uint32Array(SIZE);
  #next = SIZE;

  /** @param seed 0 to 2^64 - 1. */
  constructor(seed: bigint) {
    let word = Number(seed & 0xffffffffn);
    this.#state[0] = word;
    for (let i = 1; i < SIZE; i++) {
      word = Math.imul(1812433253, word ^ (word >>> 30)) + i;
      this.#state[i] = word;
    }
  }

  /** The next unsigned 32-bit word. */
  word(): number {
    if (this.#next === SIZE) this.#twist();
    let y = this.#state[this.#next++] as number;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    y ^= y >>> 18;
    return y >>> 0;
  }

  /** A float32 in [0, 1) from 24 bits of one word. */
  uniform24(): number {
    return (this.word() & 0xffffff) / 2 ** 24;
  }

  /** A float64 in [0, 1) from 53 bits of two words, the upper one first. */
  uniform53(): number {
    const high = this.word() & 0x1fffff;
    return (high * 2 ** 32 + this.word()) / 2 ** 53;
  }

  #twist(): void {
    const state = this.#state;
    for (let i = 0; i < SIZE; i++) {
      const y = ((state[i] as number) & 0x80000000) | ((state[(i + 1) % SIZE] as number) & 0x7fffffff);
      state[i] = (state[(i + SHIFT) % SIZE] as number) ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.#next = 0;
  }
}

const FLOAT_2PI = Math.fround(2 * Math.PI);

/**
 * `torch.randn(n)` on the CPU. From 16 elements on, torch fills the tensor with uniforms, turns each block of 16 into
 * normals, and redraws the last 16 elements if n is not a multiple of 16. Below 16 it creates normals in pairs, in
 * float64, and keeps the second of a pair for the next element, also across calls.
 */
export class Mt19937Noise implements NoiseSource {
  readonly #generator: Mt19937;
  #spare: number | undefined;

  /** @param seed 0 to 2^64 - 1. */
  constructor(seed: bigint) {
    this.#generator = new Mt19937(seed);
  }

  normal(n: number): Float32Array {
    if (n < 16) return Float32Array.from({ length: n }, () => this.#single());
    const values = new Float32Array(n);
    for (let i = 0; i < n; i++) values[i] = this.#generator.uniform24();
    for (let start = 0; start + 16 <= n; start += 16) boxMuller16(values.subarray(start, start + 16));
    if (n % 16 !== 0) {
      const last = values.subarray(n - 16);
      for (let i = 0; i < 16; i++) last[i] = this.#generator.uniform24();
      boxMuller16(last);
    }
    return values;
  }

  #single(): number {
    const spare = this.#spare;
    this.#spare = undefined;
    if (spare !== undefined) return spare;
    const u1 = this.#generator.uniform53();
    const u2 = this.#generator.uniform53();
    const radius = Math.sqrt(-2 * Math.log1p(-u2));
    const theta = 2 * Math.PI * u1;
    this.#spare = radius * Math.sin(theta);
    return radius * Math.cos(theta);
  }
}

/** Turns 16 uniforms into normals in place, in float32: the first 8 give radii, the last 8 angles. */
function boxMuller16(block: Float32Array): void {
  for (let i = 0; i < 8; i++) {
    const u1 = Math.fround(1 - (block[i] as number));
    const radius = Math.fround(Math.sqrt(-2 * Math.fround(Math.log(u1))));
    const theta = Math.fround(FLOAT_2PI * (block[i + 8] as number));
    block[i] = radius * Math.fround(Math.cos(theta));
    block[i + 8] = radius * Math.fround(Math.sin(theta));
  }
}
