// Sampling: from initial latents to denoised ones, with noise, schedule, guided network and sampler.

import { types } from 'node:util';
import type { ControlsAt } from '../control/controls.ts';
import { concat, repeat } from '../core/arrays.ts';
import { argumentError, describe } from '../core/errors.ts';
import {
  type Conditions,
  denoiserFor,
  type Guided,
  guide,
  NO_GUIDANCE,
  type Predict,
  type PredictEach,
} from '../guidance/index.ts';
import type { LoadedModelInfo } from '../native/contract.ts';
import { type Condition, type ControlImage, type Networks, requireFinite, type Shape } from '../native/networks.ts';
import { type NoiseModel, tableOf } from '../noise-model/index.ts';
import { createBatchNoise } from '../rng/index.ts';
import type { Denoiser, SamplerContext, SamplerStep } from '../sampler/index.ts';
import { SCHEDULERS } from '../schedule/index.ts';
import type { CheckedGenerationOptions } from '../task/check.ts';
import type { Conditioning } from './conditioning.ts';
import type { EarlyEnd, Sampled } from './early-end.ts';
import type { InitialLatents, MakeInitialLatents } from './initial-latents.ts';
import { guidanceOf } from './prompts.ts';

/**
 * Generates latents.
 *
 * @param noiseModel the noise that the model was trained with.
 * @param shape of the latents.
 * @param conditionsAt the UNet's conditions at an evaluation, counted from 0.
 * @param makeInitialLatents creates the latents that sampling starts from.
 * @param controlsAt the ControlNets of each step.
 * @param onStep called after each step with the noise level that it has reached, and awaited.
 * @param end may end sampling early.
 * @returns latents of `shape`, free of noise.
 * @throws TypeError or RangeError if a custom sampler returns anything other than such latents.
 */
export async function sampleLatents(
  networks: Networks,
  noiseModel: NoiseModel,
  options: CheckedGenerationOptions,
  shape: Shape,
  conditionsAt: (evaluation: number) => Guided<Conditioning>,
  makeInitialLatents: MakeInitialLatents,
  controlsAt: ControlsAt,
  onStep: (step: SamplerStep, sigma: number) => Promise<void>,
  end: EarlyEnd,
): Promise<Sampled> {
  const { scheduler, eta } = options;
  const schedule = typeof scheduler === 'string' ? SCHEDULERS[scheduler](options.steps, noiseModel.levels) : scheduler;
  const restart = () => {
    const source = createBatchNoise(options.rng, options.seed, options.batchSize);
    return () => source.normal(shape.reduce((a, b) => a * b));
  };
  checkLevels(schedule, noiseModel);
  const noise = restart();
  const initial = makeInitialLatents(schedule, { next: noise, restart }, noiseModel);
  const { sigmas } = initial;
  if (sigmas.length === 1) return { latent: initial.latent, early: false };

  const total = sigmas.length - 1;
  const progress = new Progress(options.sampler.evaluationsPerStep);
  const predictEach = predictTogether(networks, shape, end.signal, () => ({
    when: `step ${progress.finished + 1} of ${total}`,
    controls: controlsAt(progress.finished, total),
  }));
  const [firstGuided, endGuided] = options.guidanceInterval.map((share) => Math.floor(share * total)) as [
    number,
    number,
  ];
  const predict: Predict = (latent, timestep) => {
    const conditions = allConditions(withConcatChannels(conditionsAt(progress.next()), initial, networks.info, shape));
    const guided = progress.finished >= firstGuided && progress.finished < endGuided;
    const guidance = guided ? guidanceOf(networks.info, options) : NO_GUIDANCE;
    return guide(predictEach, conditions, guidance, options.batchSize)(latent, timestep);
  };
  const denoise = keeping(denoiserFor(predict, noiseModel), initial);
  const context: SamplerContext = {
    noise,
    noiseModel,
    get table() {
      return tableOf(noiseModel);
    },
    ...(eta === undefined ? {} : { eta }),
    onStep: async (step) => {
      end.signal.throwIfAborted();
      const latent = checkLatent(step?.latent, shape, 'the latent of a step of sampler');
      const denoised = checkLatent(step.denoised, shape, 'the denoised latent of a step of sampler');
      progress.finish(step.index + 1);
      await onStep({ ...step, latent, denoised }, sigmas[step.index + 1] ?? 0);
      end.reached(denoised, step.index + 1 >= total);
    },
  };
  const { latent: given, early } = await end.settle(() =>
    options.sampler.sampler(
      async (x, sigma) => denoise(checkLatent(x, shape, 'the latent given to the denoiser'), checkSigma(sigma)),
      initial.latent,
      sigmas,
      context,
    ),
  );
  const latent = checkLatent(given, shape, 'the result of sampler');
  return { latent: requireFinite(initial.keep?.clean(latent) ?? latent, 'the sampler'), early };
}

/** Custom levels may exceed those of the model: above pure noise, alpha is negative. */
function checkLevels(sigmas: Float64Array, noiseModel: NoiseModel): void {
  const [first = 0] = sigmas;
  if (noiseModel.alpha(first) >= 0) return;
  const expected = `noise levels up to ${noiseModel.levels.sigmaMax}, which is pure noise for this model,`;
  throw argumentError([{ name: 'scheduler', expected, received: `${first}`, code: 'ERR_INVALID_ARG_VALUE' }]);
}

/** All conditions that guidance may use. */
function allConditions({ conditional, unconditional }: Guided<Conditioning>): Conditions<Conditioning> {
  const { concatChannels } = unconditional;
  return {
    conditional,
    unconditional,
    unconditionalImage: concatChannels
      ? { ...unconditional, concatChannels: new Float32Array(concatChannels.length) }
      : unconditional,
    perturbed: { ...conditional, identityAttention: true },
  };
}

/**
 * Adds the extra channels of the initial latents to the conditions. Those of a single image are repeated for the batch.
 */
function withConcatChannels(
  { conditional, unconditional }: Guided<Conditioning>,
  { concatChannels: given }: InitialLatents,
  { inChannels, latentChannels }: LoadedModelInfo,
  [images, , height, width]: Shape,
): Guided<Conditioning> {
  if (!given) return { conditional, unconditional };
  const isSingle = given.length === (inChannels - latentChannels) * height * width;
  const concatChannels = isSingle ? repeat(given, images) : given;
  return { conditional: { ...conditional, concatChannels }, unconditional: { ...unconditional, concatChannels } };
}

/** A denoiser that preserves the part of the initial latents to keep. */
function keeping(denoise: Denoiser, { sigmas, keep }: InitialLatents): Denoiser {
  if (!keep) return denoise;
  const { clean, noisy } = keep;
  const first = sigmas[0] as number;
  // At the first level the latent is the initial latent itself.
  return async (x, sigma) => clean(await denoise(noisy && sigma < first ? noisy(x, sigma) : x, sigma));
}

/** The step in progress. */
interface CurrentStep {
  /** Its name in error messages. */
  readonly when: string;
  readonly controls: readonly ControlImage[];
}

/**
 * The progress of a run. Evaluations are numbered; each step has as many numbers as the sampler makes evaluations per
 * step.
 */
class Progress {
  /** Number of finished steps. */
  finished = 0;
  readonly #perStep: number;
  #inStep = 0;

  constructor(perStep: number) {
    this.#perStep = perStep;
  }

  /**
   * The next evaluation's number, from 0. If a custom sampler makes more evaluations, they all have the step's last
   * number.
   */
  next(): number {
    return this.finished * this.#perStep + Math.min(this.#inStep++, this.#perStep - 1);
  }

  finish(finished: number): void {
    this.finished = finished;
    this.#inStep = 0;
  }
}

/**
 * Evaluates all conditions of all images in one batch: every image with the first condition, then with the second, and
 * so on. The perturbed network is a different graph, so it has a batch of its own, and so have texts of other lengths.
 */
function predictTogether(
  networks: Networks,
  shape: Shape,
  signal: AbortSignal,
  current: () => CurrentStep,
): PredictEach<Conditioning> {
  const predict = predictBatch(networks, shape, signal, current);
  return async (latent, timestep, conditions) => {
    const kindOf = ({ identityAttention, tokens }: Conditioning) => `${identityAttention ?? false} ${tokens}`;
    const predictions = new Map<Conditioning, Float32Array>();
    for (const kind of new Set(conditions.map(kindOf))) {
      const alike = conditions.filter((condition) => kindOf(condition) === kind);
      const predicted = await predict(latent, timestep, alike);
      for (const [i, condition] of alike.entries()) predictions.set(condition, predicted[i] as Float32Array);
    }
    return conditions.map((condition) => predictions.get(condition) as Float32Array);
  };
}

function predictBatch(
  networks: Networks,
  shape: Shape,
  signal: AbortSignal,
  current: () => CurrentStep,
): PredictEach<Conditioning> {
  const [images, , height, width] = shape;
  return async (latent, timestep, conditions) => {
    const batch = conditions.length * images;
    const { when, controls } = current();
    const latents = concat(
      conditions.map(({ concatChannels }) => (concatChannels ? sideBySide(latent, concatChannels, images) : latent)),
    );
    const all = batchOf(conditions, images);
    const channels = latents.length / (batch * height * width);
    const predictions: Float32Array[] = [];
    for (let start = 0; start < batch; start += networks.together) {
      const count = Math.min(networks.together, batch - start);
      const rows = <Values extends Float32Array | undefined>(values: Values) =>
        values?.subarray((start * values.length) / batch, ((start + count) * values.length) / batch) as Values;
      const part = { ...all, context: rows(all.context), vector: rows(all.vector), guidance: rows(all.guidance) };
      predictions.push(
        await networks.predict(
          rows(latents),
          [count, channels, height, width],
          new Float32Array(count).fill(timestep),
          { ...part, controls },
          when,
          signal,
        ),
      );
    }
    const [first] = predictions;
    const predicted = predictions.length === 1 ? (first as Float32Array) : concat(predictions);
    return conditions.map((_, i) => predicted.subarray(i * latent.length, (i + 1) * latent.length));
  };
}

/** Each latent followed by its extra channels. */
function sideBySide(latents: Float32Array, concatChannels: Float32Array, images: number): Float32Array {
  const part = (all: Float32Array, i: number) =>
    all.subarray((i * all.length) / images, ((i + 1) * all.length) / images);
  return concat(Array.from({ length: images }, (_, i) => [part(latents, i), part(concatChannels, i)]).flat());
}

/** Each condition repeated for all images. */
function batchOf(conditions: readonly Conditioning[], images: number): Condition {
  const all = (part: (condition: Conditioning) => Float32Array | undefined) => {
    const parts = conditions.map(part).filter((values) => values !== undefined);
    return parts.length > 0 ? concat(parts.map((values) => repeat(values, images))) : undefined;
  };
  const vector = all((condition) => condition.vector);
  const guidance = all((condition) => condition.guidance);
  return {
    context: concat(conditions.map(({ context }) => repeat(context, images))),
    contextTokens: (conditions[0] as Conditioning).tokens,
    ...(conditions[0]?.identityAttention && { identityAttention: true }),
    ...(vector && { vector }),
    ...(guidance && { guidance }),
  };
}

/** A sampler may be the user's own code, so what it returns need not be a latent. */
function checkLatent(latent: unknown, shape: Shape, name: string): Float32Array {
  const length = shape.reduce((a, b) => a * b);
  const isArray = types.isFloat32Array(latent);
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
