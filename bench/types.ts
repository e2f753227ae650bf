// Compares the types that weights are stored in with f16: size of the file, memory, time of a step, and how alike images
// are. The model is converted to each type. Prints a table for docs/memory.md.
//
// usage: node dist/bench/types.js MODEL [--size N] [--steps N] [--images N] [--speed-size N] [--rounds N] [--sheet FILE] [TYPE...]
// With --images 0 no images are compared, with --rounds 0 neither memory nor speed is measured. `processor` is the time of all
// threads, which other programs disturb less.

import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { PNG } from 'pngjs';
import { type ConversionType, convert, loadModel, type RgbImage } from '../lib/index.ts';
import { CONVERSION_TYPES } from '../lib/loading/weight-types.ts';
import { peakOf, runProcess } from './process.ts';
import { multiScaleSsim, psnr } from './similarity.ts';
import { measureSteps, type Step } from './steps.ts';

const BASE = 'f16';
/** Names that the bundled model knows, with and without a style, and scenes. */
const PROMPTS = [
  ...['a red apple', 'a panda', 'a racing car', 'a banana', 'grapes', 'a pizza, flat', 'an ice cream, gradient'],
  ...['a dog', 'a cat face, flat', 'a penguin', 'a butterfly', 'a rose', 'a cactus', 'a star, noto', 'a sailboat'],
  ...['a house', 'a robot, 3d', 'a grinning face', 'a cat next to a dog', 'a red apple on a blue background'],
];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    size: { type: 'string', default: '64' },
    steps: { type: 'string', default: '20' },
    images: { type: 'string', default: String(PROMPTS.length) },
    'speed-size': { type: 'string' },
    rounds: { type: 'string', default: '3' },
    sheet: { type: 'string' },
    child: { type: 'string' },
  },
});
const [size, steps, images, rounds] = [values.size, values.steps, values.images, values.rounds].map(Number) as [
  number,
  number,
  number,
  number,
];
const speedSize = Number(values['speed-size'] ?? values.size);

/** One image of each prompt and seed. Products are in f32, so that only the weights differ. */
async function generateAll(file: string): Promise<RgbImage[]> {
  await using model = await loadModel(file, { device: 'cpu', precision: 'f32' });
  const all: RgbImage[] = [];
  for (let i = 0; i < images; i++) {
    const prompt = PROMPTS[i % PROMPTS.length] as string;
    const seed = 1 + Math.floor(i / PROMPTS.length);
    const result = await model.txt2img({ prompt, seed, steps, width: size, height: size });
    all.push(result.images[0] as RgbImage);
  }
  return all;
}

/** The fastest steps of models from these files. */
async function compareSpeed(files: readonly string[]): Promise<Step[]> {
  const models = await Promise.all(files.map((file) => loadModel(file, { device: 'cpu' })));
  const steps = await measureSteps(models, speedSize, rounds);
  for (const model of models) await model.dispose();
  return steps;
}

/** Bytes of a process that generates one image. */
async function peakMemory(file: string): Promise<number> {
  await using model = await loadModel(file, { device: 'cpu' });
  await model.txt2img({ prompt: 'a red apple', steps: 1, seed: 1, width: speedSize, height: speedSize });
  return peakOf(process.pid) ?? process.resourceUsage().maxRSS * 1024;
}

async function inChild<T>(what: 'speed' | 'memory', files: readonly string[]): Promise<T> {
  const options = ['--child', what, '--speed-size', String(speedSize), '--rounds', String(rounds)];
  const { stdout } = await runProcess(process.execPath, [fileURLToPath(import.meta.url), ...options, ...files]);
  return JSON.parse(stdout) as T;
}

/** The first images of all types side by side, a row for each prompt. */
async function writeSheet(path: string, columns: readonly (readonly RgbImage[])[]): Promise<void> {
  const rows = 2;
  const [width, height] = [columns.length * size, rows * size];
  const data = new Uint8Array(3 * width * height);
  for (const [column, all] of columns.entries()) {
    for (let y = 0; y < height; y++) {
      const image = all[Math.floor(y / size)] as RgbImage;
      const line = image.data.subarray(3 * (y % size) * size, 3 * ((y % size) + 1) * size);
      data.set(line, 3 * (y * width + column * size));
    }
  }
  const png = Object.assign(new PNG({ width, height }), { data: Buffer.from(data) });
  await writeFile(path, PNG.sync.write(png, { inputHasAlpha: false, colorType: 2, filterType: 4 }));
}

/** Memory in MB, seconds of a step of both files, and their ratios. */
async function measureCost(file: string, base: string): Promise<string[]> {
  const memory = await inChild<number>('memory', [file]);
  const [ours, theirs] = await inChild<[Step, Step]>('speed', [file, base]);
  const ratios = [ours.wall / theirs.wall, ours.processor / theirs.processor];
  return [(memory / 1e6).toFixed(0), ...[ours.wall, theirs.wall, ...ratios].map((value) => value.toFixed(2))];
}

/** Mean and lowest of PSNR and MS-SSIM. */
function likenessOf(made: readonly RgbImage[], expected: readonly RgbImage[]): string[] {
  const range = (all: readonly number[], digits: number) =>
    [all.reduce((sum, one) => sum + one, 0) / all.length, Math.min(...all)].map((value) => value.toFixed(digits));
  const pairs = made.map(({ data }, i) => [data, (expected[i] as RgbImage).data] as const);
  const decibels = pairs.map(([a, b]) => psnr(a, b));
  const similar = pairs.map(([a, b]) => multiScaleSsim(a, b, size, size));
  return [...range(decibels, 1), ...range(similar, 4)];
}

async function compare(model: string, types: readonly ConversionType[]): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'diffusion-bench-'));
  try {
    const fileOf = async (type: ConversionType) => {
      const file = join(folder, `${type}.gguf`);
      await convert(model, file, { type });
      return file;
    };
    const base = await fileOf(BASE);
    const expected = await generateAll(base);
    const columns = [expected];
    console.log(
      '| type | file, MB | memory, MB | a step, s | f16, s | ratio | processor, ratio | PSNR, dB: mean | lowest | MS-SSIM: mean | lowest |',
    );
    console.log(`|${' --- |'.repeat(11)}`);
    for (const type of types) {
      const file = type === BASE ? base : await fileOf(type);
      const { size: bytes } = await stat(file);
      const made = type === BASE ? expected : await generateAll(file);
      if (type !== BASE) columns.push(made);
      const cells = [
        ...[type, (bytes / 1e6).toFixed(0)],
        ...(rounds > 0 ? await measureCost(file, base) : ['', '', '', '', '']),
        ...(images > 0 ? likenessOf(made, expected) : ['', '', '', '']),
      ];
      console.log(`| ${cells.join(' | ')} |`);
      if (file !== base) await rm(file);
    }
    if (values.sheet) await writeSheet(values.sheet, columns);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const [model, ...names] = positionals;
if (values.child === 'speed') console.log(JSON.stringify(await compareSpeed(positionals)));
else if (values.child === 'memory') console.log(JSON.stringify(await peakMemory(positionals[0] as string)));
else if (model === undefined || names.some((name) => !CONVERSION_TYPES.includes(name as ConversionType))) {
  console.error(`usage: node dist/bench/types.js MODEL [TYPE...], of the types ${CONVERSION_TYPES.join(', ')}`);
  process.exitCode = 2;
} else await compare(model, names.length > 0 ? (names as ConversionType[]) : CONVERSION_TYPES);
