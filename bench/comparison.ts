// Compares the command `diffuse` with stable-diffusion.cpp's `sd-cli`: they generate the same image alternately, each in its
// own processes.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Workload } from './measure.ts';
import { runProcess } from './process.ts';

export interface ComparisonOptions {
  /** Path of `sd-cli`. */
  readonly program: string;
  /** Number of images that each of the two generates. */
  readonly rounds: number;
}

/** Seconds and bytes. */
export interface Entry {
  /**
   * Mean of the steps. Ours without the first if there are several, because that one packs the weights; `sd-cli` does such
   * work before its first step and only logs the sum of the steps. `wall` includes everything for both.
   */
  readonly step: number;
  readonly decode: number;
  /** Of the whole process. */
  readonly wall: number;
  readonly peakMemory: number;
}

/** The minimum of each figure over all rounds. */
export interface Comparison {
  readonly ours: Entry;
  readonly theirs: Entry;
}

const DIFFUSE = fileURLToPath(new URL(`../lib/cli/main${extname(import.meta.url)}`, import.meta.url));

export async function compareWith({ program, rounds }: ComparisonOptions, workload: Workload): Promise<Comparison> {
  const folder = await mkdtemp(join(tmpdir(), 'diffusion-bench-'));
  try {
    const ours: Entry[] = [];
    const theirs: Entry[] = [];
    for (let round = 0; round < rounds; round++) {
      ours.push(await runOurs(workload, folder));
      theirs.push(await runTheirs(program, workload, folder));
    }
    return { ours: minimum(ours), theirs: minimum(theirs) };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Flags common to both programs. */
function flags({ model, width, height, steps, threads }: Omit<Workload, 'precision'>, output: string): string[] {
  const prompt = ['-p', 'a red apple', '--cfg-scale', '7', '--sampling-method', 'euler', '-s', '42'];
  return [
    '-m',
    String(model),
    ...prompt,
    ...['-W', width, '-H', height, '--steps', steps, '-t', threads, '-o', output].map(String),
  ];
}

async function runOurs(workload: Workload, folder: string): Promise<Entry> {
  const args = [DIFFUSE, ...flags(workload, join(folder, 'ours.png')), '--json', '--device', 'cpu'];
  const { stdout, wall } = await runProcess(process.execPath, [...args, '--precision', workload.precision]);
  const { timings, peakMemory } = JSON.parse(stdout);
  const { steps, decoding } = timings.images[0];
  const later: number[] = steps.length > 1 ? steps.slice(1) : steps;
  const step = later.reduce((sum, ms) => sum + ms, 0) / later.length / 1000;
  return { step, decode: decoding / 1000, wall, peakMemory };
}

/** One image of `sd-cli`. */
export async function runTheirs(
  program: string,
  workload: Omit<Workload, 'precision'>,
  folder: string,
): Promise<Entry> {
  const { stdout, stderr, wall, peakMemory } = await runProcess(program, flags(workload, join(folder, 'theirs.png')));
  const log = stdout + stderr;
  const seconds = (what: string) => {
    const [, value] = new RegExp(`${what} completed, taking ([\\d.]+)s`).exec(log) ?? [];
    if (value === undefined)
      throw new Error(`${program} did not log '${what} completed, taking ...s':\n${log.slice(-2000)}`);
    return Number(value);
  };
  const sampling = seconds('sampling');
  return {
    step: sampling / workload.steps,
    decode: seconds('decode_first_stage'),
    wall,
    peakMemory: peakMemory ?? Number.NaN,
  };
}

function minimum(entries: readonly Entry[]): Entry {
  const of = (key: keyof Entry) => Math.min(...entries.map((entry) => entry[key]));
  return { step: of('step'), decode: of('decode'), wall: of('wall'), peakMemory: of('peakMemory') };
}
