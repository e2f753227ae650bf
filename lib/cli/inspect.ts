// `diffuse inspect`: shows the contents of a model's files, and what is missing.

import { withoutUndefined } from '../core/values.ts';
import { inspectModel } from '../loading/inspect.ts';
import { checkSource, type ModelSource } from '../loading/source.ts';
import { planText } from '../memory/plan.ts';
import { estimate } from '../model/estimate.ts';
import type { NativeComponent, NativeInspection } from '../native/contract.ts';
import type { MemoryEstimate } from '../pipeline/estimate.ts';
import type { CommandLine } from './command-line.ts';
import { inspectGpu } from './devices.ts';
import { describeNoise } from './noise.ts';
import { Problems } from './problems.ts';
import { readRequest } from './request.ts';
import { print, printJson } from './standard-output.ts';
import { formatBytes, formatTable } from './units.ts';

/** Display names of files that are not models. */
const KINDS = {
  lora: 'LoRA',
  embedding: 'textual inversion embedding',
  controlnet: 'ControlNet',
  taesd: 'TAESD, a tiny autoencoder',
  upscaler: 'upscaler',
  depth: 'depth estimator',
};

/** The flags for the parts of a model. */
const FLAGS_OF_PARTS = {
  ...{ unet: 'diffusion-model', transformer: 'diffusion-model', language_model: 'llm', vae: 'vae' },
  ...{ text_encoder: 'clip_l', text_encoder_2: 'clip_g' },
};

/** Maximum number of names shown of a list; --json has all. */
const SHOWN = 10;

export async function runInspect(commandLine: CommandLine, signal: AbortSignal): Promise<void> {
  const { file, flags } = commandLine;
  if (file === 'gpu') return inspectGpu(commandLine);
  const problems = new Problems(commandLine);
  if (file !== undefined && flags.model !== undefined) problems.add('Expected one model but received --model, too');
  const { source, json, options, load } = readRequest(commandLine, problems);
  const files = file === undefined ? source : { ...source, model: file };
  if (files === undefined) problems.add('Expected a file after diffuse inspect but received none');
  problems.attempt(() => files && checkSource(files));
  const estimates = flags.estimate === true || load.memory !== undefined;
  const { width, height, vaeTiling, vaeTileSize } = options;
  const image = withoutUndefined({ width, height, vaeTiling, vaeTileSize });
  const given = withoutUndefined({ ...image, device: load.device });
  if (!estimates && Object.keys(given).length > 0) {
    problems.add('Expected --estimate with --device and the flags of an image');
  }
  problems.done();
  if (estimates) {
    const estimated = await estimate(files as ModelSource, image, { ...load, signal });
    await (json ? printJson(estimated) : print(`${describeEstimate(estimated)}\n`));
    return;
  }
  const inspection = await inspectModel(files as ModelSource, { signal });
  await (json ? printJson(inspection) : print(`${describeInspection(inspection)}\n`));
}

/** A table of stages, and the plan. */
function describeEstimate({ device, size, plan, stages, peaks }: MemoryEstimate): string {
  const rows = stages.map(({ stage, network, weights, compute, total }) => [
    ...[stage, network, formatBytes(weights), formatBytes(compute), formatBytes(total)],
  ]);
  return [
    formatTable([['stage', 'network', 'weights', 'compute', 'total'], ...rows]),
    '',
    `${size.width}x${size.height} on ${device}: ${planText(plan)}`,
    `peak ${formatBytes(peaks.device.bytes)} (${peaks.device.stage})`,
    ...(device === 'cpu' ? [] : [`peak of the process ${formatBytes(peaks.process.bytes)}`]),
  ].join('\n');
}

function describeInspection(found: NativeInspection): string {
  const { files, kind, family, layout, components, prediction, noise, absent } = found;
  const isOther = kind !== undefined && kind !== 'model';
  return [
    formatTable([
      ...files.map(({ path, format, bytes, tensors }) => [
        'file',
        `${path} (${format}, ${formatBytes(bytes)}, ${tensors} tensors)`,
      ]),
      ...(isOther ? [['kind', KINDS[kind]]] : [['family', family ?? 'unknown']]),
      ...(layout ? [['layout', layout]] : []),
      ...(prediction && noise ? [['predicts', `${prediction}, ${describeNoise(noise)}`]] : []),
      ...components.map((component) => [component.kind, describeComponent(component)]),
      ...absent.map((part) => [part, `missing: use --${FLAGS_OF_PARTS[part]} or --model`]),
    ]),
    ...describeNames('missing', found.missing),
    ...describeNames('mismatched', found.mismatched),
    ...describeNames('unused', found.unused),
  ].join('\n');
}

function describeComponent({ parameters, bytes, types, config }: NativeComponent): string {
  const counts = Object.entries(types).map(([type, count]) => `${count} ${type}`);
  const sizes = Object.entries(config).map(
    ([key, value]) => `${key} ${Array.isArray(value) ? value.join('/') : value}`,
  );
  const size = `${(parameters / 1e6).toFixed(1)} M parameters, ${formatBytes(bytes)}`;
  return `${size} (${counts.join(', ')}); ${sizes.join(', ')}`;
}

function describeNames(title: string, names: readonly string[]): string[] {
  if (names.length === 0) return [];
  const rest = names.length > SHOWN ? [`  and ${names.length - SHOWN} more`] : [];
  return [`${title}: ${names.length}`, ...names.slice(0, SHOWN).map((name) => `  ${name}`), ...rest];
}
