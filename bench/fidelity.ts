// Compares images with those of stable-diffusion.cpp, or with our own in another precision: same checkpoint, same options,
// PSNR in dB. Prints the table of docs/fidelity.md.
//
// usage: node dist/bench/fidelity.js --model FILE --sd-cli FILE [--references FOLDER] [--precision f32] [--threads N] [--only WORD]
//        node dist/bench/fidelity.js --model FILE --precision bf16 --against f32 [--threads N] [--only WORD]
// WORD selects the cases whose names start with it. Images of stable-diffusion.cpp are saved in the folder and reused. Inpainted
// images are compared inside the mask, because the rest comes from the image here and from the VAE there.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { PNG } from 'pngjs';
import { loadModel, type Model, type Txt2ImgOptions } from '../lib/index.ts';
import { psnr } from './similarity.ts';

interface Case extends Txt2ImgOptions {
  readonly name: string;
  /** Set if it starts from the image below. */
  readonly from?: { readonly strength: number; readonly masked: boolean };
}

const SHORT = 'a lighthouse on a cliff at dusk, oil painting';
const LONG =
  'a wide panoramic photograph of an old harbour town at sunrise, wooden fishing boats with red and blue hulls, gulls ' +
  'circling over the stone pier, nets drying on iron rails, narrow houses with green shutters, a baker carrying warm ' +
  'bread, two children chasing a small brown dog, long soft shadows, golden light on wet cobblestones, distant mountains ' +
  'under thin clouds, a church tower with a clock, calm water full of reflections, fine detail';
const LONGER =
  `${LONG}, a market square with fruit stalls and striped awnings, a violin player beside the fountain, laundry hanging ` +
  'between balconies, ivy on cracked plaster walls, a bicycle leaning against a lamp post, painted signs above the shops, ' +
  'an old man reading a newspaper, coffee cups on round tables, pigeons on the roof tiles, warm haze in the valley, rows ' +
  'of olive trees on the hills, a winding road with a yellow bus, smoke rising from a chimney, film grain, sharp focus';

const COMMON = {
  prompt: SHORT,
  negativePrompt: 'blurry, low quality',
  width: 192,
  height: 128,
  steps: 4,
  cfgScale: 7,
  seed: 42,
  sampler: 'euler',
  scheduler: 'discrete',
  rng: 'cuda',
} as const;

const CASES: readonly Case[] = [
  { ...COMMON, name: 'euler-discrete' },
  { ...COMMON, name: 'euler_a-discrete', sampler: 'euler_a', steps: 6 },
  { ...COMMON, name: 'dpmpp2m-karras', sampler: 'dpm++2m', scheduler: 'karras', steps: 6 },
  { ...COMMON, name: 'dpmpp2mv2-exponential', sampler: 'dpm++2mv2', scheduler: 'exponential', steps: 6 },
  { ...COMMON, name: 'heun-discrete', sampler: 'heun', steps: 3 },
  { ...COMMON, name: 'dpm2-discrete', sampler: 'dpm2', steps: 3 },
  { ...COMMON, name: 'dpmpp2s_a-karras', sampler: 'dpm++2s_a', scheduler: 'karras', steps: 3 },
  { ...COMMON, name: 'dpmpp2m_sde-karras', sampler: 'dpm++2m_sde', scheduler: 'karras', steps: 5 },
  { ...COMMON, name: 'ipndm-simple', sampler: 'ipndm', scheduler: 'simple', steps: 6 },
  { ...COMMON, name: 'ddim_trailing-simple', sampler: 'ddim_trailing', scheduler: 'simple', steps: 5 },
  { ...COMMON, name: 'lcm-sgm_uniform', sampler: 'lcm', scheduler: 'sgm_uniform', cfgScale: 1 },
  { ...COMMON, name: 'tcd-lcm', sampler: 'tcd', scheduler: 'lcm', cfgScale: 1 },
  { ...COMMON, name: 'dpmpp2m-ays', sampler: 'dpm++2m', scheduler: 'ays', steps: 5 },
  { ...COMMON, name: 'euler-gits', scheduler: 'gits', steps: 5 },
  { ...COMMON, name: 'euler-kl_optimal', scheduler: 'kl_optimal', steps: 5 },
  { ...COMMON, name: 'euler-smoothstep', scheduler: 'smoothstep', steps: 5 },
  { ...COMMON, name: 'euler-beta', scheduler: 'beta', steps: 5 },
  { ...COMMON, name: 'euler_a-karras-cpu', sampler: 'euler_a', scheduler: 'karras', rng: 'cpu', steps: 5 },
  { ...COMMON, name: 'prompt-over-75', prompt: LONG },
  { ...COMMON, name: 'prompt-over-150', prompt: LONGER },
  { ...COMMON, name: 'negative-over-75', negativePrompt: LONG },
  {
    ...COMMON,
    name: 'weights-plain',
    prompt: 'a (lighthouse:1.3) on a ((cliff)) at [dusk], [[(waves:0.5)]]',
    negativePrompt: '(blurry:1.4), low quality',
  },
  { ...COMMON, name: 'break', prompt: 'a lighthouse on a cliff BREAK a small red boat' },
  { ...COMMON, name: 'clip-skip-2', clipSkip: 2 },
  { ...COMMON, name: 'cfg-1', cfgScale: 1 },
  { ...COMMON, name: 'cfg-0', cfgScale: 0 },
  { ...COMMON, name: 'seed-2pow53-1', seed: Number.MAX_SAFE_INTEGER },
];

/** Image to image and inpainting, each strength with another sampler. */
const FROM_IMAGE: readonly Case[] = (['img2img', 'inpaint'] as const).flatMap((way) =>
  (
    [
      [0.3, { steps: 8 }],
      [0.6, { sampler: 'euler_a', steps: 6 }],
      [0.75, { sampler: 'dpm++2m', scheduler: 'karras', steps: 6 }],
      [1, { sampler: 'heun', steps: 3 }],
    ] as const
  ).map(([strength, options]) => ({
    ...{ ...COMMON, ...options, name: `${way}-${strength}` },
    from: { strength, masked: way === 'inpaint' },
  })),
);

const [WIDTH, HEIGHT] = [COMMON.width, COMMON.height];
/** Waves of another length in each channel. */
const IMAGE = {
  ...{ width: WIDTH, height: HEIGHT },
  data: Uint8Array.from({ length: 3 * WIDTH * HEIGHT }, (_, i) => {
    const [x, y, channel] = [Math.floor(i / 3) % WIDTH, Math.floor(i / 3 / WIDTH), i % 3];
    return 128 + 100 * Math.sin(x / (9 + 4 * channel)) * Math.cos(y / (17 - 4 * channel));
  }),
};
const isMasked = (pixel: number) => {
  const [x, y] = [pixel % WIDTH, Math.floor(pixel / WIDTH)];
  return x >= 48 && x < 136 && y >= 24 && y < 96;
};
const MASK = {
  ...{ width: WIDTH, height: HEIGHT },
  data: Uint8Array.from({ length: WIDTH * HEIGHT }, (_, i) => (isMasked(i) ? 255 : 0)),
};

/** Writes the files for `-i` and `--mask` next to the images. */
function writeInputs(folder: string): { image: string; mask: string } {
  const write = (name: string, data: Uint8Array, colorType: 0 | 2) => {
    const png = new PNG({ width: WIDTH, height: HEIGHT });
    png.data = Buffer.from(data);
    const file = path.join(folder, name);
    writeFileSync(file, PNG.sync.write(png, { inputColorType: colorType, inputHasAlpha: false, colorType }));
    return file;
  };
  return { image: write('image.png', IMAGE.data, 2), mask: write('mask.png', MASK.data, 0) };
}

function generateReference(sdCli: string, model: string, file: string, c: Case): void {
  const { image, mask } = writeInputs(path.dirname(file));
  const flags = {
    '-m': model,
    '-p': c.prompt,
    '-n': c.negativePrompt,
    '-W': c.width,
    '-H': c.height,
    '--steps': c.steps,
    '--cfg-scale': c.cfgScale,
    '--seed': c.seed,
    '--sampling-method': c.sampler,
    '--scheduler': c.scheduler,
    '--rng': c.rng,
    '--clip-skip': c.clipSkip ?? -1,
    ...(c.from && { '-i': image, '--strength': c.from.strength }),
    ...(c.from?.masked && { '--mask': mask }),
    '-o': file,
  };
  execFileSync(
    sdCli,
    Object.entries(flags).flatMap(([flag, value]) => [flag, String(value)]),
    { stdio: 'ignore' },
  );
}

async function readRgb(file: string): Promise<Uint8Array> {
  const { data } = PNG.sync.read(await readFile(file));
  return data.filter((_, i) => i % 4 !== 3);
}

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    'sd-cli': { type: 'string' },
    references: { type: 'string', default: 'build/fidelity' },
    precision: { type: 'string', default: 'f32' },
    against: { type: 'string' },
    threads: { type: 'string' },
    only: { type: 'string' },
  },
});
if (!values.model) throw new Error('Pass a checkpoint: --model FILE');
mkdirSync(values.references, { recursive: true });
await using model = await load(values.precision);
await using exact = values.against ? await load(values.against) : undefined;

/** @param precision checked by loadModel. */
function load(precision: string): Promise<Model> {
  const threads = values.threads === undefined ? {} : { threads: Number(values.threads) };
  return loadModel(values.model, { ...threads, precision: precision as 'f32' | 'bf16' });
}

async function generate(by: Model, { name: _, from, ...options }: Case): Promise<Uint8Array> {
  const { strength = 0, masked } = from ?? {};
  const run = masked
    ? by.inpaint({ ...options, image: IMAGE, mask: MASK, strength })
    : from
      ? by.img2img({ ...options, image: IMAGE, strength })
      : by.txt2img(options);
  return ((await run).images[0] as { data: Uint8Array }).data;
}

/** The image of stable-diffusion.cpp. */
async function reference(c: Case): Promise<Uint8Array> {
  const file = path.join(values.references, `${c.name}.png`);
  if (!existsSync(file)) {
    if (!values['sd-cli']) throw new Error(`${file} does not exist. Pass the program that generates it: --sd-cli FILE`);
    generateReference(values['sd-cli'], String(values.model), file, c);
  }
  return readRgb(file);
}

console.log('| case | sampler | schedule | steps | PSNR, dB |\n| --- | --- | --- | --- | --- |');
let worst = Number.POSITIVE_INFINITY;
for (const c of [...CASES, ...FROM_IMAGE]) {
  if (values.only && !c.name.startsWith(values.only)) continue;
  const compared = (data: Uint8Array) => (c.from?.masked ? data.filter((_, i) => isMasked(Math.floor(i / 3))) : data);
  const theirs = exact ? await generate(exact, c) : await reference(c);
  const decibels = psnr(compared(await generate(model, c)), compared(theirs));
  worst = Math.min(worst, decibels);
  console.log(`| ${c.name} | ${c.sampler} | ${c.scheduler} | ${c.steps} | ${decibels.toFixed(1)} |`);
}
console.log(`\nLowest: ${worst.toFixed(1)} dB`);
