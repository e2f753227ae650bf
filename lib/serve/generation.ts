// What all APIs ask for in the end: images. A request is checked before it is queued, as far as that goes without its
// model, and then carried out as a job.

import { argumentError, closest, describe } from '../core/errors.ts';
import { lanczos3 } from '../image/resample.ts';
import { place, resize } from '../image/resize.ts';
import { RgbImage } from '../image/rgb-image.ts';
import { hasLoraTag, type LoraTag, readLoraTags } from '../lora/tags.ts';
import { formatParameters } from '../metadata/parameters.ts';
import type { Model } from '../model/model.ts';
import { concatConditioningOf } from '../pipeline/fit.ts';
import { seedAfter } from '../rng/seed.ts';
import { type CheckedGenerationOptions, checkOptions } from '../task/check.ts';
import { findHiresUpscaler } from '../task/hires-upscalers.ts';
import type { InpaintOptions, Txt2ImgOptions } from '../task/options.ts';
import type { GenerationResult } from '../task/result.ts';
import { ANY_MODEL, type TaskName } from '../task/task.ts';
import type { Catalog, CatalogKind } from './catalog.ts';
import { type FieldNames, RequestError } from './failure.ts';
import { sizeOfImage } from './given-images.ts';
import type { JobInProgress } from './job.ts';
import type { Sized } from './jobs.ts';
import { requireWithin, type ServeLimits } from './limits.ts';
import { lacksMemory, type Models, type ServedModel } from './models.ts';

/** The tasks that requests are for. */
export type ServedTask = 'txt2img' | 'img2img' | 'inpaint';

/** A request in terms of the options of the task. Files go by their names in the folders of the server. */
export interface ImageRequest {
  readonly task: ServedTask;
  /** Not checked yet. Images are bytes. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Number of runs, whose seeds follow each other. */
  readonly runs: number;
  readonly model?: string | undefined;
  readonly vae?: string | undefined;
  /** Whether steps have previews of the size of the image. */
  readonly largePreviews?: boolean;
  /** Whether images say nothing of how they were made. */
  readonly withoutMetadata?: boolean;
  /** The option of models that are made for instructions. Not checked yet. */
  readonly imageCfgScale?: unknown;
  /** What the API calls options. */
  readonly names: FieldNames;
  /** Fields that mean nothing here. */
  readonly unknown: readonly string[];
}

/** A request that was checked. */
export interface PreparedRequest extends ImageRequest {
  readonly served: ServedModel;
  readonly vaePath: string | undefined;
  readonly checked: CheckedGenerationOptions;
}

/** One image of a result. */
export interface ServedImage {
  readonly png: Buffer;
  readonly width: number;
  readonly height: number;
  readonly seed: number | bigint;
  /** Its parameters as the web UI writes them. */
  readonly text: string;
}

export interface ImagesResult extends Sized {
  readonly images: readonly ServedImage[];
  readonly seed: number | bigint;
  /** Name of the model. */
  readonly model: string;
  readonly clipSkip: number;
  readonly warnings: readonly string[];
  readonly stepSeconds: readonly number[];
}

/**
 * Checks a request.
 *
 * @throws TypeError or RangeError for wrong options; RequestError for names that there are not; DiffusionError for
 *   images that cannot be read.
 */
export async function prepare(
  request: ImageRequest,
  models: Models,
  catalog: Catalog,
  limits: ServeLimits,
): Promise<PreparedRequest> {
  const { lora: loraDirectory, embedding: embeddingDirectory } = catalog.directories;
  const options = {
    ...request.options,
    ...(await byPaths(request.options, catalog)),
    ...{ loraDirectory, embeddingDirectory, loraTags: 'names' as const, maxPixels: limits.inputPixels },
  };
  if (loraDirectory === undefined) requireNoTags(options);
  const checked = checkOptions(request.task, options, ANY_MODEL);
  requireWithin(limits, checked, {}, request.runs);
  requireWithin(limits, checked, await sizeFor(options, limits), request.runs);
  await requireLoras(readLoraTags(checked.prompt.raw).tags, catalog);
  const served = await models.find(request.model);
  if (!served) throw await unknownName('model', request.model ?? '', await models.list());
  const vaePath = request.vae === undefined ? undefined : (await find(catalog, 'vae', request.vae)).path;
  return { ...request, options, served, vaePath, checked };
}

/** @throws RangeError for a prompt that names LoRAs, as there is no folder of them. */
function requireNoTags({ prompt }: Readonly<Record<string, unknown>>): void {
  if (typeof prompt !== 'string' || !hasLoraTag(prompt)) return;
  const expected = 'a text without <lora:...>, as this server has no folder of LoRAs,';
  throw argumentError([{ name: 'prompt', expected, received: 'one with it', code: 'ERR_INVALID_ARG_VALUE' }]);
}

/** @throws RequestError for a tag of a LoRA that there is not; a folder may stand for the one in it. */
async function requireLoras(tags: readonly LoraTag[], catalog: Catalog): Promise<void> {
  if (tags.length === 0) return;
  const known = await catalog.list('lora');
  for (const { name: tag } of tags) {
    const isThere = known.some(({ name, file }) => name === tag || file === tag || file.startsWith(`${tag}/`));
    if (!isThere) throw unknownName('lora', tag, known);
  }
}

/** The options that name files, with paths in place of the names. */
async function byPaths(options: ImageRequest['options'], catalog: Catalog): Promise<Record<string, unknown>> {
  const { loras, controls, hires } = options;
  const named = async <T extends object>(list: unknown, kind: CatalogKind, key: keyof T) =>
    Promise.all(
      (list as T[]).map(async (one) => ({ ...one, [key]: (await find(catalog, kind, String(one[key]))).path })),
    );
  const upscaler = (hires as { upscaler?: unknown } | undefined)?.upscaler;
  const isFile = typeof upscaler === 'string' && !findHiresUpscaler(upscaler);
  return {
    ...(loras === undefined ? {} : { loras: await named<{ path: string }>(loras, 'lora', 'path') }),
    ...(controls === undefined ? {} : { controls: await named<{ model: string }>(controls, 'control', 'model') }),
    ...(isFile ? { hires: { ...(hires as object), upscaler: (await find(catalog, 'upscaler', upscaler)).path } } : {}),
  };
}

/** The size that is generated, as far as it is known; reads every image, so that one that cannot be is refused now. */
async function sizeFor(options: Readonly<Record<string, unknown>>, limits: ServeLimits) {
  const { image, mask, controls, width, height } = options as Partial<InpaintOptions>;
  const read = (bytes: unknown, name: string) => sizeOfImage(bytes as Uint8Array, name, limits.inputPixels);
  const own = image === undefined ? undefined : await read(image, 'image');
  if (mask !== undefined) await read(mask, 'mask');
  for (const control of controls ?? []) await read(control.image, 'controls');
  const sides = { width: width ?? own?.width, height: height ?? own?.height };
  return { ...(sides.width && { width: sides.width }), ...(sides.height && { height: sides.height }) };
}

/** What a kind of file is called. */
const KINDS: Readonly<Record<CatalogKind, string>> = {
  model: 'model',
  vae: 'VAE',
  lora: 'LoRA',
  embedding: 'embedding',
  control: 'ControlNet',
  upscaler: 'upscaler',
};

/** @throws RequestError where there is no file with that name. */
export async function find(catalog: Catalog, kind: CatalogKind, name: string) {
  const found = await catalog.find(kind, name);
  if (found) return found;
  throw unknownName(kind, name, await catalog.list(kind));
}

/** The failure of a request with a name that there is not. */
export function unknownName(kind: CatalogKind, name: string, known: readonly { readonly name: string }[]) {
  const names = known.map((one) => one.name);
  const near = closest(name, names);
  const remedy = near === undefined ? '' : `. Did you mean ${describe(near)}?`;
  const expected = `the name of a ${KINDS[kind]} of this server`;
  const problem = { name: kind, expected, received: describe(name), code: 'ERR_INVALID_ARG_VALUE' as const };
  return new RequestError('not-found', `Expected ${expected} but received ${describe(name)}${remedy}`, [problem]);
}

/** Carries a request out. */
export async function generateImages(
  job: JobInProgress,
  request: PreparedRequest,
  models: Models,
): Promise<ImagesResult> {
  const { served, vaePath, options, runs, checked } = request;
  let model = await models.use(served, vaePath, job.signal);
  const images: ServedImage[] = [];
  const warnings = new Set<string>();
  const stepSeconds: number[] = [];
  const first = checked.seed;
  for (let run = 0; run < runs && (run === 0 || !job.isFinishing); run++) {
    const seed = seedAfter(first, run * checked.batchSize);
    const once = () => runOnce(job, model, request, { ...options, seed }, run);
    const result = await once().catch(async (error: unknown) => {
      if (!lacksMemory(error) || models.open.length < 2) throw error;
      // A budget may have room for one model alone, opened when no other is.
      await models.close();
      model = await models.use(served, vaePath, job.signal);
      return once();
    });
    for (const [i, image] of result.images.entries()) {
      images.push(await serve(image, seedAfter(result.seed, i), request));
    }
    for (const warning of result.warnings) warnings.add(warning);
    stepSeconds.push(...result.timings.steps.map((time) => time / 1000));
  }
  const bytes = images.reduce((sum, { png }) => sum + png.length, 0);
  const clipSkip = checked.clipSkip;
  return { images, seed: first, bytes, model: served.name, clipSkip, warnings: [...warnings], stepSeconds };
}

async function runOnce(
  job: JobInProgress,
  model: Model,
  request: PreparedRequest,
  given: Readonly<Record<string, unknown>>,
  run: number,
): Promise<GenerationResult> {
  const { largePreviews = false, runs } = request;
  const { task, options } = taskOf(model, request, given);
  const preview = model.info.tinyAutoencoder ? 'tae' : 'proj';
  // Options that were checked before are checked again, for this model.
  const running = model[task]({ ...options, preview, signal: job.signal } as unknown as Txt2ImgOptions &
    InpaintOptions);
  job.follow(running);
  let before = performance.now();
  for await (const step of running) {
    const now = performance.now();
    const time = now - before;
    before = now;
    const left = step.total - step.index - 1 + (runs - run - 1) * step.total;
    const small = step.preview;
    job.report({
      ...{ step: step.index + 1, steps: step.total, run, runs, time, eta: (time / 1000) * left },
      preview: largePreviews && small ? await enlarge(small, step.latent.length, model) : small,
    });
  }
  const result = await running;
  job.follow(undefined);
  return result;
}

/** The task of a request that starts from an image is that which the model is made for. */
function taskOf(
  { info }: Model,
  { task, imageCfgScale }: ImageRequest,
  options: Readonly<Record<string, unknown>>,
): { task: TaskName; options: Readonly<Record<string, unknown>> } {
  const seen = task === 'img2img' ? concatConditioningOf(info) : 'nothing';
  if (seen === 'depth') return { task: 'depth2img', options };
  if (seen !== 'image') return { task, options };
  // An instruction has no strength: what it does not name stays.
  const { strength: _, ...rest } = options;
  return { task: 'edit', options: imageCfgScale === undefined ? rest : { ...rest, imageCfgScale } };
}

/** A preview at the size of the images: one by a projection has a pixel for each cell of the latent. */
async function enlarge(preview: RgbImage, values: number, { info }: Model): Promise<RgbImage> {
  const { vaeScaleFactor: factor, latentChannels } = info;
  if (preview.width * preview.height !== values / latentChannels) return preview;
  const pixels = { width: preview.width, height: preview.height, channels: 3 as const, data: preview.data };
  const target = { width: preview.width * factor, height: preview.height * factor };
  const { data, width, height } = await resize(pixels, place(pixels, target, 'stretch'), lanczos3);
  return new RgbImage(data, width, height);
}

async function serve(
  image: RgbImage,
  seed: number | bigint,
  { withoutMetadata = false }: ImageRequest,
): Promise<ServedImage> {
  const { width, height, parameters } = image;
  const written = withoutMetadata ? new RgbImage(image.data, width, height) : image;
  return { png: await written.png(), width, height, seed, text: parameters ? formatParameters(parameters) : '' };
}

/** @throws RangeError for a number of runs that is none. */
export function checkRuns(runs: unknown, name: string): number {
  if (runs === undefined || runs === null) return 1;
  if (typeof runs === 'number' && Number.isInteger(runs) && runs >= 1 && runs <= 1000) return runs;
  const code = typeof runs === 'number' ? 'ERR_INVALID_ARG_VALUE' : 'ERR_INVALID_ARG_TYPE';
  throw argumentError([{ name, expected: 'an integer from 1 to 1000', received: describe(runs), code }]);
}
