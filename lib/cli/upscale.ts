// `diffuse upscale`: enlarges a picture and writes it.

import { type PictureInput, readPicture } from '../picture/input.ts';
import { checkUpscaleOptions, loadUpscaler, type UpscaleProgress } from '../upscaler.ts';
import type { CommandLine } from './arguments.ts';
import { checkOutput, writePicture } from './output-path.ts';
import { Progress } from './progress.ts';
import { readCount, readRequest } from './request.ts';
import { printJson } from './standard-output.ts';
import { UsageError } from './usage-error.ts';
import { CommandWarnings } from './warnings.ts';

const MAX_REPEATS = 8;

/** @param signal ends the command at any moment, before the picture is written or after, never within. */
export async function runUpscale(commandLine: CommandLine, signal: AbortSignal): Promise<void> {
  const image = required(commandLine, 'init-img');
  const model = required(commandLine, 'upscale-model');
  const { load, output, json, options: drawing } = readRequest(commandLine);
  const options = { tileSize: drawing.tileSize };
  const repeats = readCount(commandLine, 'upscale-repeats', MAX_REPEATS);
  checkUpscaleOptions(image, options);
  await checkOutput(output, 1, json, process.stdout.isTTY);
  const warnings = new CommandWarnings();
  const picture = await warnings.during(() => readPicture(image, 'image'));
  const progress = await Progress.create();
  try {
    progress.start('loading', 1);
    await using upscaler = await loadUpscaler(model, { ...load, signal, logger: { warn: warnings.tell } });
    const start = performance.now();
    const enlarge = (from: PictureInput) => {
      progress.start('enlarging', 1);
      const onProgress = ({ done, total }: UpscaleProgress) => progress.step(done, total);
      return upscaler.upscale(from, { ...options, signal, onProgress });
    };
    let enlarged = await enlarge(picture);
    for (let i = 1; i < repeats; i++) enlarged = await enlarge(enlarged);
    const time = performance.now() - start;
    await writePicture(enlarged, output);
    const { width, height } = enlarged;
    progress.stop(`${output}: ${width} x ${height}, ${(time / 1000).toFixed(2)} s`);
    if (json) await printJson({ files: [output], width, height, timings: { upscaling: time }, warnings: warnings.all });
  } finally {
    progress.stop();
  }
}

function required({ flags }: CommandLine, name: string): string {
  const value = flags[name];
  if (typeof value === 'string') return value;
  throw new UsageError(`Expected --${name} for diffuse upscale but received none`);
}
