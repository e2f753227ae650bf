// The shapes of the inputs of a network, from what it declares.

import type { NativeSignature } from './contract.ts';

/**
 * @param sizes what the names in the signature stand for.
 * @param optional names of optional inputs that are given.
 * @returns the shape of each input.
 */
export function shapesOf(
  { inputs }: NativeSignature,
  sizes: Readonly<Record<string, number>>,
): Record<string, readonly number[]> {
  const given = inputs.filter(({ optional }) => !optional);
  return Object.fromEntries(given.map(({ name, shape }) => [name, shape.map((side) => sizeOf(side, sizes))]));
}

/** A number, a size, or a multiple of one: `8 height`. */
function sizeOf(side: number | string, sizes: Readonly<Record<string, number>>): number {
  if (typeof side === 'number') return side;
  const [first = '', second] = side.split(' ');
  return second === undefined ? (sizes[first] ?? 1) : Number(first) * (sizes[second] ?? 1);
}
