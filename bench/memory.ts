// Compares the estimated memory of a run with what the system measures, and the time of a step, for several budgets; and
// with stable-diffusion.cpp, if its program `sd-cli` is among them.
//
// usage: node dist/bench/memory.js MODEL SIZE [BUDGET | PROGRAM...]      for example: sd15.safetensors 512 none 1.7GB ./sd-cli

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type LoadOptions, loadModel } from '../lib/index.ts';
import { runTheirs } from './comparison.ts';
import { peakOf, runProcess } from './process.ts';

/** What the process of one budget prints, in bytes and seconds. */
interface Report {
  readonly plan: string;
  readonly estimated: number;
  readonly measured: number;
  /** The faster of two steps. */
  readonly step: number;
  readonly decode: number;
}

const [, , model, side, ...budgets] = process.argv;

/** One run of two steps in this process. */
async function measure(file: string, size: number, budget: string): Promise<Report> {
  const load: LoadOptions = { device: 'cpu', ...(budget === 'none' ? {} : { memory: budget }) };
  await using opened = await loadModel(file, load);
  const image = { width: size, height: size };
  const { plan, peaks } = await opened.estimate(image);
  const { timings } = await opened.txt2img({ ...image, prompt: 'a red apple', steps: 2, sampler: 'euler', seed: 1 });
  return {
    plan: [plan.residency, ...(plan.stream ? ['stream'] : []), ...(plan.together ? ['one latent'] : [])].join(', '),
    estimated: peaks.process.bytes,
    measured: peakOf(process.pid) ?? process.resourceUsage().maxRSS * 1024,
    step: Math.min(...timings.steps) / 1000,
    decode: timings.decoding / 1000,
  };
}

/** One image of `sd-cli` with as many threads. */
async function measureTheirs(program: string, model: string, size: number): Promise<Report> {
  const folder = await mkdtemp(join(tmpdir(), 'diffusion-bench-'));
  try {
    await using opened = await loadModel(model, { device: 'cpu', residency: 'unload' });
    const workload = { model, width: size, height: size, steps: 2, threads: opened.info.threads };
    const { step, decode, peakMemory } = await runTheirs(program, workload, folder);
    return { plan: 'sd-cli', estimated: Number.NaN, measured: peakMemory, step, decode };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Each budget in a process of its own. */
async function reportOn(file: string, size: string, budget: string): Promise<Report> {
  if (basename(budget) === 'sd-cli') return measureTheirs(budget, file, Number(size));
  const args = [fileURLToPath(import.meta.url), '--child', file, size, budget];
  const { stdout } = await runProcess(process.execPath, args);
  return JSON.parse(stdout) as Report;
}

async function compare(file: string, size: string): Promise<void> {
  console.log('budget   plan             estimated   measured   ratio   s/step   s/decoding');
  for (const budget of budgets.length > 0 ? budgets : ['none']) {
    const { plan, estimated, measured, step, decode } = await reportOn(file, size, budget);
    const bytes = (value: number) => `${(value / 1e9).toFixed(2)} GB`.padEnd(11);
    const times = `${step.toFixed(2).padEnd(8)} ${decode.toFixed(2)}`;
    const ratio = (estimated / measured).toFixed(2).padEnd(7);
    console.log(
      `${basename(budget).padEnd(8)} ${plan.padEnd(16)} ${bytes(estimated)} ${bytes(measured)} ${ratio} ${times}`,
    );
  }
}

if (model === '--child') {
  const [file, size, budget] = [side, ...budgets] as [string, string, string];
  console.log(JSON.stringify(await measure(file, Number(size), budget)));
} else if (model === undefined || side === undefined) {
  console.error('usage: node dist/bench/memory.js MODEL SIZE [BUDGET | PROGRAM...]');
  process.exitCode = 2;
} else {
  await compare(model, side);
}
