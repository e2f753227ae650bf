// From a start to a latent: noise, schedule, guided network and sampler put together.

import type { ControlsAt } from '../control/controls.ts';
import { argumentError, describe } from '../errors.ts';
import {
  classifierFreeGuidance,
  denoiserFor,
  editGuidance,
  type Predict,
  type PredictEach,
  type PredictionType,
} from '../guidance/index.ts';
import type { NativeCondition, NativeControl, NativeModelInfo } from '../native/contract.ts';
import { createBatchNoise } from '../noise/index.ts';
import type { Denoiser, SamplerStep } from '../sampler/index.ts';
import { SCHEDULERS, stableDiffusionTable } from '../schedule/index.ts';
import { untilAborted } from './abort.ts';
import { type Conditioning, type Guided, guidanceScale } from './conditioning.ts';
import type { CheckedGenerationOptions } from './generation-options.ts';
import { type Networks, requireFinite, type Shape } from './networks.ts';
import type { Begin, Start } from './start.ts';

/**
 * Draws latents.
 *
 * @param shape of the latents.
 * @param begin chooses where sampling starts.
 * @param controlsAt what ControlNets lead each step by.
 * @param onStep called after each step, and awaited.
 * @returns latents of `shape`, free of noise.
 * @throws TypeError or RangeError where a sampler of the user's gives anything else than such latents.
 */
export async function sampleLatents(
  networks: Networks,
  prediction: PredictionType,
  options: CheckedGenerationOptions,
  shape: Shape,
  conditions: Guided<Conditioning>,
  begin: Begin,
  controlsAt: ControlsAt,
  onStep: (step: SamplerStep) => Promise<void>,
): Promise<Float32Array> {
  const table = stableDiffusionTable();
  const { scheduler, eta } = options;
  const schedule = typeof scheduler === 'string' ? SCHEDULERS[scheduler](options.steps, table) : scheduler;
  const source = createBatchNoise(options.rng, options.seed, options.batchSize);
  const noise = () => source.normal(shape.reduce((a, b) => a * b));
  const start = begin(schedule, noise);
  const { sigmas } = start;
  if (sigmas.length === 1) return start.latent;

  let finished = 0;
  const total = sigmas.length - 1;
  const predictEach = predictTogether(networks, shape, () => ({
    when: `step ${finished + 1} of ${total}`,
    controls: controlsAt(finished, total),
  }));
  const predict = guide(predictEach, networks, options, withBeside(conditions, start, networks.info, shape));
  const denoise = keeping(denoiserFor(predict, prediction, table), start);
  const sampling = options.sampler(
    async (x, sigma) => denoise(checkLatent(x, shape, 'the latent given to the denoiser'), checkSigma(sigma)),
    start.latent,
    sigmas,
    {
      noise,
      table,
      ...(eta === undefined ? {} : { eta }),
      onStep: async (step) => {
        networks.signal.throwIfAborted();
        const latent = checkLatent(step?.latent, shape, 'the latent of a step of sampler');
        const denoised = checkLatent(step.denoised, shape, 'the denoised latent of a step of sampler');
        finished = step.index + 1;
        await onStep({ ...step, latent, denoised });
      },
    },
  );
  // A sampler or a callback of the user's may never end by itself.
  const latent = checkLatent(await untilAborted(sampling, networks.signal), shape, 'the result of sampler');
  return requireFinite(start.keep?.(latent, 0) ?? latent, 'the sampler');
}

function guide(
  predictEach: PredictEach<Conditioning>,
  { info }: Networks,
  options: CheckedGenerationOptions,
  { conditional, unconditional }: Guided<Conditioning>,
): Predict {
  const scale = guidanceScale(info, options);
  const { imageCfgScale } = options;
  if (imageCfgScale === undefined) return classifierFreeGuidance(predictEach, conditional, unconditional, scale);
  const { beside = new Float32Array() } = unconditional;
  const neither = { ...unconditional, beside: new Float32Array(beside.length) };
  return editGuidance(predictEach, { both: conditional, picture: unconditional, neither }, scale, imageCfgScale);
}

/** The conditions with what the start puts beside the latents. What is of one picture serves all of the batch. */
function withBeside(
  { conditional, unconditional }: Guided<Conditioning>,
  { beside: given }: Start,
  { inChannels, latentChannels }: NativeModelInfo,
  [pictures, , height, width]: Shape,
): Guided<Conditioning> {
  if (!given) return { conditional, unconditional };
  const isOfOne = given.length === (inChannels - latentChannels) * height * width;
  const beside = isOfOne ? repeat(given, pictures) : given;
  return { conditional: { ...conditional, beside }, unconditional: { ...unconditional, beside } };
}

/** A denoiser that leaves alone what the start says must stay: the network sees it noisy, the sampler gets it clean. */
function keeping(denoise: Denoiser, { sigmas, keep }: Start): Denoiser {
  if (!keep) return denoise;
  const first = sigmas[0] as number;
  // At the first level the latent is the start itself.
  return async (x, sigma) => keep(await denoise(sigma < first ? keep(x, sigma) : x, sigma), 0);
}

/** The step that is being taken. */
interface Moment {
  /** What to call it in an error message. */
  readonly when: string;
  readonly controls: readonly NativeControl[];
}

/** Evaluates all conditions of all pictures in one batch: every picture under the first condition, then under the second. */
function predictTogether(networks: Networks, shape: Shape, now: () => Moment): PredictEach<Conditioning> {
  const [pictures, , height, width] = shape;
  return async (latent, timestep, conditions) => {
    const batch = conditions.length * pictures;
    const { when, controls } = now();
    const latents = concat(conditions.map(({ beside }) => (beside ? sideBySide(latent, beside, pictures) : latent)));
    const predictions = await networks.predict(
      latents,
      [batch, latents.length / (batch * height * width), height, width],
      new Float32Array(batch).fill(timestep),
      { ...batchOf(conditions, pictures), controls },
      when,
    );
    return conditions.map((_, i) => predictions.subarray(i * latent.length, (i + 1) * latent.length));
  };
}

/** Each latent with the channels that stand beside it. */
function sideBySide(latents: Float32Array, beside: Float32Array, pictures: number): Float32Array {
  const part = (all: Float32Array, i: number) =>
    all.subarray((i * all.length) / pictures, ((i + 1) * all.length) / pictures);
  return concat(Array.from({ length: pictures }, (_, i) => [part(latents, i), part(beside, i)]).flat());
}

/** Each condition as often as there are pictures. */
function batchOf(conditions: readonly Conditioning[], pictures: number): NativeCondition {
  const all = (part: (condition: Conditioning) => Float32Array | undefined) => {
    const parts = conditions.map(part).filter((values) => values !== undefined);
    return parts.length > 0 ? concat(parts.map((values) => repeat(values, pictures))) : undefined;
  };
  const vector = all((condition) => condition.vector);
  const guidance = all((condition) => condition.guidance);
  return {
    context: concat(conditions.map(({ context }) => repeat(context, pictures))),
    contextTokens: (conditions[0] as Conditioning).tokens,
    ...(vector && { vector }),
    ...(guidance && { guidance }),
  };
}

function repeat(values: Float32Array, times: number): Float32Array {
  return times === 1 ? values : concat(Array.from({ length: times }, () => values));
}

function concat(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** A sampler may be the user's own code: what it hands over need not be a latent. */
function checkLatent(latent: unknown, shape: Shape, name: string): Float32Array {
  const length = shape.reduce((a, b) => a * b);
  const isArray = latent instanceof Float32Array;
  if (isArray && latent.length === length) return latent;
  const received = isArray ? `one of ${latent.length}` : describe(latent);
  const code = isArray ? 'ERR_INVALID_ARG_VALUE' : 'ERR_INVALID_ARG_TYPE';
  throw argumentError([{ name, expected: `a Float32Array of ${length} numbers`, received, code }]);
}

function checkSigma(sigma: unknown): number {
  if (typeof sigma === 'number' && sigma > 0 && Number.isFinite(sigma)) return sigma;
  const code = typeof sigma === 'number' ? 'ERR_INVALID_ARG_VALUE' : 'ERR_INVALID_ARG_TYPE';
  const name = 'the sigma given to the denoiser';
  throw argumentError([{ name, expected: 'a finite number above 0', received: describe(sigma), code }]);
}
