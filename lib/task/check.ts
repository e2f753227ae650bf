// Checks the options of a call by their rows. Options are checked once: what a command line checked before it loaded a
// model is only fitted to that.

import { type ArgumentProblem, argumentError } from '../core/errors.ts';
import type { Size } from '../image/resize.ts';
import { OptionCheck } from '../options/check.ts';
import type { Checking, Dependencies, ReaderModel, Row } from './row.ts';
import { type AnyRow, type OptionName, optionsOf, ROW_LIST, ROWS } from './rows.ts';
import { checkPixels } from './sides.ts';
import type { ModelLimits, TaskName } from './task.ts';

type Rows = typeof ROWS;
type CheckedOf<One> = One extends Row<infer _, infer Checked, infer __> ? Checked : never;
type TasksOf<One> = One extends Row<infer _, infer __, infer Tasks> ? Tasks[number] : never;

/** The options of a task with every default filled in, known to be right. */
export type CheckedOptions<Task extends TaskName> = {
  readonly [Name in OptionName as [Task] extends [TasksOf<Rows[Name]>] ? Name : never]: CheckedOf<Rows[Name]>;
} & ([Task] extends ['txt2img'] ? Size : unknown); // By text alone there is always a size.

/** Those that all tasks have, and those that shared stages ask for. */
export type CheckedGenerationOptions = CheckedOptions<TaskName> &
  Partial<Pick<CheckedOptions<'edit'>, 'imageCfgScale'> & Pick<CheckedOptions<'txt2img'>, 'hires'>>;

/** Options that were checked: what was given of them, for the rules that depend on a model. */
const CHECKED = new WeakMap<object, OptionCheck>();

/**
 * Checks the options of a call, as far as that goes without reading images.
 *
 * @param given by the caller; or what this returned before, which is then checked again only where a rule depends on
 *   the model.
 * @throws TypeError or RangeError with every problem that was found.
 */
export function checkOptions<Task extends TaskName>(
  task: Task,
  given: unknown,
  limits: ModelLimits,
): CheckedOptions<Task> & CheckedGenerationOptions {
  const names = optionsOf(task);
  const before = typeof given === 'object' && given !== null ? CHECKED.get(given) : undefined;
  const check = before ?? new OptionCheck(given, names);
  const kept = before ? names.filter((name) => !ROWS[name].rule.byModel) : [];
  const values = new Map<OptionName, unknown>(kept.map((name) => [name, (given as Record<OptionName, unknown>)[name]]));
  const of = (name: OptionName) => {
    if (!values.has(name)) values.set(name, (ROWS[name] as AnyRow).rule.check(checking, name, limits));
    return values.get(name);
  };
  const checking = { task, check, of } as Checking;
  for (const name of names) of(name);
  const { width, height, batchSize } = Object.fromEntries(values) as unknown as Dependencies;
  if (width !== undefined && height !== undefined) checkPixels(check, width, height, batchSize);
  check.done();
  return remember(Object.fromEntries(values) as unknown as CheckedOptions<Task> & CheckedGenerationOptions, check);
}

/** Checked options with others in their place that need no check. */
export function withValues<Checked extends object>(checked: Checked, values: Partial<Checked>): Checked {
  return remember({ ...checked, ...values }, CHECKED.get(checked) as OptionCheck);
}

function remember<Checked extends object>(checked: Checked, check: OptionCheck): Checked {
  CHECKED.set(checked, check);
  return checked;
}

/**
 * @throws RangeError `ERR_INVALID_ARG_VALUE` for options that nothing in a model reads, so that none is silently
 *   without effect.
 */
export function requireReaders(model: ReaderModel, options: CheckedGenerationOptions): void {
  const values = options as Readonly<Partial<Record<OptionName, unknown>>>;
  const problems = ROW_LIST.flatMap(([name, { reader, rule }]): ArgumentProblem[] => {
    const value = values[name];
    if (!reader || reader.has(model) || rule.isDefault(value)) return [];
    const { expected, received = String(value) } = reader;
    return [{ name, expected: expected(model), received, code: 'ERR_INVALID_ARG_VALUE' }];
  });
  if (problems.length > 0) throw argumentError(problems);
}

/**
 * The size at which an image is generated.
 *
 * @param factor sides are multiples of it.
 * @throws RangeError `ERR_INVALID_ARG_VALUE` where it is too large, or other than the image's and none may be.
 */
export function sizeOf(
  image: Size,
  options: Pick<CheckedOptions<'img2img'>, 'width' | 'height' | 'batchSize' | 'resizeMode'>,
  factor: number,
): Size {
  const { width, height, batchSize, resizeMode } = options;
  const multiple = (side: number) => Math.max(Math.floor(side / factor), 1) * factor;
  const size = {
    width: width ?? multiple(height === undefined ? image.width : (height * image.width) / image.height),
    height: height ?? multiple(width === undefined ? image.height : (width * image.height) / image.width),
  };
  const check = new OptionCheck({}, []);
  checkPixels(check, size.width, size.height, batchSize);
  if (resizeMode === 'none' && (size.width !== image.width || size.height !== image.height)) {
    const expected = `an image of ${size.width} x ${size.height}, since it may not be resized,`;
    const remedy = `Sides are multiples of ${factor}, and any size does where it may`;
    check.problem({ name: 'image', expected, received: `${image.width} x ${image.height}`, remedy });
  }
  check.done();
  return size;
}
