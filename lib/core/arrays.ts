// Arrays of numbers: joining, repeating and adding.

export function concat(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** Returns the same array if `times` is 1. */
export function repeat(values: Float32Array, times: number): Float32Array {
  return times === 1 ? values : concat(Array.from({ length: times }, () => values));
}

/** Sum of the vectors, each times its factor; accumulated in float64 and rounded once. */
export function linear(...terms: readonly (readonly [factor: number, vector: Float32Array])[]): Float32Array {
  const sum = new Float64Array(terms[0]?.[1].length ?? 0);
  for (const [factor, vector] of terms) {
    for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + factor * (vector[i] as number);
  }
  return Float32Array.from(sum);
}
