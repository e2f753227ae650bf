// `diffuse inspect FILE`: shows what a model file holds.

import { inspectModel } from '../inspect.ts';
import type { NativeComponent, NativeInspection } from '../native/contract.ts';
import type { CommandLine } from './arguments.ts';
import { print, printJson } from './standard-output.ts';
import { formatBytes, formatTable } from './units.ts';

/** What goes with a model, for people. */
const KINDS = {
  lora: 'LoRA',
  embedding: 'embedding of textual inversion',
  controlnet: 'ControlNet',
  taesd: 'TAESD, a small VAE',
  upscaler: 'upscaler',
  depth: 'depth estimator',
};

/** How many names of a list are shown; --json gives all. */
const SHOWN = 10;

export async function runInspect({ file, flags }: CommandLine, signal: AbortSignal): Promise<void> {
  const inspection = await inspectModel(file as string, { signal });
  await (flags.json ? printJson(inspection) : print(`${describeInspection(inspection)}\n`));
}

function describeInspection(found: NativeInspection): string {
  const { files, kind, family, layout, components } = found;
  const goesWithModel = kind !== undefined && kind !== 'model';
  return [
    formatTable([
      ...files.map(({ path, format, bytes, tensors }) => [
        'file',
        `${path} (${format}, ${formatBytes(bytes)}, ${tensors} tensors)`,
      ]),
      ...(goesWithModel ? [['kind', KINDS[kind]]] : [['family', family ?? 'none that is known']]),
      ...(layout ? [['layout', layout]] : []),
      ...components.map((component) => [component.kind, describeComponent(component)]),
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
