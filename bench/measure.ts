// Generates an image several times in a process of its own and prints the measurements as one line of JSON: the child
// process of bench/cpu.ts.
//
// usage: node dist/bench/measure.js '{"model": FILE, "width": 512, "height": 512, "steps": 2, "threads": 2, "precision": "auto"}'
// An absent model is the embedded one; absent threads are the default.

import { type LoadOptions, loadModel, type ProfileEntry, type Timings, type Txt2ImgOptions } from '../lib/index.ts';
import { loadAddon } from '../lib/native/load.ts';
import { peakOf } from './process.ts';

export interface Workload extends Pick<LoadOptions, 'threads'> {
  readonly precision: NonNullable<LoadOptions['precision']>;
  readonly model?: string;
  readonly width: number;
  readonly height: number;
  readonly steps: number;
}

/** Seconds of the stages. A step is both passes of classifier-free guidance, in one evaluation of the UNet. */
export interface Stages {
  readonly textEncoding: number;
  readonly step: number;
  readonly decode: number;
}

export interface Measurement {
  readonly threads: number;
  /** Of products: `f32` or `bf16`. */
  readonly precision: string;
  readonly load: number;
  /** The first evaluation of each network, which plans its memory and packs its weights. */
  readonly first: Stages;
  /** The evaluations after it; of the steps the fastest, as of the product. */
  readonly steady: Stages;
  /** Floating-point operations of the stages, in 1e9, counted from the graphs. */
  readonly gflop: Stages;
  /** The rate of one large product by the same kernels and threads, in 1e9 a second: the better of two measurements. */
  readonly productGflops: number;
  /** Maximum resident memory of the process until the second image is generated, in bytes. */
  readonly peakMemory: number;
  /** The cost of each kind of operation, measured with one more image of one step. */
  readonly operations: readonly ProfileEntry[];
}

const NETWORKS = { textEncoding: 'text encoder', step: 'UNet', decode: 'VAE decoder' } as const;

async function measure({ model: file, width, height, steps, ...load }: Workload): Promise<Measurement> {
  const image: Txt2ImgOptions = { prompt: 'a red apple', width, height, cfgScale: 7, seed: 42, sampler: 'euler' };
  const start = performance.now();
  const model = await loadModel(file, { ...load, device: 'cpu' });
  const loaded = performance.now();
  const { threads, precision } = model.info;
  const first = await model.txt2img({ ...image, steps: 1 });
  const steady = await model.txt2img({ ...image, steps });
  // On Linux that of `resourceUsage` would have its parent's in it.
  const peakMemory = peakOf(process.pid) ?? process.resourceUsage().maxRSS * 1024;
  await model.dispose();

  const before = await measureRate(load.precision, threads);
  await using profiled = await loadModel(file, { ...load, device: 'cpu', profile: true });
  await profiled.txt2img({ ...image, steps: 1 });
  const packed = await profiled.profile();
  await profiled.txt2img({ ...image, steps: 1 });
  const operations = subtract(await profiled.profile(), packed);
  return {
    threads,
    precision,
    load: (loaded - start) / 1000,
    first: toStages(first.timings),
    steady: toStages(steady.timings),
    gflop: countFlop(operations),
    productGflops: Math.max(before, await measureRate(load.precision, threads)),
    peakMemory,
    operations,
  };
}

/** In 1e9 floating-point operations a second. */
async function measureRate(precision: Workload['precision'], threads: number): Promise<number> {
  const addon = loadAddon();
  const { flop, seconds } = await addon.measureGemm({ precision, threads }, new addon.Cancellation());
  return flop / seconds / 1e9;
}

function toStages({ textEncoding, steps, decoding }: Timings): Stages {
  return { textEncoding: textEncoding / 1000, step: Math.min(...steps) / 1000, decode: decoding / 1000 };
}

/** What has come to a profile since `earlier`, the most expensive first. */
function subtract(entries: readonly ProfileEntry[], earlier: readonly ProfileEntry[]): ProfileEntry[] {
  const differences = entries.map((entry) => {
    const before = earlier.find(({ network, operation }) => network === entry.network && operation === entry.operation);
    if (!before) return entry;
    const { calls, seconds, flop, bytes } = before;
    return {
      ...entry,
      calls: entry.calls - calls,
      seconds: entry.seconds - seconds,
      flop: entry.flop - flop,
      bytes: entry.bytes - bytes,
    };
  });
  return differences.sort((a, b) => b.seconds - a.seconds);
}

function countFlop(entries: readonly ProfileEntry[]): Stages {
  const of = (network: string) =>
    entries.reduce((sum, entry) => sum + (entry.network === network ? entry.flop / 1e9 : 0), 0);
  const { textEncoding, step, decode } = NETWORKS;
  return { textEncoding: of(textEncoding), step: of(step), decode: of(decode) };
}

try {
  console.log(JSON.stringify(await measure(JSON.parse(process.argv[2] as string))));
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
