// Describes a model's noise levels in one line.

import type { NativeNoise } from '../native/contract.ts';

/** For example `1000 noise levels (scaled_linear, zero terminal SNR)`. */
export function describeNoise({ schedule, steps, zeroTerminalSnr, spacing, shift }: NativeNoise): string {
  const facts = [
    schedule,
    ...(zeroTerminalSnr ? ['zero terminal SNR'] : []),
    ...(spacing ? [`spacing ${spacing}`] : []),
    ...(shift === undefined ? [] : [`shift ${shift}`]),
  ];
  return `${steps} noise levels (${facts.join(', ')})`;
}
