// The fields of stable-diffusion.cpp's `img_gen` as options.

import { withoutUndefined } from '../core/values.ts';
import type { FieldNames } from './failure.ts';
import { Fields } from './fields.ts';
import { checkRuns, type ImageRequest } from './generation.ts';
import { imageBytes } from './given-images.ts';

/** What the API calls options. */
export const NAMES: FieldNames = {
  negativePrompt: 'negative_prompt',
  clipSkip: 'clip_skip',
  image: 'init_image',
  mask: 'mask_image',
  count: 'batch_count',
  controls: 'control_image',
  steps: 'sample_params.sample_steps',
  sampler: 'sample_params.sample_method',
  scheduler: 'sample_params.scheduler',
  eta: 'sample_params.eta',
  cfgScale: 'sample_params.guidance.txt_cfg',
  loras: 'lora',
  vae: 'vae',
  'hires.width': 'hires.target_width',
  'hires.height': 'hires.target_height',
  'hires.denoisingStrength': 'hires.denoising_strength',
};

/** @throws TypeError or RangeError for fields that mean nothing as they are. */
export function toImageRequest(body: Readonly<Record<string, unknown>>): ImageRequest {
  const fields = new Fields(body);
  const sampling = fields.object('sample_params');
  const guidance = sampling.object('guidance');
  const clipSkip = fields.number('clip_skip') ?? -1;
  const [image, mask] = (['init_image', 'mask_image'] as const).map((name) => {
    const value = fields.take(name);
    return value === undefined || value === '' ? undefined : imageBytes(value, name);
  });
  const sigmas = sampling.list('custom_sigmas');
  const task = image === undefined ? 'txt2img' : mask === undefined ? 'img2img' : 'inpaint';
  const strength = fields.take('strength');
  const hires = toHires(fields.object('hires'));
  const options = {
    prompt: fields.take('prompt'),
    negativePrompt: fields.take('negative_prompt'),
    ...{ width: fields.take('width'), height: fields.take('height'), seed: fields.take('seed') },
    ...{ image, mask, ...(image === undefined ? { hires } : { strength }) },
    clipSkip: clipSkip > 0 ? clipSkip : undefined,
    steps: sampling.take('sample_steps'),
    sampler: sampling.take('sample_method'),
    scheduler: sigmas.length > 0 ? sigmas : sampling.take('scheduler'),
    eta: sampling.take('eta'),
    cfgScale: guidance.take('txt_cfg'),
    loras: toLoras(fields.objects('lora')),
    controls: toControls(fields),
    vaeTiling: fields.object('vae_tiling_params').flag('enabled') ? true : undefined,
  };
  sampling.ignore('scheduler', 'flow_shift');
  sampling.refuse(['shifted_timestep'], 0);
  guidance.ignore('img_cfg', 'distilled_guidance');
  guidance.object('slg').refuse(['scale'], 0);
  fields.refuse(['ref_images', 'ip_adapter_image']);
  fields.refuse(['cache_mode'], 'disabled');
  fields.refuse(['output_format'], 'png');
  fields.ignore('output_compression', 'auto_resize_ref_image', 'increase_ref_index', 'ip_adapter_strength');
  fields.ignore('cache_option', 'scm_mask', 'scm_policy_dynamic');
  return {
    ...{ task, options: withoutUndefined(options), names: NAMES },
    runs: checkRuns(fields.take('batch_count'), 'batch_count'),
    ...{ model: fields.text('model'), vae: fields.text('vae') },
    withoutMetadata: fields.flag('embed_image_metadata') === false,
    unknown: fields.unknown(),
  };
}

function toHires(fields: Fields): object | undefined {
  const enabled = fields.flag('enabled') ?? false;
  const [width, height, steps] = ['target_width', 'target_height', 'steps'].map(
    (name) => fields.take(name) || undefined,
  );
  const scale = fields.take('scale');
  const hires = {
    ...(width === undefined && height === undefined ? { scale } : { width, height }),
    ...{ steps, upscaler: fields.take('upscaler'), denoisingStrength: fields.take('denoising_strength') },
  };
  fields.ignore('upscale_tile_size');
  if (enabled) fields.refuse(['custom_sigmas']);
  else fields.ignore('custom_sigmas');
  return enabled ? withoutUndefined(hires) : undefined;
}

function toLoras(entries: readonly Fields[]): object[] | undefined {
  const loras = entries.map((entry) => {
    entry.ignore('is_high_noise', 'name');
    const path = entry.text('path');
    if (path === undefined) throw entry.wrong('path', 'the name of a LoRA', path);
    return withoutUndefined({ path, weight: entry.take('multiplier') });
  });
  return loras.length > 0 ? loras : undefined;
}

/** `control_net` names the ControlNet, which stable-diffusion.cpp's server is started with. */
function toControls(fields: Fields): object[] | undefined {
  const [model, image] = [fields.text('control_net'), fields.take('control_image')];
  const strength = fields.take('control_strength');
  if (image === undefined || image === '') return undefined;
  if (model === undefined) throw fields.wrong('control_net', 'the name of a ControlNet with control_image', model);
  return [withoutUndefined({ model, image: imageBytes(image, 'control_image'), strength })];
}
