// Reproduces images: reads the options of --from from an image's metadata, and formats options as a command line.

import type { Txt2ImgOptions } from '../task/options.ts';
import { type CommandLine, textOf } from './command-line.ts';
import { type AnyGenerationOptions, type Flag, type GenerationCommand, hasFlag } from './flag.ts';
import { FLAGS } from './flags.ts';

/** The generation parameters of the image of --from. */
export interface SourceParameters {
  readonly options: Partial<AnyGenerationOptions>;
  /** What cannot be reproduced. */
  readonly warnings: readonly string[];
  /** The name of the model that generated the image, if known. */
  readonly model: string | undefined;
}

const NOTHING: SourceParameters = { options: {}, warnings: [], model: undefined };

/**
 * Reads the image of --from.
 *
 * @throws as {@link readMetadata}.
 */
export async function readSourceParameters(
  { flags }: CommandLine,
  command: GenerationCommand,
): Promise<SourceParameters> {
  const from = textOf(flags.from);
  if (from === undefined) return NOTHING;
  // Loaded only here, because most commands do not need it.
  const { readMetadata } = await import('../metadata/read-metadata.ts');
  const { options: read, strength, warnings, model } = await readMetadata(from);
  const { hires, ...others } = read;
  const options: Partial<AnyGenerationOptions> = command === 'txt2img' ? read : others;
  const ownWarnings =
    hires && command !== 'txt2img' ? [`The image was generated in two passes, which ${command} does not do`] : [];
  const usesStrength =
    !hires && strength !== undefined && FLAGS.some((one) => one.name === 'strength' && hasFlag(command, one));
  return { options: usesStrength ? { ...options, strength } : options, warnings: [...warnings, ...ownWarnings], model };
}

/**
 * Merges the options of the flags over those of an image. Steps and custom noise levels exclude each other: the given
 * one wins.
 */
export function mergeOptions(image: Partial<AnyGenerationOptions>, given: AnyGenerationOptions): AnyGenerationOptions {
  const { steps, scheduler, ...rest } = image;
  const keepsSteps = given.scheduler === undefined || typeof given.scheduler === 'string';
  const keepsScheduler = given.steps === undefined || typeof scheduler === 'string';
  return {
    ...rest,
    ...(steps !== undefined && keepsSteps && { steps }),
    ...(scheduler !== undefined && keepsScheduler && { scheduler }),
    ...given,
  };
}

/** The command line that generates an image with these options, quoted for a POSIX shell. */
export function formatCommand(options: Txt2ImgOptions): string {
  const words = FLAGS.filter((flag) => hasFlag('txt2img', flag)).flatMap((flag) => {
    const value = valueFor(flag, options);
    if (value === undefined || value === false) return [];
    const name = flag.alias ? `-${flag.alias}` : `--${flag.name}`;
    if (flag.kind === 'switch') return [name];
    const text = textOfValue(flag, value);
    return text.startsWith('-') ? [`--${flag.name}=${quote(text)}`] : [name, quote(text)];
  });
  return ['diffuse', ...words].join(' ');
}

/** The value of a flag for these options; undefined if the flag is not needed. */
function valueFor({ name, option, value }: Flag, options: Txt2ImgOptions): unknown {
  const [part, ofPart] = (option ?? '').split('.') as [keyof Txt2ImgOptions, string | undefined];
  const all = options[part];
  if (value !== undefined) return all === value;
  if (part === 'scheduler') return (name === 'sigmas') === (typeof all === 'object') ? all : undefined;
  if (ofPart === undefined) return all;
  return typeof all === 'object' ? (all as Readonly<Record<string, unknown>>)[ofPart] : undefined;
}

function textOfValue({ kind }: Flag, value: unknown): string {
  if (kind === 'numbers') return Array.from(value as ArrayLike<number>).join(',');
  const separator = kind === 'size' ? 'x' : ',';
  return kind === 'size' || kind === 'corner' ? Object.values(value as object).join(separator) : String(value);
}

function quote(text: string): string {
  return /^[\w.,:@%+=/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
