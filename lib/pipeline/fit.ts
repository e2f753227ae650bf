// Which ways of drawing fit a model: what its UNet takes beside the latent tells what it was trained for.

import { DiffusionError } from '../errors.ts';
import type { NativeModelInfo } from '../native/contract.ts';

/** A way of drawing: the name of a method of a model. */
export type Way = 'txt2img' | 'img2img' | 'inpaint' | 'edit' | 'depth2img';

/** What a UNet takes beside the latent: a mask and the latent of the masked picture, the latent of a picture, or depth. */
export type Companion = 'nothing' | 'mask' | 'picture' | 'depth';

const WAYS: Readonly<Record<Companion, readonly Way[]>> = {
  nothing: ['txt2img', 'img2img', 'inpaint'],
  mask: ['txt2img', 'img2img', 'inpaint'],
  picture: ['edit'],
  depth: ['depth2img'],
};

const DESCRIPTIONS: Readonly<Record<Companion, string>> = {
  nothing: 'takes a latent alone',
  mask: 'takes a mask and the masked picture beside the latent',
  picture: 'takes a picture to edit beside the latent',
  depth: 'takes depth beside the latent',
};

/** What the UNet of a model takes; undefined where its channels are those of no known model. */
export function companionOf({
  inChannels,
  latentChannels,
}: Pick<NativeModelInfo, 'inChannels' | 'latentChannels'>): Companion | undefined {
  const extra = inChannels - latentChannels;
  if (extra === 0) return 'nothing';
  if (extra === 1) return 'depth';
  if (extra === latentChannels) return 'picture';
  return extra === latentChannels + 1 ? 'mask' : undefined;
}

/** @throws DiffusionError `ERR_MODEL_UNSUPPORTED` where a model does not draw that way, naming the way in which it does. */
export function requireFit(info: NativeModelInfo, way: Way): void {
  const companion = companionOf(info);
  if (companion && WAYS[companion].includes(way)) return;
  const fitting = (Object.keys(WAYS) as Companion[]).filter((one) => WAYS[one].includes(way));
  const expected = `a model for ${way}, whose UNet ${fitting.map((one) => DESCRIPTIONS[one]).join(' or ')},`;
  const taken = `${info.inChannels} channels for a latent of ${info.latentChannels}`;
  const received = `the UNet of this one (${info.family}) ${companion ? DESCRIPTIONS[companion] : `takes ${taken}`}`;
  const remedy = companion ? `. Draw with ${WAYS[companion].join(', ')}` : '';
  throw new DiffusionError('ERR_MODEL_UNSUPPORTED', `Expected ${expected} but ${received}${remedy}`);
}
