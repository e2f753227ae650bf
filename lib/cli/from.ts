// Images drawn again: what one says of how it was made, as options under those of the flags, and written out as a command line.

import type { Txt2ImgOptions } from '../task/options.ts';
import { type CommandLine, textOf } from './command-line.ts';
import { type AnyGenerationOptions, type Flag, type GenerationCommand, hasFlag } from './flag.ts';
import { FLAGS } from './flags.ts';

/** What --from adds to a command. */
export interface Ground {
  readonly options: Partial<AnyGenerationOptions>;
  /** What cannot be drawn again. */
  readonly warnings: readonly string[];
  /** Name of the model that drew the image, where it says one. */
  readonly model: string | undefined;
}

const NOTHING: Ground = { options: {}, warnings: [], model: undefined };

/**
 * Reads the image of --from.
 *
 * @throws as {@link readMetadata}.
 */
export async function readGround({ flags }: CommandLine, command: GenerationCommand): Promise<Ground> {
  const from = textOf(flags.from);
  if (from === undefined) return NOTHING;
  // Most commands draw without one.
  const { readMetadata } = await import('../metadata/read-metadata.ts');
  const { options: said, strength, warnings, model } = await readMetadata(from);
  const { hires, ...others } = said;
  const options: Partial<AnyGenerationOptions> = command === 'txt2img' ? said : others;
  const told =
    hires && command !== 'txt2img' ? [`The image was generated in two passes, which ${command} does not do`] : [];
  const isOfStart =
    !hires && strength !== undefined && FLAGS.some((one) => one.name === 'strength' && hasFlag(command, one));
  return { options: isOfStart ? { ...options, strength } : options, warnings: [...warnings, ...told], model };
}

/** The options of the flags over those of an image. Steps and noise levels say each other's number: what is given counts. */
export function over(ground: Partial<AnyGenerationOptions>, given: AnyGenerationOptions): AnyGenerationOptions {
  const { steps, scheduler, ...rest } = ground;
  const keepsSteps = given.scheduler === undefined || typeof given.scheduler === 'string';
  const keepsScheduler = given.steps === undefined || typeof scheduler === 'string';
  return {
    ...rest,
    ...(steps !== undefined && keepsSteps && { steps }),
    ...(scheduler !== undefined && keepsScheduler && { scheduler }),
    ...given,
  };
}

/** The command line that draws with these options, as a POSIX shell takes it. */
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

/** The value that a flag would have; undefined where it is not needed. */
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
