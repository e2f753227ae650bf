// What a row of an option says: its rule, its text, its flag, its metadata, and which tasks and models have it.

import type { Family } from '../family/index.ts';
import type { GenerationParameters } from '../image/generation-parameters.ts';
import type { LoadedModelInfo } from '../native/contract.ts';
import type { NumberRule, OptionCheck } from '../options/check.ts';
import type { SchedulerName } from '../schedule/index.ts';
import type { AskedSampler } from './method.ts';
import type { CheckedPrompt } from './prompt.ts';
import type { Fields, StatedValues } from './stated.ts';
import type { ModelLimits, TaskName } from './task.ts';

/** Checked options that the rules of others depend on. */
export interface Dependencies {
  readonly prompt: CheckedPrompt;
  readonly loraTags: string;
  readonly batchSize: number;
  readonly sampler: AskedSampler;
  readonly scheduler: SchedulerName | Float64Array;
  readonly steps: number;
  readonly maxPixels: number;
  readonly width: number | undefined;
  readonly height: number | undefined;
}

/** What the rule of an option sees of a call. */
export interface Checking {
  readonly task: TaskName;
  /** What was given, and where problems go. */
  readonly check: OptionCheck;
  /** Another option, checked before this one. */
  of<Name extends keyof Dependencies>(name: Name): Dependencies[Name];
}

/** How the value of a flag is written on a command line; a switch has none. */
export type FlagKind = 'text' | 'number' | 'seed' | 'numbers' | 'size' | 'corner' | 'side' | 'switch';

/** What the values of an option are, and how they are checked. */
export interface Rule<Given, Checked> {
  /** What is given, as the public types say it. */
  readonly type: string;
  /** The checked value; the default where nothing is given or it is wrong, and problems stay with `checking.check`. */
  check(checking: Checking, name: string, limits: ModelLimits): Checked;
  /** Whether `check` reads the limits of a model: then it is repeated once that is known. */
  readonly byModel: boolean;
  readonly isDefault: (checked: Checked) => boolean;
  /** The value of its flag, unless that says otherwise. */
  readonly kind: FlagKind;
  /** Names that the help lists. */
  readonly choices?: readonly string[];
  /** Never there: the type of what is given. */
  readonly given?: Given;
}

/** What the help can be asked about. */
export type Topic =
  | 'prompt'
  | 'model'
  | 'image'
  | 'controls'
  | 'sampling'
  | 'guidance'
  | 'sdxl'
  | 'hires'
  | 'upscaling'
  | 'output'
  | 'converting'
  | 'compute'
  | 'serving';

/** The flag of an option. */
export interface FlagColumn {
  /** Long name, that of stable-diffusion.cpp's `sd-cli` where it has the same thing. */
  readonly name: string;
  readonly alias?: string;
  readonly description: string;
  readonly topic: Topic;
  /** Whether the short help shows it; its description then fits in a line of 80 columns. */
  readonly common?: true;
  /** What its value is, where that is not the kind of the rule. */
  readonly kind?: FlagKind;
  /**
   * The value that it stands for, of a switch that stands for one of several; two of them together stand for true, but
   * true and false exclude each other.
   */
  readonly value?: unknown;
  /** Other commands that have it. */
  readonly also?: readonly ('upscale' | 'depth' | 'inspect' | 'serve')[];
}

/** An image of a call. */
export interface ImageOfCall {
  /** In the batch, from 0. */
  readonly index: number;
  /** All checked options. */
  readonly options: Readonly<Record<string, unknown>>;
}

/**
 * How an option becomes parameters of an image, text in its file, and an option again. Without functions the parameter
 * is the checked value under the option's name, undefined for the default, and text and numbers follow from the kind of
 * the rule.
 */
export interface MetadataColumn<Checked> {
  /** Its key in the text: A1111's word, if it has one. */
  readonly key: string;
  /** Whether the parameter is there for the default too. */
  readonly always?: true;
  /**
   * The type of its parameter, if that is not the type of the rule; `''` if it is declared by hand, with `parameters`.
   */
  readonly type?: string;
  readonly parameters?: (checked: NonNullable<Checked>, image: ImageOfCall) => Partial<GenerationParameters>;
  /** Text by key. */
  readonly write?: (parameters: GenerationParameters) => Readonly<Record<string, string | undefined>>;
  /** @param line the whole line of the fields. */
  readonly read?: (fields: Fields, line: string) => StatedValues;
  /** Options of txt2img. Their values are checked afterwards. */
  readonly options?: (stated: StatedValues, warnings: string[]) => Record<string, unknown>;
}

/** What of a model decides whether it reads an option. */
export interface ReaderModel {
  readonly info: Pick<LoadedModelInfo, 'family' | 'middleAttention' | 'components' | 'textEncoders'>;
  readonly family: Pick<Family, 'options'>;
}

/** Whether the denoiser is a UNet. */
export function hasUnet({ info }: ReaderModel): boolean {
  return info.components.some(({ kind }) => kind === 'unet');
}

/** Whether prompts are for CLIP, of which some options are. */
export function hasClip({ info }: ReaderModel): boolean {
  return info.textEncoders.some(({ kind }) => kind === 'clip' || kind === 'openclip');
}

/** Which models read an option. With others only its default is allowed, so that none is silently without effect. */
export interface ReaderColumn {
  readonly has: (model: ReaderModel) => boolean;
  /** What else is expected, and what to call the value, for the refusal. */
  readonly expected: (model: ReaderModel) => string;
  readonly received?: string;
}

/** Everything about one option. */
export interface Row<Given, Checked, Tasks extends readonly TaskName[]> {
  /** Its docstring. */
  readonly doc: string;
  readonly rule: Rule<Given, Checked>;
  /** The tasks that have it. Default: all. */
  readonly tasks?: Tasks;
  readonly required?: true;
  /** Its flag; several where a part of its values has its own. */
  readonly flag?: FlagColumn | readonly FlagColumn[];
  readonly reader?: ReaderColumn;
  readonly metadata?: MetadataColumn<Checked>;
}

/** A row whose types follow from its rule and tasks. */
export function row<Given, Checked, const Tasks extends readonly TaskName[] = readonly TaskName[]>(
  columns: Row<Given, Checked, Tasks>,
): Row<Given, Checked, Tasks> {
  return columns;
}

/** A rule with a check of its own. */
export function rule<Given, Checked>(
  type: string,
  check: (checking: Checking, name: string) => Checked,
  columns: Partial<Pick<Rule<Given, Checked>, 'isDefault' | 'kind' | 'choices'>> = {},
): Rule<Given, Checked> {
  return { type, check, byModel: false, kind: 'text', isDefault: (value) => value === undefined, ...columns };
}

/** A rule that depends on the model. */
export function ruleByModel<Given, Checked>(
  type: string,
  check: Rule<Given, Checked>['check'],
  columns: Partial<Pick<Rule<Given, Checked>, 'isDefault' | 'kind' | 'choices'>> = {},
): Rule<Given, Checked> {
  return { ...rule<Given, Checked>(type, () => undefined as Checked, columns), check, byModel: true };
}

/** A number. Bounds are inclusive. */
export function number(fallback: number, limits: Partial<NumberRule>): Rule<number, number> {
  const bounds = { min: -Number.MAX_VALUE, max: Number.MAX_VALUE, ...limits };
  return rule('number', ({ check }, name) => check.number(name, fallback, bounds), {
    kind: 'number',
    isDefault: (value) => value === fallback,
  });
}

/** A number without a default. */
export function optionalNumber(limits: NumberRule): Rule<number, number | undefined> {
  const check = ({ check }: Checking, name: string) =>
    check.value(name) === undefined ? undefined : check.number(name, limits.min, limits);
  return rule('number', check, { kind: 'number' });
}

/** Off unless it is given. */
export function flag(): Rule<boolean, boolean> {
  return rule('boolean', ({ check }, name) => check.boolean(name, false), {
    kind: 'switch',
    isDefault: (value) => !value,
  });
}

/** @param type the public type of the names. */
export function oneOf<Name extends string>(type: string, fallback: Name, names: readonly Name[]): Rule<Name, Name> {
  return rule(type, ({ check }, name) => check.name(name, fallback, names), {
    choices: names,
    isDefault: (value) => value === fallback,
  });
}

/** A path of a file or folder. */
export function optionalPath(): Rule<string, string | undefined> {
  return rule('string', ({ check }, name) => (check.value(name) === undefined ? undefined : check.path(name)));
}
