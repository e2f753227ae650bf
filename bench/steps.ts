// Measures single steps of models that take turns, so that other work of the machine disturbs all of them alike.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Model, Sampler } from '../lib/index.ts';

/** Seconds: of the clock, and of all threads together, which other programs disturb less. */
export interface Step {
  readonly wall: number;
  readonly processor: number;
}

/** A run of a model that takes a step whenever it is told to. */
interface OpenRun {
  step(): Promise<Step>;
  close(): Promise<void>;
}

/** @returns the run after its first step, which includes other work. */
async function openRun(model: Model, side: number): Promise<OpenRun> {
  const closed = new AbortController();
  let run: Promise<unknown> = Promise.resolve();
  const step = await new Promise<OpenRun['step']>((resolve, reject) => {
    const sampler: Sampler = async (denoise, latent, [sigma = 1]) => {
      resolve(async () => {
        const [start, usedBefore] = [performance.now(), process.cpuUsage()];
        await denoise(latent, sigma);
        const { user, system } = process.cpuUsage(usedBefore);
        return { wall: (performance.now() - start) / 1000, processor: (user + system) / 1e6 };
      });
      await once(closed.signal, 'abort');
      return latent;
    };
    run = model.txt2img({
      prompt: 'a red apple',
      width: side,
      height: side,
      seed: 1,
      steps: 2,
      sampler,
      signal: closed.signal,
    });
    run.catch(reject);
  });
  await step();
  return {
    step,
    close: async () => {
      closed.abort();
      await assert.rejects(run, { name: 'AbortError' });
    },
  };
}

function faster(a: Step, b: Step): Step {
  return { wall: Math.min(a.wall, b.wall), processor: Math.min(a.processor, b.processor) };
}

/** The fastest steps of several models, which take turns, of images of `side` pixels. */
export async function measureSteps(models: readonly Model[], side: number, rounds: number): Promise<Step[]> {
  const runs: OpenRun[] = [];
  for (const model of models) runs.push(await openRun(model, side));
  const fastest = runs.map((): Step => ({ wall: Number.POSITIVE_INFINITY, processor: Number.POSITIVE_INFINITY }));
  for (let round = 0; round < rounds; round++) {
    for (const [i, run] of runs.entries()) fastest[i] = faster(fastest[i] as Step, await run.step());
  }
  for (const run of runs) await run.close();
  return fastest;
}
