// The tasks of a model, and what its options may be with one model.

import type { SamplerName } from '../sampler/index.ts';
import type { SchedulerName } from '../schedule/index.ts';

/** The tasks: each is the name of a method of a model. */
export const TASKS = ['txt2img', 'img2img', 'inpaint', 'edit', 'depth2img'] as const;

export type TaskName = (typeof TASKS)[number];

/** The tasks that start from an image. */
export const FROM_IMAGE = ['img2img', 'inpaint', 'edit', 'depth2img'] as const;

/** Those of them that take a share of the steps. */
export const WITH_STRENGTH = ['img2img', 'inpaint', 'depth2img'] as const;

/** What the options of a call may be, with one model. */
export interface ModelLimits {
  /** Pixels along one side of a latent cell. */
  readonly vaeScaleFactor: number;
  /** Sides are multiples of this many pixels. */
  readonly sideMultiple: number;
  /** Layers of CLIP's text encoder, of the one with fewer where there are two; 0 for a language model. */
  readonly textLayers: number;
  /** Default layer. */
  readonly clipSkip: number;
  /** Whether there is a tiny autoencoder. */
  readonly tinyAutoencoder: boolean;
  /** Schedule of the samplers that have none of their own. */
  readonly defaultScheduler: SchedulerName;
  readonly defaultSampler: SamplerName;
  /** Default size in pixels. */
  readonly width: number;
  readonly height: number;
  /** Default number of steps and guidance scale. */
  readonly steps: number;
  readonly cfgScale: number;
}

/** The limits that hold for every model, to check options before one is loaded. */
export const ANY_MODEL: ModelLimits = {
  vaeScaleFactor: 1,
  sideMultiple: 1,
  textLayers: Number.MAX_VALUE,
  clipSkip: 1,
  tinyAutoencoder: true,
  defaultScheduler: 'discrete',
  defaultSampler: 'euler_a',
  width: 512,
  height: 512,
  steps: 20,
  cfgScale: 7,
};
