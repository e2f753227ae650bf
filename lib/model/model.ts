// An open model: loading it, asking it for images, giving it back.

import { createAbortController, throwIfAborted, untilAborted } from '../async/abort.ts';
import { SerialQueue } from '../async/queue.ts';
import { Run } from '../async/run.ts';
import type { TextModel } from '../conditioning/text-system.ts';
import { readControls } from '../control/controls.ts';
import { DiffusionError } from '../core/errors.ts';
import { reportMemory } from '../core/out-of-memory.ts';
import { EMBEDDED_MODEL } from '../core/package-files.ts';
import { Warnings, withWarnings } from '../core/warnings.ts';
import { DepthSource } from '../depth/depth-source.ts';
import { type Family, familyOf } from '../family/index.ts';
import type { Size } from '../image/resize.ts';
import { checkLoadOptions, type LoadOptions } from '../loading/load-options.ts';
import { openNative } from '../loading/open.ts';
import { checkSource, type ModelSource, modelName } from '../loading/source.ts';
import { type CheckedBudgets, limitsOf, type MemoryLimits } from '../memory/budget.ts';
import type { MemoryPlan, PlannedMemory } from '../memory/plan.ts';
import { callNative } from '../native/call.ts';
import type { LoadedModelInfo, NativeAddon, NativeModel, NativeProfileEntry } from '../native/contract.ts';
import { loadAddon } from '../native/load.ts';
import { Networks } from '../native/networks.ts';
import { OpenControlNets } from '../native/open-control-nets.ts';
import { TILE_MEMORY, type VaeTiling } from '../native/vae-tiling.ts';
import { type NoiseModel, type SigmaTable, tableOf } from '../noise-model/index.ts';
import { depth2img } from '../pipeline/depth2img.ts';
import { edit } from '../pipeline/edit.ts';
import { estimateRun, type MemoryEstimate, type WorkloadOptions } from '../pipeline/estimate.ts';
import { requireFit, requireLatentAlone } from '../pipeline/fit.ts';
import { generate, type SecondPass, type Task } from '../pipeline/generation.ts';
import { secondSteps } from '../pipeline/hires.ts';
import { img2img } from '../pipeline/img2img.ts';
import { inpaint } from '../pipeline/inpaint.ts';
import { latentScaleOf } from '../pipeline/latents.ts';
import { applyPlan, describePlan, workloadOf } from '../pipeline/memory.ts';
import { readPrompts } from '../pipeline/prompts.ts';
import { txt2img } from '../pipeline/txt2img.ts';
import { type SchedulerName, schedulerFor } from '../schedule/index.ts';
import { type CheckedGenerationOptions, type CheckedOptions, checkOptions, requireReaders } from '../task/check.ts';
import type { Depth2ImgOptions, EditOptions, Img2ImgOptions, InpaintOptions, Txt2ImgOptions } from '../task/options.ts';
import type { GenerationResult, GenerationStep } from '../task/result.ts';
import type { ModelLimits, TaskName } from '../task/task.ts';

/** True of most diffusers folders, so it is not a warning. */
const LEADING =
  "The scheduler's configuration spaces steps as 'leading', which leaves out the last of training; they begin with that, as `scheduler` says";

/** Bytes by which JavaScript grows in a run: compiled code, garbage. */
const SCRIPT_BYTES = 32 * 2 ** 20;

/** What an open model is, read from its tensors and metadata. */
export interface ModelInfo extends LoadedModelInfo {
  /** Name of its file without folder and extension, as image metadata gives it. */
  readonly name: string;
  /** Default size of its images, in pixels. */
  readonly defaultWidth: number;
  readonly defaultHeight: number;
  /**
   * Factor from VAE latents to those of the diffusion: 0.18215 for SD 1.x and 2.x, 0.13025 for SDXL, 0.3611 for
   * Z-Image, 1 with a tiny autoencoder as the VAE.
   */
  readonly scalingFactor: number;
  /**
   * Schedule of the samplers that have none of their own: `discrete`, what the scheduler's configuration asks for, or
   * `sgm_uniform` for Z-Image.
   */
  readonly defaultScheduler: SchedulerName;
}

/**
 * Opens a model.
 *
 * ```ts
 * await using model = await loadModel('v1-5-pruned-emaonly.safetensors');
 * const { images } = await model.txt2img({ prompt: 'a red apple', steps: 25 });
 * await images[0].save('apple.png');
 * ```
 *
 * @param source path of a model, or the paths of its parts. Default: {@link EMBEDDED_MODEL}.
 * @throws DiffusionError `ERR_FILE` if a file cannot be read; `ERR_MODEL_CORRUPT`, `ERR_MODEL_UNSUPPORTED`,
 *   `ERR_MODEL_INCOMPLETE` or `ERR_MODEL_MISMATCH` if it is not a sound and complete model; `ERR_NON_FINITE` if weights
 *   to be converted are NaN, infinite or too large; `ERR_OUT_OF_MEMORY`; `ERR_DEVICE`; `ERR_BINARY` if the native addon
 *   does not load.
 * @throws TypeError or RangeError for a wrong argument, with all problems in `problems`.
 * @throws `signal.reason` once the signal has fired.
 */
export async function loadModel(
  source: string | ModelSource = EMBEDDED_MODEL,
  options: LoadOptions = {},
): Promise<Model> {
  const addon = loadAddon();
  const { depthModel, ...files } = checkSource(source);
  const { types, prediction, zeroTerminalSnr, flowShift, memory, ...computing } = checkLoadOptions(options, addon);
  const base = process.memoryUsage.rss() + SCRIPT_BYTES;
  const warnings = new Warnings(computing.logger);
  const open = async () => {
    const opening = openNative(addon, { ...computing, logger: warnings }, (native) =>
      addon.open(files, { ...native, ...types, prediction, zeroTerminalSnr, flowShift }),
    );
    const native = await opening;
    try {
      const family = familyOf(native.info);
      const text = await family.text.open(addon, files, native.info);
      throwIfAborted(computing.signal);
      const info = describeModel(native.info, family, modelName(files));
      if (info.noise.spacing === 'leading') warnings.info(LEADING);
      const depth = new DepthSource(addon, { depthModel, model: files.model }, computing);
      return new Model(addon, native, text, info, depth, warnings, {
        budgets: memory,
        base,
        residency: computing.residency,
      });
    } catch (error) {
      await native.dispose();
      throw error;
    }
  };
  return reportMemory(withWarnings(warnings.tell, open));
}

/** Budgets of memory, if there are any, and bytes of the process before the model was loaded. */
interface Memory {
  readonly budgets: CheckedBudgets | undefined;
  readonly base: number;
  readonly residency: 'keep' | 'unload' | number;
}

/** A model in memory, on a thread of its own. Made by {@link loadModel}. */
export class Model implements AsyncDisposable {
  readonly info: ModelInfo;
  /** The noise that the model was trained with, as schedules and samplers take it. */
  readonly noiseModel: NoiseModel;
  readonly #addon: NativeAddon;
  readonly #native: NativeModel;
  readonly #family: Family;
  readonly #text: TextModel;
  readonly #queue = new SerialQueue();
  readonly #controlNets = new OpenControlNets();
  readonly #depth: DepthSource;
  readonly #warnings: Warnings;
  readonly #memory: Memory;
  readonly #disposal = createAbortController();

  /** @internal */
  constructor(
    addon: NativeAddon,
    native: NativeModel,
    text: TextModel,
    info: ModelInfo,
    depth: DepthSource,
    warnings: Warnings,
    memory: Memory,
  ) {
    this.#addon = addon;
    this.#native = native;
    this.#text = text;
    this.info = info;
    this.#family = familyOf(info);
    this.noiseModel = this.#family.noise(info);
    this.#depth = depth;
    this.#warnings = warnings;
    this.#memory = memory;
  }

  /**
   * The noise levels of a diffusion model.
   *
   * @deprecated `noiseModel.levels` are those of any model.
   * @throws DiffusionError `ERR_MODEL_UNSUPPORTED` for a flow model, which has no such table.
   */
  get sigmaTable(): SigmaTable {
    return tableOf(this.noiseModel);
  }

  /**
   * Generates images from text. Starts immediately; runs of one model follow each other in the order of their calls.
   *
   * ```ts
   * const run = model.txt2img({ prompt: 'a red apple', seed: 42 });
   * for await (const { index, total } of run) console.log(`${index + 1}/${total}`);
   * const { images, seed, timings } = await run;
   * ```
   *
   * @returns a run to await for its result or to iterate over its steps. It rejects with a TypeError or RangeError for
   *   wrong options, with all problems in `problems`; with `signal.reason` once the signal has fired; with a
   *   DiffusionError `ERR_NON_FINITE` where a network returns NaN or infinity, `ERR_OUT_OF_MEMORY`, `ERR_DEVICE`, or
   *   `ERR_DISPOSED`.
   */
  txt2img(options: Txt2ImgOptions): Run<GenerationStep, GenerationResult> {
    return this.#generate('txt2img', options, txt2img);
  }

  /**
   * Generates images from an image and text: noise is added to the image, then it is denoised, guided by the prompt.
   * Runs as {@link txt2img} does.
   *
   * ```ts
   * const { images } = await model.img2img({ image: 'sketch.png', prompt: 'a red apple', strength: 0.6 });
   * ```
   *
   * @returns a run, as {@link txt2img} does. It rejects with a DiffusionError `ERR_FILE` or `ERR_IMAGE` too where the
   *   image cannot be read, and `ERR_MISSING_PACKAGE` where it is JPEG or WebP and `sharp` is not installed.
   */
  img2img(options: Img2ImgOptions): Run<GenerationStep, GenerationResult> {
    return this.#generate('img2img', options, img2img);
  }

  /**
   * Regenerates a part of an image. The rest keeps every pixel. Runs as {@link txt2img} does.
   *
   * ```ts
   * const { images } = await model.inpaint({ image: 'fruit.png', mask: 'pear.png', prompt: 'a red apple' });
   * ```
   *
   * @returns a run, as {@link img2img} does.
   */
  inpaint(options: InpaintOptions): Run<GenerationStep, GenerationResult> {
    return this.#generate('inpaint', options, inpaint);
  }

  /**
   * Changes an image according to an instruction, with a model made for that (InstructPix2Pix: a UNet of 8 channels).
   * Runs as {@link txt2img} does.
   *
   * ```ts
   * const { images } = await model.edit({ image: 'harbour.png', prompt: 'make it winter' });
   * ```
   *
   * @returns a run, as {@link img2img} does.
   */
  edit(options: EditOptions): Run<GenerationStep, GenerationResult> {
    return this.#generate('edit', options, edit);
  }

  /**
   * Regenerates an image while keeping its depth, with a model made for that (Stable Diffusion 2 depth: a UNet of 5
   * channels). The depth is estimated by the network that such models include, unless it is given. Runs as {@link
   * txt2img} does.
   *
   * ```ts
   * const { images } = await model.depth2img({ image: 'room.png', prompt: 'a room of ice', strength: 0.9 });
   * ```
   *
   * @returns a run, as {@link img2img} does.
   */
  depth2img(options: Depth2ImgOptions): Run<GenerationStep, GenerationResult> {
    return this.#generate('depth2img', options, (checked, limits) => depth2img(checked, limits, this.#depth));
  }

  /**
   * Estimates the memory that a run of {@link txt2img} takes, in milliseconds. With a budget, the plan is that of the
   * run; without one, it is what `residency` says.
   *
   * ```ts
   * const { peaks } = await model.estimate({ width: 1024, height: 1024 });
   * console.log(peaks.process.bytes);
   * ```
   *
   * @returns rejects as {@link txt2img} does for wrong options, and with a DiffusionError `ERR_OUT_OF_MEMORY` if no
   *   plan keeps within the budget.
   */
  async estimate(options: WorkloadOptions = {}): Promise<MemoryEstimate> {
    const checked = checkOptions('txt2img', { prompt: '', ...options }, this.#modelLimits());
    const { signal } = this.#disposal;
    const estimating = this.#queue.run(signal, async () => {
      const networks = new Networks(this.#addon, this.#native, signal, this.#controlNets);
      networks.vaeTiling = vaeTilingOf(checked);
      const { width, height } = checked;
      const work = await workloadOf(networks, checked, { width, height });
      const { budgets, residency } = this.#memory;
      const kept: MemoryPlan = { residency: residency === 'unload' ? 'unload' : 'keep', stream: false };
      return estimateRun(networks, work, await this.#limits(), budgets ? undefined : kept);
    });
    return reportMemory(estimating);
  }

  /**
   * What the networks have cost since the model was loaded with the option `profile`: one entry for each network and
   * kind of operation, the most expensive first. `flop / seconds` is the rate of an operation that multiplies, `bytes /
   * seconds` the traffic of one that does not. Waits for a network that is being evaluated.
   *
   * ```ts
   * await using model = await loadModel('v1-5-pruned-emaonly.safetensors', { profile: true });
   * await model.txt2img({ prompt: 'a red apple', steps: 2 });
   * console.table(await model.profile());
   * ```
   *
   * @returns no entries without that option. Rejects with a DiffusionError `ERR_DISPOSED`.
   */
  async profile(): Promise<readonly NativeProfileEntry[]> {
    return callNative(this.#addon, this.#disposal.signal, () => this.#native.profile());
  }

  /**
   * Frees the open ControlNets once earlier runs are done. Those of a run's `controls` stay open after it, so that the
   * next run need not read them again; a run with other controls closes those that it does not use, and `dispose()`
   * frees all.
   */
  async unloadControlNets(): Promise<void> {
    const { signal } = this.#disposal;
    await this.#queue.run(signal, () => this.#controlNets.close());
  }

  /**
   * Starts a run.
   *
   * @param name of the method.
   * @param options as they were given, or as {@link checkOptions} returned them before the model was loaded.
   * @param prepare what the run does with them; it starts at once, while earlier runs still go on.
   */
  #generate<Name extends TaskName>(
    name: Name,
    options: unknown,
    prepare: (checked: CheckedOptions<Name>, limits: ModelLimits) => Promise<Task>,
  ): Run<GenerationStep, GenerationResult> {
    const limits = this.#modelLimits();
    let checked: CheckedOptions<Name> & CheckedGenerationOptions;
    try {
      checked = checkOptions(name, options, limits);
      requireFit(this.info, name);
      requireReaders({ info: this.info, family: this.#family }, checked);
      if (checked.hires) requireLatentAlone(this.info, 'hires');
    } catch (error) {
      return new Run([], () => Promise.reject(error));
    }
    return new Run([checked.signal, this.#disposal.signal], (signal, emit, finishing) =>
      this.#warnings.gather(async (inTurn) => {
        const networks = new Networks(this.#addon, this.#native, signal, this.#controlNets, checked.tileable);
        networks.vaeTiling = vaeTilingOf(checked);
        networks.onTile = checked.onTile;
        const task = untilAborted(prepare(checked, limits), signal);
        const prompts = untilAborted(readPrompts(this.#text, this.info, checked, signal), signal);
        const controls = untilAborted(readControls(checked.controls, task, this.#depth, signal), signal);
        const second = untilAborted(this.#prepareSecond(checked, signal), signal);
        const generation = this.#queue.run(signal, () =>
          inTurn(async () => {
            try {
              const memory = await this.#planMemory(networks, checked, (await task).size);
              const result = await generate(
                networks,
                { name: this.info.name, family: this.#family, noiseModel: this.noiseModel },
                checked,
                await prompts,
                await task,
                await controls,
                await second,
                { emit, finishing },
              );
              return memory ? { ...result, memory } : result;
            } finally {
              await networks.close();
            }
          }),
        );
        // An unreadable image or embedding is reported immediately, not when the run's turn comes.
        const [result] = await Promise.all([generation, task, prompts, controls, second]);
        return result;
      }),
    );
  }

  /** What options may be with this model. */
  #modelLimits(): ModelLimits {
    const { vaeScaleFactor, sideMultiple, tinyAutoencoder, textEncoders, defaultScheduler } = this.info;
    const { defaultWidth: width, defaultHeight: height } = this.info;
    const clips = textEncoders.filter(({ kind }) => kind !== 'qwen3');
    const textLayers = clips.length > 0 ? Math.min(...clips.map(({ layers }) => layers)) : 0;
    const clipSkip = textEncoders[0]?.clipSkip ?? 1;
    const { steps, cfgScale, sampler: defaultSampler = 'euler_a' } = this.#family;
    return {
      ...{ vaeScaleFactor, sideMultiple, tinyAutoencoder, textLayers, clipSkip, defaultScheduler, defaultSampler },
      ...{ width, height, steps, cfgScale },
    };
  }

  /** The most memory that a run may take now. */
  async #limits(): Promise<MemoryLimits> {
    const { budgets = new Map(), base } = this.#memory;
    const networks = Object.values(await this.#native.memory());
    const held = networks.reduce((sum, one) => sum + one.allocatedBytes + one.packedBytes + one.computeBytes, 0);
    return limitsOf(budgets, this.info.device, this.#addon.devices(), base, held);
  }

  /** Keeps a run within the budgets; says how. */
  async #planMemory(
    networks: Networks,
    options: CheckedGenerationOptions,
    size: Size,
  ): Promise<PlannedMemory | undefined> {
    if (!this.#memory.budgets) return undefined;
    const planned = await applyPlan(networks, await workloadOf(networks, options, size), await this.#limits());
    this.#warnings.info(describePlan(planned));
    return planned;
  }

  /** Prompts and controls of a second pass, where there is one. */
  async #prepareSecond(checked: CheckedGenerationOptions, signal: AbortSignal): Promise<SecondPass | undefined> {
    const { hires } = checked;
    if (!hires) return undefined;
    const options = { ...checked, steps: secondSteps(checked, hires) };
    const [prompts, controls] = await Promise.all([
      readPrompts(this.#text, this.info, options, signal),
      readControls(checked.controls, Promise.resolve({ size: hires.size }), this.#depth, signal),
    ]);
    return { prompts, controls };
  }

  /**
   * Ends what runs and what waits with `ERR_DISPOSED` and frees all memory; resolves when it is free. May be called at
   * any moment and any number of times; `await using` calls it at the end of its block.
   */
  async dispose(): Promise<void> {
    this.#disposal.abort(new DiffusionError('ERR_DISPOSED', 'The model was disposed of. Load it again to use it'));
    await Promise.all([this.#native.dispose(), this.#depth.dispose()]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}

function vaeTilingOf({ vaeTiling, vaeTileSize: side }: CheckedGenerationOptions): VaeTiling {
  const when = vaeTiling === 'auto' ? 'auto' : vaeTiling ? 'always' : 'never';
  return { when, side, memory: TILE_MEMORY };
}

function describeModel(info: LoadedModelInfo, family: Family, name: string): ModelInfo {
  // The resolution that the model was trained for, `512x512`, as the ModelSpec metadata standard of safetensors files
  // writes it.
  const [, width, height] = /^(\d{1,5})x(\d{1,5})$/.exec(info.metadata['modelspec.resolution'] ?? '') ?? [];
  const fallback = family.side(info);
  const side = (pixels: string | undefined) =>
    Math.max(1, Math.round(Number(pixels ?? fallback) / info.sideMultiple)) * info.sideMultiple;
  const defaultScheduler = family.scheduler ?? schedulerFor(info.noise.spacing);
  const { scale: scalingFactor } = latentScaleOf(info);
  return { ...info, name, scalingFactor, defaultScheduler, defaultWidth: side(width), defaultHeight: side(height) };
}
