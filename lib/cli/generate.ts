// `diffuse txt2img`, `img2img`, `inpaint`, `edit` and `depth2img`: generate images and write them.

import { quote } from '../core/errors.ts';
import { EMBEDDED_MODEL } from '../core/package-files.ts';
import { type ImageInput, readImage } from '../image/input.ts';
import type { Pixels } from '../image/pixels.ts';
import type { RgbImage } from '../image/rgb-image.ts';
import { checkWritable, namedFormat, refusedFormat } from '../image/write-image.ts';
import { checkLoadOptions } from '../loading/load-options.ts';
import { checkSource } from '../loading/source.ts';
import { loadModel, type Model, type ModelInfo } from '../model/model.ts';
import { loadAddon } from '../native/load.ts';
import type { TileProgress } from '../native/networks.ts';
import { seedAfter } from '../rng/seed.ts';
import { type CheckedGenerationOptions, checkOptions, withValues } from '../task/check.ts';
import type { GenerationResult, Timings } from '../task/result.ts';
import { ANY_MODEL } from '../task/task.ts';
import type { CommandLine } from './command-line.ts';
import type { AnyGenerationOptions, GenerationCommand } from './flag.ts';
import { mergeOptions, readSourceParameters, type SourceParameters } from './from.ts';
import { describeNoise } from './noise.ts';
import { Output, STANDARD_OUTPUT } from './output.ts';
import { inFlags, Problems } from './problems.ts';
import { formatProfile } from './profile.ts';
import { Progress } from './progress.ts';
import { checkLastSeed, type Request, readRequest } from './request.ts';
import { printJson } from './standard-output.ts';
import { formatBytes } from './units.ts';
import { CommandWarnings } from './warnings.ts';

/** Whether to print a profile of the networks' operations. */
const PROFILED = process.env.DIFFUSE_PROFILE === '1';

/** @param signal cancels the command at any time, except while an image is written. */
export async function runGenerate(
  commandLine: CommandLine,
  command: GenerationCommand,
  signal: AbortSignal,
): Promise<void> {
  const from = await readSourceParameters(commandLine, command);
  const { request, checked } = checkCommand(commandLine, command, from, signal);
  const output = new Output(commandLine, request.count);
  await output.checkFiles();
  if (request.previewPath !== undefined) await checkWritable(request.previewPath);
  const warnings = new CommandWarnings();
  for (const warning of from.warnings) warnings.tell(inFlags(warning, commandLine));
  const images = await warnings.during(() => readImages(checked));
  const progress = await Progress.create(commandLine.flags);
  try {
    const start = performance.now();
    await using model = await openModel(request, signal, progress, warnings);
    const load = performance.now() - start;
    if (from.model !== undefined && from.model !== model.info.name) {
      warnings.tell(
        `The image was generated with the model ${quote(from.model)}, but this model is ${quote(model.info.name)}`,
      );
    }
    if (request.verbose) log(`${describeModel(model.info)}; loaded in ${seconds(load)}`);
    const generated: GeneratedFile[] = [];
    let { seed } = checked;
    for (let i = 0; i < request.count; i++) {
      const options = withValues(checked, { ...images, seed });
      const result = await generate(model, command, options, request.previewPath, progress, {
        image: i + 1,
        images: request.count,
      });
      const file = await warnings.during(() => output.write(result.images[0] as RgbImage));
      const { seed: used, timings, loras, embeddings } = result;
      generated.push({ file, seed: used, timings, loras, embeddings });
      const news = !request.json && (output.chooses || isRandom(request.options.seed));
      progress.finish(`${file}: seed ${used}, ${seconds(timings.total)}`, news);
      if (request.verbose) {
        log(`${file}: ${describeTimings(timings)}`);
        for (const lora of loras) log(`${lora.path}: ${lora.applied} of ${lora.tensors} tensors applied`);
        for (const { path, vectors } of embeddings) log(`${path}: ${vectors} vectors`);
      }
      seed = seedAfter(used, 1);
    }
    if (PROFILED) log(formatProfile(await model.profile()));
    if (request.json) await printJson({ ...report(generated, load), warnings: warnings.all });
  } finally {
    progress.stop();
  }
}

/** Whether a seed is chosen at random. */
function isRandom(seed: number | bigint | undefined): boolean {
  return seed === undefined || seed === -1;
}

/** The options that are images. */
const IMAGES = ['image', 'mask', 'depth'] as const;

/** The options of a command, checked as far as possible without the model. */
type Checked = CheckedGenerationOptions & { readonly [Name in (typeof IMAGES)[number]]?: unknown };

interface GeneratedFile {
  readonly file: string;
  readonly seed: number | bigint;
  readonly timings: Timings;
  readonly loras: GenerationResult['loras'];
  readonly embeddings: GenerationResult['embeddings'];
}

/** Checks everything that does not depend on the model, before it is loaded. */
function checkCommand(
  commandLine: CommandLine,
  command: GenerationCommand,
  from: SourceParameters,
  signal: AbortSignal,
): { readonly request: Request; readonly checked: Checked } {
  const problems = new Problems(commandLine);
  const given = readRequest(commandLine, problems);
  const request = { ...given, options: mergeOptions(from.options, given.options) };
  const { source, load, options, count, previewPath } = request;
  problems.attempt(() => checkSource(source ?? EMBEDDED_MODEL));
  problems.attempt(() => checkLoadOptions(load, loadAddon()));
  const preview = previewPath === undefined ? options.preview : (options.preview ?? true);
  const checked = problems.attempt(() => checkOptions(command, { ...options, preview, signal }, ANY_MODEL));
  checkLastSeed(options.seed, count, problems);
  if (previewPath === undefined && (options.preview || options.previewNoisy)) {
    problems.add('Expected --preview-path for --preview and --preview-noisy');
  }
  if (previewPath !== undefined && !namedFormat(previewPath)) problems.add(refusedFormat(previewPath));
  if (previewPath === STANDARD_OUTPUT) problems.add('Expected a file for --preview-path but received -');
  new Output(commandLine, count).checkUse(commandLine, problems);
  problems.done();
  return { request, checked: checked as Checked };
}

/** Reads the input images of a command, once for all generated images and before the model is loaded. */
async function readImages(checked: Checked): Promise<Partial<Checked>> {
  const { controls, maxPixels } = checked;
  const given = IMAGES.filter((name) => checked[name] !== undefined);
  const [images, hints] = await Promise.all([
    Promise.all(
      given.map(async (name) => [name, await readImage(checked[name] as ImageInput, name, maxPixels)] as const),
    ),
    Promise.all(controls.map(({ image }) => readImage(image, 'image', maxPixels))),
  ]);
  const controlsWithImages = controls.map((control, i) => ({ ...control, image: hints[i] as Pixels }));
  return { ...Object.fromEntries(images), controls: controlsWithImages };
}

function openModel(
  { source, load, verbose }: Request,
  signal: AbortSignal,
  progress: Progress,
  { tell: warn }: CommandWarnings,
): Promise<Model> {
  progress.start('loading', 1);
  return loadModel(source, {
    ...load,
    profile: PROFILED,
    signal,
    onProgress: ({ done, total }) => progress.update(done / total),
    logger: verbose ? { debug: log, info: log, warn, error: log } : { warn },
  });
}

async function generate(
  model: Model,
  command: GenerationCommand,
  options: Checked,
  previewPath: string | undefined,
  progress: Progress,
  which: Readonly<Record<string, number>>,
): Promise<GenerationResult> {
  progress.start('sampling', options.steps, which);
  const onTile = ({ stage, done, total }: TileProgress) => progress.tile(stage, done, total, which);
  // Checked options are valid options too.
  const run = model[command](withValues(options, { onTile }) as unknown as AnyGenerationOptions);
  for await (const { index, total, preview } of run) {
    progress.step(index + 1, total);
    if (preview && previewPath !== undefined) await preview.save(previewPath);
    if (index + 1 === total) progress.start('decoding', 1);
  }
  return run;
}

function log(message: string): void {
  process.stderr.write(`${message.trimEnd()}\n`);
}

function describeModel({
  name,
  family,
  prediction,
  noise,
  device,
  threads,
  precision,
  mappedBytes,
  allocatedBytes,
}: ModelInfo): string {
  const weights = `${formatBytes(mappedBytes)} of weights mapped, ${formatBytes(allocatedBytes)} copied`;
  return `${name}: ${family}, predicts ${prediction}; on ${device} with ${threads} threads${precision && ` in ${precision}`}; ${weights}; ${describeNoise(noise)}`;
}

function describeTimings({ textEncoding, imageEncoding, sampling, decoding }: Timings): string {
  const encoding = imageEncoding >= 1 ? `image encoding ${seconds(imageEncoding)}, ` : '';
  return `text encoding ${seconds(textEncoding)}, ${encoding}sampling ${seconds(sampling)}, decoding ${seconds(decoding)}`;
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(2)} s`;
}

/** The output of --json. Times are in milliseconds, memory in bytes. */
function report(generated: readonly GeneratedFile[], load: number): object {
  return {
    files: generated.map(({ file }) => file),
    seeds: generated.map(({ seed }) => seed),
    timings: { load, images: generated.map(({ timings }) => timings) },
    loras: generated[0]?.loras ?? [],
    embeddings: generated[0]?.embeddings ?? [],
    peakMemory: process.resourceUsage().maxRSS * 1024,
  };
}
