// `diffuse depth`: estimates the depth of an image and writes it as an image.

import { loadDepthEstimator } from '../depth/depth-estimator.ts';
import { readImage } from '../image/input.ts';
import { checkedMaxPixels } from '../image/limits.ts';
import { checkNetworkOptions } from '../loading/load-options.ts';
import { loadAddon } from '../native/load.ts';
import { type CommandLine, textOf } from './command-line.ts';
import { Output } from './output.ts';
import { Problems } from './problems.ts';
import { Progress } from './progress.ts';
import { readRequest } from './request.ts';
import { printJson } from './standard-output.ts';
import { CommandWarnings } from './warnings.ts';

/** @param signal cancels the command at any time, except while the image is written. */
export async function runDepth(commandLine: CommandLine, signal: AbortSignal): Promise<void> {
  const problems = new Problems(commandLine);
  const model = textOf(commandLine.flags['depth-model']);
  if (model === undefined) problems.add('Expected --depth-model for diffuse depth but received none');
  const { load, json, options } = readRequest(commandLine, problems);
  const maxPixels = problems.attempt(() => checkedMaxPixels(options.maxPixels));
  problems.attempt(() => checkNetworkOptions(load, loadAddon()));
  const output = new Output(commandLine, 1);
  output.checkUse(commandLine, problems);
  problems.done();
  await output.checkFiles();
  const warnings = new CommandWarnings();
  const image = await warnings.during(() => readImage(commandLine.file as string, 'image', maxPixels));
  const progress = await Progress.create(commandLine.flags);
  try {
    progress.start('loading', 1);
    await using estimator = await loadDepthEstimator(model as string, {
      ...load,
      signal,
      logger: { warn: warnings.tell },
    });
    const start = performance.now();
    progress.start('estimating', 1);
    const depth = await estimator.estimate(image, { signal, maxPixels });
    const time = performance.now() - start;
    const file = await warnings.during(() => output.write(depth));
    const { width, height } = depth;
    progress.finish(`${file}: ${width} x ${height}, ${(time / 1000).toFixed(2)} s`, output.chooses && !json);
    if (json) await printJson({ files: [file], width, height, timings: { estimation: time }, warnings: warnings.all });
  } finally {
    progress.stop();
  }
}
