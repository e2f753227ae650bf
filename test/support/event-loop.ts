// Measures times on a machine that may be busy with other things.

import { readFileSync } from 'node:fs';

/**
 * The longest time in milliseconds between two turns of the event loop while `work` runs, without the time in which this
 * thread waited for other processes to leave the CPU (which only Linux tells).
 */
export async function longestBlock(work: Promise<unknown>): Promise<number> {
  let longest = 0;
  let last = ownTime();
  const timer = setInterval(() => {
    const now = ownTime();
    longest = Math.max(longest, now - last);
    last = now;
  }, 1);
  try {
    await work;
  } finally {
    clearInterval(timer);
  }
  return Math.max(longest, ownTime() - last);
}

/** The smallest of up to ten measurements, stopping at one below `limit`: noise only adds. */
export async function bestBelow(limit: number, measure: () => Promise<number>): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 10 && best >= limit; i++) best = Math.min(best, await measure());
  return best;
}

function ownTime(): number {
  if (process.platform !== 'linux') return performance.now();
  // Nanoseconds on the CPU, nanoseconds ready but waiting for it, and time slices of the main thread.
  const [, waited] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'latin1').split(' ');
  return performance.now() - Number(waited) / 1e6;
}
