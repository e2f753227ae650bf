// Arrays of numbers, joined and repeated.

export function concat(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** The same array where it is wanted once. */
export function repeat(values: Float32Array, times: number): Float32Array {
  return times === 1 ? values : concat(Array.from({ length: times }, () => values));
}
