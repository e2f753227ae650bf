// `diffuse depth`: estimates how near everything in a picture is, and writes that as a picture.

import { loadDepthEstimator } from '../depth/depth-estimator.ts';
import { readPicture } from '../picture/input.ts';
import type { CommandLine } from './arguments.ts';
import { checkOutput, writePicture } from './output-path.ts';
import { Progress } from './progress.ts';
import { readRequest } from './request.ts';
import { printJson } from './standard-output.ts';
import { UsageError } from './usage-error.ts';
import { CommandWarnings } from './warnings.ts';

/** @param signal ends the command at any moment, before the picture is written or after, never within. */
export async function runDepth(commandLine: CommandLine, signal: AbortSignal): Promise<void> {
  const model = commandLine.flags['depth-model'];
  if (typeof model !== 'string') throw new UsageError('Expected --depth-model for diffuse depth but received none');
  const { load, output, json } = readRequest(commandLine);
  await checkOutput(output, 1, json, process.stdout.isTTY);
  const warnings = new CommandWarnings();
  const picture = await warnings.during(() => readPicture(commandLine.file as string, 'image'));
  const progress = await Progress.create();
  try {
    progress.start('loading', 1);
    await using estimator = await loadDepthEstimator(model, { ...load, signal, logger: { warn: warnings.tell } });
    const start = performance.now();
    progress.start('estimating', 1);
    const depth = await estimator.estimate(picture, { signal });
    const time = performance.now() - start;
    await writePicture(depth, output);
    const { width, height } = depth;
    progress.stop(`${output}: ${width} x ${height}, ${(time / 1000).toFixed(2)} s`);
    if (json)
      await printJson({ files: [output], width, height, timings: { estimation: time }, warnings: warnings.all });
  } finally {
    progress.stop();
  }
}
