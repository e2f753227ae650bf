// `diffuse upscale`: enlarges an image and writes it.

import { type ImageInput, readImage } from '../image/input.ts';
import { checkNetworkOptions } from '../loading/load-options.ts';
import { loadAddon } from '../native/load.ts';
import { checkUpscaleOptions, loadUpscaler, type UpscaleProgress } from '../upscaler/upscaler.ts';
import { type CommandLine, textOf } from './command-line.ts';
import { Output } from './output.ts';
import { Problems } from './problems.ts';
import { Progress } from './progress.ts';
import { readCount, readRequest } from './request.ts';
import { printJson } from './standard-output.ts';
import { CommandWarnings } from './warnings.ts';

const MAX_REPEATS = 8;

/** @param signal cancels the command at any time, except while the image is written. */
export async function runUpscale(commandLine: CommandLine, signal: AbortSignal): Promise<void> {
  const problems = new Problems(commandLine);
  const { file, flags } = commandLine;
  const input = file ?? textOf(flags['init-img']);
  const model = textOf(flags['upscale-model']);
  if (file !== undefined && flags['init-img'] !== undefined)
    problems.add('Expected one image but received --init-img, too');
  if (input === undefined) problems.add('Expected an image after diffuse upscale, or --init-img, but received none');
  if (model === undefined) problems.add('Expected --upscale-model for diffuse upscale but received none');
  const { load, json, options: given } = readRequest(commandLine, problems);
  const options = { tileSize: given.tileSize, maxPixels: given.maxPixels };
  const repeats = problems.attempt(() => readCount(commandLine, 'upscale-repeats', MAX_REPEATS)) ?? 1;
  problems.attempt(() => checkUpscaleOptions(input ?? '-', options));
  problems.attempt(() => checkNetworkOptions(load, loadAddon()));
  const output = new Output(commandLine, 1);
  output.checkUse(commandLine, problems);
  problems.done();
  await output.checkFiles();
  const warnings = new CommandWarnings();
  const image = await warnings.during(() => readImage(input as string, 'image', options.maxPixels));
  const progress = await Progress.create(commandLine.flags);
  try {
    progress.start('loading', 1);
    await using upscaler = await loadUpscaler(model as string, { ...load, signal, logger: { warn: warnings.tell } });
    const start = performance.now();
    const enlarge = (from: ImageInput) => {
      progress.start('enlarging', 1);
      const onProgress = ({ done, total }: UpscaleProgress) => progress.step(done, total);
      return upscaler.upscale(from, { ...options, signal, onProgress });
    };
    let enlarged = await enlarge(image);
    for (let i = 1; i < repeats; i++) enlarged = await enlarge(enlarged);
    const time = performance.now() - start;
    const written = await warnings.during(() => output.write(enlarged));
    const { width, height } = enlarged;
    progress.finish(`${written}: ${width} x ${height}, ${(time / 1000).toFixed(2)} s`, output.chooses && !json);
    if (json)
      await printJson({ files: [written], width, height, timings: { upscaling: time }, warnings: warnings.all });
  } finally {
    progress.stop();
  }
}
