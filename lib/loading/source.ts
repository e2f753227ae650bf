// The paths of a model's files.

import { basename } from 'node:path';
import type { NativeSource } from '../native/contract.ts';
import { OptionCheck } from '../options/check.ts';

/**
 * The files of a model: safetensors files, indexes of shards (`*.index.json`), GGUF files, PyTorch checkpoints
 * (`.ckpt`, `.pt`, `.pth`, `.bin`; read as data, no code in them is run), or diffusers folders. A part given on its own
 * replaces that of `model`; at least one path must be given.
 */
export interface ModelSource {
  /** A complete model. */
  model?: string | undefined;
  /** The denoiser: a UNet, or the transformer of Z-Image. */
  unet?: string | undefined;
  textEncoder?: string | undefined;
  /** The second text encoder of SDXL (OpenCLIP bigG); the only one of its refiner. */
  textEncoder2?: string | undefined;
  /** The language model that is the text encoder of Z-Image: Qwen3-4B. */
  llm?: string | undefined;
  /** A VAE, or a tiny autoencoder in its place (TAESD, by madebyollin): fast, with less detail. */
  vae?: string | undefined;
  /** A tiny autoencoder in addition to the VAE, for previews (`preview: 'tae'`). */
  taesd?: string | undefined;
  /**
   * A network that estimates depth for {@link Model.depth2img}, see {@link loadDepthEstimator}. Default: the one that
   * depth models include. It is opened when first needed.
   */
  depthModel?: string | undefined;
}

const PARTS: readonly (keyof NativeSource)[] = ['model', 'unet', 'textEncoder', 'textEncoder2', 'llm', 'vae', 'taesd'];

/** @throws TypeError or RangeError if `source` is neither a path nor a {@link ModelSource}. */
export function checkSource(source: unknown): NativeSource & Pick<ModelSource, 'depthModel'> {
  const check = new OptionCheck(
    typeof source === 'string' ? { model: source } : source,
    [...PARTS, 'depthModel'],
    'source',
    'a path or an object',
  );
  const given = PARTS.filter((part) => check.value(part) !== undefined);
  const paths = given.map((part) => [part, check.path(part)] as const);
  const depthModel = check.value('depthModel') === undefined ? {} : { depthModel: check.path('depthModel') };
  check.done();
  if (given.length === 0) {
    check.problem({ name: 'model', expected: 'the path of a model', received: 'none' });
    check.done();
  }
  return { ...Object.fromEntries(paths), ...depthModel };
}

/** Extensions of model files. Another dot may be part of a name, as in the folder `sd-1.5`. */
const EXTENSION = /(\.safetensors|\.gguf|\.sft|\.ckpt|\.pth?|\.bin)?(\.index\.json)?$/i;

/** A name for the model in image metadata: that of its file or folder without the extension. */
export function modelName({ model, unet }: NativeSource): string {
  return basename(model ?? unet ?? '').replace(EXTENSION, '');
}
