// `diffuse txt2img`: draws pictures and writes them.

import type { RgbImage } from '../image/rgb-image.ts';
import { checkWritable } from '../image/write-png.ts';
import { loadModel, type Model, type ModelInfo } from '../model.ts';
import type { Timings, Txt2ImgResult } from '../pipeline/txt2img.ts';
import { ANY_MODEL, checkTxt2ImgOptions } from '../pipeline/txt2img-options.ts';
import type { CommandLine } from './arguments.ts';
import { checkOutput, outputPaths, STANDARD_OUTPUT } from './output-path.ts';
import { Progress } from './progress.ts';
import { type Request, readRequest } from './request.ts';
import { print, printJson } from './standard-output.ts';
import { formatBytes } from './units.ts';
import { UsageError } from './usage-error.ts';

/** @param signal ends the command at any moment, before a picture is written or after, never within. */
export async function runTxt2Img(commandLine: CommandLine, signal: AbortSignal): Promise<void> {
  const request = readRequest(commandLine);
  await checkRequest(request);
  const progress = await Progress.create();
  try {
    const start = performance.now();
    await using model = await openModel(request, signal, progress);
    const load = performance.now() - start;
    if (request.verbose) log(`${describeModel(model.info)}; loaded in ${seconds(load)}`);
    const drawn: Drawn[] = [];
    const paths = outputPaths(request.output, request.count);
    let seed = request.txt2img.seed;
    for (const path of paths) {
      const result = await draw(model, { ...request, txt2img: { ...request.txt2img, seed } }, signal, progress);
      await write(result.images[0] as RgbImage, path);
      drawn.push({ file: path, seed: result.seed, timings: result.timings });
      progress.stop(`${path}: seed ${result.seed}, ${seconds(result.timings.total)}`);
      if (request.verbose) log(`${path}: ${describeTimings(result.timings)}`);
      seed = result.seed + 1;
    }
    if (request.json) await printJson(report(drawn, load));
  } finally {
    progress.stop();
  }
}

interface Drawn {
  readonly file: string;
  readonly seed: number;
  readonly timings: Timings;
}

/** Finds what is wrong before the model is loaded, as far as that does not depend on the model. */
async function checkRequest({ txt2img, output, count, json, previewPath }: Request): Promise<void> {
  const { seed } = checkTxt2ImgOptions(txt2img, ANY_MODEL);
  checkTxt2ImgOptions({ ...txt2img, seed: seed + (count - 1) }, ANY_MODEL);
  await checkOutput(output, count, json, process.stdout.isTTY);
  if (previewPath === STANDARD_OUTPUT) throw new UsageError('Expected a file for --preview-path but received -');
  if (previewPath !== undefined) await checkWritable(previewPath);
}

function openModel({ source, load, verbose }: Request, signal: AbortSignal, progress: Progress): Promise<Model> {
  progress.start('loading', 1);
  return loadModel(source, {
    ...load,
    signal,
    onProgress: ({ done, total }) => progress.update(done / total),
    ...(verbose ? { logger: { debug: log, info: log, warn: log, error: log } } : {}),
  });
}

async function draw(
  model: Model,
  { txt2img, previewPath }: Request,
  signal: AbortSignal,
  progress: Progress,
): Promise<Txt2ImgResult> {
  progress.start('sampling', txt2img.steps ?? 20);
  const run = model.txt2img({ ...txt2img, signal, preview: previewPath !== undefined });
  for await (const { index, total, preview } of run) {
    progress.step(index + 1, total);
    if (preview && previewPath !== undefined) await preview.save(previewPath);
    if (index + 1 === total) progress.start('decoding', 1);
  }
  return run;
}

async function write(image: RgbImage, path: string): Promise<void> {
  if (path === STANDARD_OUTPUT) await print(await image.png());
  else await image.save(path);
}

function log(message: string): void {
  process.stderr.write(`${message.trimEnd()}\n`);
}

function describeModel({ name, family, prediction, device, threads, mappedBytes, allocatedBytes }: ModelInfo): string {
  const weights = `${formatBytes(mappedBytes)} of weights mapped, ${formatBytes(allocatedBytes)} copied`;
  return `${name}: ${family}, predicts ${prediction}; on ${device} with ${threads} threads; ${weights}`;
}

function describeTimings({ textEncoding, sampling, decoding }: Timings): string {
  return `text encoding ${seconds(textEncoding)}, sampling ${seconds(sampling)}, decoding ${seconds(decoding)}`;
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(2)} s`;
}

/** One line for scripts. Times are in milliseconds, memory in bytes. */
function report(drawn: readonly Drawn[], load: number): object {
  return {
    files: drawn.map(({ file }) => file),
    seeds: drawn.map(({ seed }) => seed),
    timings: { load, images: drawn.map(({ timings }) => timings) },
    peakMemory: process.resourceUsage().maxRSS * 1024,
  };
}
