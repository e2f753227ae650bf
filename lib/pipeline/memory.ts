// The memory of a call: what each of its stages takes, and the plan that keeps it within a budget.

import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DiffusionError } from '../core/errors.ts';
import { conditionsUsed } from '../guidance/index.ts';
import type { Size } from '../image/resize.ts';
import { type MemoryLimits, sizeText } from '../memory/budget.ts';
import { type MemoryPlan, type PlannedMemory, peaksOf, planText, type StageCost } from '../memory/plan.ts';
import type { NativeControl, NativeMemoryEstimate } from '../native/contract.ts';
import type { Networks } from '../native/networks.ts';
import { shapesOf } from '../native/shapes.ts';
import { hasNoTiles, type VaeTiling } from '../native/vae-tiling.ts';
import type { CheckedGenerationOptions } from '../task/check.ts';
import { guidanceOf } from './prompts.ts';

/** What decides how much memory a call takes. */
export interface Workload extends Size {
  readonly batchSize: number;
  /** Conditions that are evaluated in one batch, 1 to 3. */
  readonly conditions: number;
  /** Whether it starts from an image. */
  readonly encodesImage: boolean;
  /** Whether previews are decoded by the VAE. */
  readonly decodesPreviews: boolean;
  readonly hires?:
    | (Size & { /** Whether images are enlarged rather than latents. */ readonly ofImage: boolean })
    | undefined;
  /** ControlNets: where they are open, and the bytes of their files. */
  readonly controls: readonly { readonly net: NativeControl['net']; readonly bytes: number }[];
  /** What evaluations take, by what decides it: plans have most of them in common. */
  readonly estimates: Map<string, Promise<NativeMemoryEstimate>>;
}

/** The workload of a call whose ControlNets are open. @param size of the generated images before a second pass. */
export async function workloadOf(
  networks: Networks,
  options: CheckedGenerationOptions,
  { width, height }: Size,
): Promise<Workload> {
  const { batchSize, hires, preview } = options;
  const used = conditionsUsed(guidanceOf(networks.info, options));
  const conditions = [used.conditional, used.unconditional, used.unconditionalImage].filter(Boolean).length;
  const paths = [...new Set(options.controls.map(({ model }) => model))];
  const nets = paths.length > 0 ? await networks.openControlNets(paths) : new Map();
  const controls = await Promise.all(paths.map(async (path) => ({ net: nets.get(path), bytes: await bytesOf(path) })));
  return {
    ...{ width, height, batchSize, controls, estimates: new Map() },
    conditions: Math.max(conditions, 1),
    encodesImage: 'image' in options,
    decodesPreviews: preview === 'vae',
    hires: hires && {
      ...hires.size,
      ofImage: typeof hires.upscaler !== 'string' || !hires.upscaler.startsWith('latent'),
    },
  };
}

/** Of a file, or of the weights in a folder. */
async function bytesOf(path: string): Promise<number> {
  const found = await stat(path);
  if (!found.isDirectory()) return found.size;
  const files = (await readdir(path)).filter((file) => /\.(safetensors|bin|gguf)$/.test(file));
  const sizes = await Promise.all(files.map(async (file) => (await stat(join(path, file))).size));
  return sizes.reduce((a, b) => a + b, 0);
}

/** Tokens of a chunk, in two chunks: what longer prompts add is small. */
const TOKENS = 154;
/** Bytes of a pixel that is decoded: numbers of three channels in the addon and in JavaScript. */
const DECODED_PIXEL = 24;

/**
 * What the stages of a call take.
 *
 * @param together latents that are evaluated at a time at most; undefined for all.
 */
export async function stagesOf(
  networks: Networks,
  work: Workload,
  together: number | undefined,
  tiling: VaeTiling,
): Promise<StageCost[]> {
  const { vaeScaleFactor: factor, sideMultiple: multiple, textEncoders } = networks.info;
  const stages: StageCost[] = [];
  const add = async (stage: string, network: string, sizes: Record<string, number>, data = 0, size?: Size) => {
    const signature = networks.components[network];
    if (!signature) return;
    const isVae = network.startsWith('vae_');
    const settings = isVae ? await networks.vaeSettings(network, sizes.width ?? 0, sizes.height ?? 0, tiling) : {};
    const shapes = shapesOf(signature, sizes);
    const key = JSON.stringify([network, shapes, settings]);
    const estimate =
      work.estimates.get(key) ??
      networks.estimate(network, shapes, { controls: size ? controlsOf(work, size) : [], settings });
    work.estimates.set(key, estimate);
    const memory = await estimate;
    const bytes = size ? work.controls.reduce((sum, control) => sum + control.bytes, 0) : 0;
    stages.push({ stage, network, memory, controls: bytes, data, tiled: Object.keys(settings).length > 0 });
  };
  const cells = ({ width, height }: Size) => ({ width: width / factor, height: height / factor });
  const decode = (stage: string, size: Size) =>
    add(stage, 'vae_decoder', { batch: 1, ...cells(size) }, DECODED_PIXEL * size.width * size.height);
  const sample = async (size: Size, stage: string) => {
    const all = work.batchSize * work.conditions;
    const batch = Math.min(all, together ?? all);
    const latents = 8 * all * networks.info.latentChannels * 4 * (size.width / factor) * (size.height / factor);
    // Transformers declare sides in tokens of several cells.
    const tokens = { width: size.width / multiple, height: size.height / multiple };
    await add(stage, networks.denoiser, { batch, tokens: TOKENS, ...tokens }, latents, size);
    if (work.decodesPreviews) await decode('previews', size);
  };
  for (const { component } of textEncoders) await add('text encoding', component, { chunks: 2, tokens: TOKENS });
  if (work.encodesImage) await add('image encoding', 'vae_encoder', { batch: 1, ...cells(work) });
  await sample(work, 'sampling');
  const { hires } = work;
  if (hires?.ofImage) {
    await decode('enlarging', work);
    await add('enlarging', 'vae_encoder', { batch: 1, ...cells(hires) });
  }
  if (hires) await sample(hires, 'sampling of the second pass');
  await decode('decoding', hires ?? work);
  return stages;
}

function controlsOf({ controls }: Workload, { width, height }: Size): NativeControl[] {
  if (controls.length === 0) return [];
  const hint = { data: new Float32Array(3 * width * height), shape: [1, 3, height, width] };
  return controls.map(({ net }) => ({ net, hint, strength: 1 }));
}

/** Ways to evaluate the VAE, from the fastest to the smallest. */
function tilingsOf({ vaeTiling }: Networks): readonly VaeTiling[] {
  const tiled = TILE_SHARES.map(
    (share): VaeTiling => ({ ...vaeTiling, when: 'always', memory: vaeTiling.memory * share }),
  );
  if (vaeTiling.when === 'always') return tiled;
  return [{ ...vaeTiling, when: 'never' }, ...(vaeTiling.when === 'auto' ? tiled : [])];
}

/** Of the usual memory of tiles: the less there is, the more is computed again. */
const TILE_SHARES = [1, 1 / 2, 1 / 4];

/** From the fastest to the smallest. */
async function* candidates(networks: Networks, work: Workload): AsyncGenerator<[MemoryPlan, readonly StageCost[]]> {
  const tilings = tilingsOf(networks);
  const [first, second] = tilings;
  // Networks are rather unloaded than the VAE evaluated in tiles, which round in other ways, but rather that than
  // streamed. Last is what slows down the most, and a single latent, which may be computed by other algorithms.
  const plans: [MemoryPlan, readonly (VaeTiling | undefined)[]][] = [
    [{ residency: 'keep', stream: false }, [first]],
    [{ residency: 'unload', stream: false }, [first, second]],
    [{ residency: 'unload', stream: true }, tilings],
    [{ residency: 'unload', stream: true, together: 1 }, tilings],
  ];
  for (const [plan, ways] of plans) {
    for (const tiling of ways) {
      if (!tiling) continue;
      const stages = await stagesOf(networks, work, plan.together, tiling).catch((error: unknown) => {
        if (tiling !== first && hasNoTiles(error)) return undefined;
        throw error;
      });
      if (!stages) continue;
      const tiled = stages.some((stage) => stage.tiled);
      if (tiling.when === 'always' && !tiled && tiling !== first) continue;
      yield [{ ...plan, ...(tiled ? { tileMemory: tiling.memory } : {}) }, stages];
    }
  }
}

/** How the VAE is evaluated by a plan. */
export function tilingOf(networks: Networks, { tileMemory }: MemoryPlan): VaeTiling {
  const { vaeTiling } = networks;
  if (tileMemory === undefined) return { ...vaeTiling, when: 'never' };
  return { ...vaeTiling, when: 'always', memory: tileMemory };
}

/**
 * Chooses the fastest plan within limits.
 *
 * @throws DiffusionError `ERR_OUT_OF_MEMORY` if there is none, with what is needed and what would fit.
 */
export async function planMemory(networks: Networks, work: Workload, limits: MemoryLimits): Promise<PlannedMemory> {
  const found = await findPlan(networks, work, limits);
  if (fits(found, limits)) return found;
  const { device } = networks.info;
  const onDevice = found.peaks.device.bytes > limits.device;
  const { bytes, stage } = onDevice ? found.peaks.device : found.peaks.process;
  const what = `${work.width}x${work.height}${work.batchSize > 1 ? `, batches of ${work.batchSize},` : ''}`;
  const expected = `Expected a budget of at least ${sizeText(bytes)} on ${onDevice ? device : 'cpu'} for ${what} (most for ${stage})`;
  const received = sizeText(onDevice ? limits.device : limits.process);
  const remedy = await adviceOn(networks, work, limits);
  throw new DiffusionError('ERR_OUT_OF_MEMORY', `${expected} but received ${received}. ${remedy}`);
}

function fits({ peaks }: PlannedMemory, limits: MemoryLimits): boolean {
  return peaks.device.bytes <= limits.device && peaks.process.bytes <= limits.process;
}

/** The first plan that fits, otherwise the one that takes the least. */
async function findPlan(networks: Networks, work: Workload, limits: MemoryLimits): Promise<PlannedMemory> {
  let smallest: PlannedMemory | undefined;
  for await (const [plan, stages] of candidates(networks, work)) {
    const planned = { plan, peaks: peaksOf(stages, plan, networks.info.device === 'cpu', limits.base) };
    if (fits(planned, limits)) return planned;
    if (!smallest || planned.peaks.device.bytes < smallest.peaks.device.bytes) smallest = planned;
  }
  return smallest as PlannedMemory;
}

/** The largest size of the same proportions that fits. */
async function adviceOn(networks: Networks, work: Workload, limits: MemoryLimits): Promise<string> {
  const { sideMultiple: factor } = networks.info;
  const { hires, ...first } = work;
  for (let share = hires ? 1 : 0.875; share > 0.1; share -= 0.125) {
    const side = (pixels: number) => Math.max(Math.round((pixels * share) / factor), 1) * factor;
    const smaller = { ...first, width: side(work.width), height: side(work.height) };
    if (!fits(await findPlan(networks, smaller, limits), limits)) continue;
    return `${smaller.width}x${smaller.height} would fit${hires ? ' without hires' : ''}`;
  }
  return 'No size would fit. Use a smaller model, or its weights in a quantized type (diffuse convert)';
}

/** Plans the memory of a run, and sets its networks accordingly. */
export async function applyPlan(networks: Networks, work: Workload, limits: MemoryLimits): Promise<PlannedMemory> {
  const planned = await planMemory(networks, work, limits);
  const { residency, stream, together } = planned.plan;
  await networks.setResidency(residency, stream);
  networks.vaeTiling = tilingOf(networks, planned.plan);
  networks.together = together ?? Number.POSITIVE_INFINITY;
  return planned;
}

/** What a run does to keep within a budget, for logs. */
export function describePlan({ plan, peaks: { device } }: PlannedMemory): string {
  return `Memory: ${planText(plan)}; at most ${sizeText(device.bytes)} is expected, for ${device.stage}`;
}
