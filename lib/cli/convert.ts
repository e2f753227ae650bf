// `diffuse convert`: writes the weights of a model as one file of another type.

import { convert } from '../convert/convert.ts';
import { type ConvertOptions, checkConvertOptions, formatOf } from '../convert/options.ts';
import { checkSource, type ModelSource } from '../loading/source.ts';
import { loadAddon } from '../native/load.ts';
import { type CommandLine, textOf } from './command-line.ts';
import { Problems } from './problems.ts';
import { Progress } from './progress.ts';
import { readRequest } from './request.ts';
import { printJson } from './standard-output.ts';
import { formatBytes } from './units.ts';

export async function runConvert(commandLine: CommandLine, signal: AbortSignal): Promise<void> {
  const problems = new Problems(commandLine);
  const { file, flags } = commandLine;
  if (file !== undefined && flags.model !== undefined) problems.add('Expected one model but received --model, too');
  const { source, load, options: given, json } = readRequest(commandLine, problems);
  const files = file === undefined ? source : { ...source, model: file };
  if (files === undefined) problems.add('Expected a model after diffuse convert, or --model, but received none');
  const output = textOf(flags.output);
  if (output === undefined) problems.add('Expected --output for diffuse convert but received none');
  const { type, tensorTypeRules, threads } = load;
  const { keepConvolutions } = given as ConvertOptions;
  const options = { type, tensorTypeRules, keepConvolutions, threads };
  problems.attempt(() => files && checkSource(files));
  const format = problems.attempt(() => (output === undefined ? 'gguf' : formatOf(output, '--output')));
  problems.attempt(() => checkConvertOptions(options, format ?? 'gguf', loadAddon()));
  problems.done();
  const progress = await Progress.create(flags);
  try {
    const start = performance.now();
    progress.start('converting', 1);
    const onProgress: ConvertOptions['onProgress'] = ({ done, total, secondsLeft }) =>
      progress.portion(done, total, secondsLeft);
    const { path, ...what } = await convert(files as ModelSource, output as string, { ...options, signal, onProgress });
    const time = performance.now() - start;
    const types = Object.entries(what.types).map(([name, count]) => `${count} ${name}`);
    const size = `${path}: ${formatBytes(what.bytes)}, ${what.tensors} tensors`;
    progress.finish(`${size} (${types.join(', ')}), ${(time / 1000).toFixed(2)} s`, !json);
    if (json) await printJson({ files: [path], ...what, timings: { converting: time } });
  } finally {
    progress.stop();
  }
}
