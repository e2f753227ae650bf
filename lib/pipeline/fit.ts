// Which tasks and options a model supports: the UNet's input channels show what it was trained for.

import { DiffusionError } from '../core/errors.ts';
import type { LoadedModelInfo } from '../native/contract.ts';
import type { TaskName } from '../task/task.ts';

/**
 * A UNet's input in addition to the latent: a mask and the latent of the masked image, the latent of an image, or
 * depth.
 */
export type ConcatConditioning = 'nothing' | 'mask' | 'image' | 'depth';

const TASKS: Readonly<Record<ConcatConditioning, readonly TaskName[]>> = {
  nothing: ['txt2img', 'img2img', 'inpaint'],
  mask: ['txt2img', 'img2img', 'inpaint'],
  image: ['edit'],
  depth: ['depth2img'],
};

const DESCRIPTIONS: Readonly<Record<ConcatConditioning, string>> = {
  nothing: 'takes a latent alone',
  mask: 'takes a mask and the masked image in addition to the latent',
  image: 'takes an image to edit in addition to the latent',
  depth: 'takes depth in addition to the latent',
};

/** The concat conditioning of a model; undefined if its channels match no known model. */
export function concatConditioningOf({
  inChannels,
  latentChannels,
}: Pick<LoadedModelInfo, 'inChannels' | 'latentChannels'>): ConcatConditioning | undefined {
  const extra = inChannels - latentChannels;
  if (extra === 0) return 'nothing';
  if (extra === 1) return 'depth';
  if (extra === latentChannels) return 'image';
  return extra === latentChannels + 1 ? 'mask' : undefined;
}

/**
 * @throws DiffusionError `ERR_MODEL_UNSUPPORTED` if the UNet takes anything in addition to the latent, which a second
 * pass lacks.
 */
export function requireLatentAlone(info: LoadedModelInfo, option: string): void {
  const concat = concatConditioningOf(info);
  if (concat === undefined || concat === 'nothing') return;
  const received = `the UNet of this one (${info.family}) ${DESCRIPTIONS[concat]}`;
  throw new DiffusionError(
    'ERR_MODEL_UNSUPPORTED',
    `Expected a model that ${DESCRIPTIONS.nothing} for ${option} but ${received}`,
  );
}

/**
 * @throws DiffusionError `ERR_MODEL_UNSUPPORTED` if the model does not support the task; the message lists those it
 * supports.
 */
export function requireFit(info: LoadedModelInfo, task: TaskName): void {
  const concat = concatConditioningOf(info);
  if (concat && TASKS[concat].includes(task)) return;
  const fitting = (Object.keys(TASKS) as ConcatConditioning[]).filter((one) => TASKS[one].includes(task));
  const expected = `a model for ${task}, whose UNet ${fitting.map((one) => DESCRIPTIONS[one]).join(' or ')},`;
  const channels = `${info.inChannels} channels for a latent of ${info.latentChannels}`;
  const received = `the UNet of this one (${info.family}) ${concat ? DESCRIPTIONS[concat] : `takes ${channels}`}`;
  const remedy = concat ? `. Use ${TASKS[concat].join(', ')}` : '';
  throw new DiffusionError('ERR_MODEL_UNSUPPORTED', `Expected ${expected} but ${received}${remedy}`);
}
