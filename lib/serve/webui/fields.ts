// The fields of the web UI's `txt2img` and `img2img` as options.

import { argumentError, describe } from '../../core/errors.ts';
import { withoutUndefined } from '../../core/values.ts';
import { findSampler, findScheduler } from '../../sampler/names.ts';
import type { FieldNames } from '../failure.ts';
import { Fields } from '../fields.ts';
import { checkRuns, type ImageRequest } from '../generation.ts';
import { imageBytes } from '../given-images.ts';
import { toControls } from './controls.ts';
import type { ClientSettings } from './settings.ts';

/** What the web UI calls options. */
export const NAMES: FieldNames = {
  negativePrompt: 'negative_prompt',
  cfgScale: 'cfg_scale',
  batchSize: 'batch_size',
  count: 'batch_size x n_iter',
  sampler: 'sampler_name',
  clipSkip: 'override_settings.CLIP_stop_at_last_layers',
  model: 'override_settings.sd_model_checkpoint',
  vae: 'override_settings.sd_vae',
  tileable: 'tiling',
  image: 'init_images[0]',
  strength: 'denoising_strength',
  resizeMode: 'resize_mode',
  maskBlur: 'mask_blur',
  invertMask: 'inpainting_mask_invert',
  maskedContent: 'inpainting_fill',
  paddingMaskCrop: 'inpaint_full_res_padding',
  imageCfgScale: 'image_cfg_scale',
  controls: 'alwayson_scripts.ControlNet.args',
  'hires.scale': 'hr_scale',
  'hires.width': 'hr_resize_x',
  'hires.height': 'hr_resize_y',
  'hires.steps': 'hr_second_pass_steps',
  'hires.denoisingStrength': 'denoising_strength',
  'hires.upscaler': 'hr_upscaler',
  upscaler: 'hr_upscaler',
};

/** What the web UI samples with unless told otherwise. */
const DEFAULT_SAMPLER = 'Euler';
const RESIZE_MODES = ['stretch', 'fill', 'fit'] as const;
const MASKED_CONTENTS = ['fill', 'original', 'noise', 'nothing'] as const;
/** The web UI's defaults where this package has others. */
const MASK_BLUR = 4;

/** What the reply is to have. */
export interface ReplyWishes {
  readonly sendsImages: boolean;
  readonly savesImages: boolean;
  /** The name of the task, where the client gives one. */
  readonly taskId: string | undefined;
  /** What clients of later requests get, where this one's settings are to stay. */
  readonly keptSettings: Partial<ClientSettings> | undefined;
}

/** @throws TypeError or RangeError for fields that mean nothing as they are. */
export function toImageRequest(
  task: 'txt2img' | 'img2img',
  body: Readonly<Record<string, unknown>>,
  settings: ClientSettings,
): { readonly request: ImageRequest; readonly wishes: ReplyWishes } {
  const fields = new Fields(body);
  const overrides = fields.object('override_settings');
  const override = readOverrides(overrides);
  const { model = settings.model, clipSkip = settings.clipSkip } = override;
  const vae = overrides.take('sd_vae') === undefined ? settings.vae : override.vae;
  const given = task === 'img2img' ? readImages(fields) : { task: 'txt2img' as const, options: {} };
  const sampler = fields.text('sampler_name') || fields.text('sampler_index') || DEFAULT_SAMPLER;
  fields.ignore('sampler_index');
  const options = {
    prompt: fields.take('prompt') ?? '',
    negativePrompt: fields.take('negative_prompt'),
    ...{ width: fields.take('width'), height: fields.take('height'), seed: fields.take('seed') },
    ...{ steps: fields.take('steps'), cfgScale: fields.take('cfg_scale'), batchSize: fields.take('batch_size') },
    ...{ sampler, scheduler: readScheduler(fields, sampler), eta: fields.take('eta') },
    tileable: fields.flag('tiling'),
    clipSkip: clipSkip !== undefined && clipSkip > 1 ? clipSkip : undefined,
    ...given.options,
    ...(task === 'txt2img' ? readHires(fields) : {}),
    controls: toControls(fields.object('alwayson_scripts'), (given.options as { image?: Uint8Array }).image),
  };
  const imageCfgScale = fields.take('image_cfg_scale');
  refuseOthers(fields);
  const wishes: ReplyWishes = {
    sendsImages: fields.flag('send_images') ?? true,
    savesImages: fields.flag('save_images') ?? false,
    taskId: fields.text('force_task_id'),
    keptSettings: fields.flag('override_settings_restore_afterwards') === false ? override : undefined,
  };
  const runs = checkRuns(fields.take('n_iter'), 'n_iter');
  const request = {
    ...{ task: given.task, options: withoutUndefined(options), runs, names: NAMES },
    ...{ model, vae, imageCfgScale, unknown: fields.unknown() },
  };
  return { request, wishes };
}

/** Settings for one request. */
export function readOverrides(fields: Fields): Partial<ClientSettings> {
  const vae = fields.text('sd_vae');
  const model = fields.text('sd_model_checkpoint') || undefined;
  const clipSkip = fields.number('CLIP_stop_at_last_layers');
  // Without a VAE of its own a request takes that of the model.
  return { model, clipSkip, ...(vae === undefined || /^(|automatic|none)$/i.test(vae) ? {} : { vae }) };
}

/** Without a schedule the web UI takes the one that goes with the sampler, where there is one. */
function readScheduler(fields: Fields, sampler: string): string | undefined {
  const given = fields.text('scheduler');
  if (given) return given;
  const found = findSampler(sampler);
  return found && findScheduler('Automatic', found.sampler, found.scheduler) ? 'Automatic' : undefined;
}

function readHires(fields: Fields): Record<string, unknown> {
  const enabled = fields.flag('enable_hr') ?? false;
  const [width, height, steps] = ['hr_resize_x', 'hr_resize_y', 'hr_second_pass_steps'].map(
    (name) => fields.number(name) || undefined,
  );
  const [scale, strength] = [fields.take('hr_scale'), fields.take('denoising_strength')];
  const upscaler = fields.text('hr_upscaler');
  if (!enabled) return {};
  fields.refuse(['hr_prompt', 'hr_negative_prompt', 'hr_checkpoint_name', 'firstphase_width', 'firstphase_height'], 0);
  fields.refuse(['hr_sampler_name'], 'Use same sampler', fields.take('sampler_name'));
  fields.refuse(['hr_scheduler'], 'Use same scheduler', fields.take('scheduler'));
  const size = (width ?? height) === undefined ? { scale } : bothSides(fields, width, height);
  const hires = {
    ...size,
    ...{ steps, denoisingStrength: strength },
    upscaler: /^none$/i.test(upscaler ?? '') ? 'lanczos' : upscaler || undefined,
  };
  return { hires: withoutUndefined(hires) };
}

/** Of one side follows the other. */
function bothSides(fields: Fields, width: number | undefined, height: number | undefined): object {
  const [w, h] = [fields.number('width') ?? 1, fields.number('height') ?? 1];
  const multiple = (side: number) => Math.max(1, Math.round(side / 8)) * 8;
  return {
    width: width ?? multiple(((height as number) * w) / h),
    height: height ?? multiple(((width as number) * h) / w),
  };
}

function readImages(fields: Fields): { task: 'img2img' | 'inpaint'; options: Record<string, unknown> } {
  const [first, ...others] = fields.list('init_images');
  if (first === undefined || others.length > 0) {
    throw fields.wrong('init_images', 'a list of one image', fields.take('init_images'));
  }
  const image = imageBytes(first, 'init_images[0]');
  const mask = fields.take('mask') || undefined;
  const blur = ['mask_blur', 'mask_blur_x', 'mask_blur_y'].map((name) => fields.take(name));
  const [invert, whole] = [fields.flag('inpainting_mask_invert'), !(fields.flag('inpaint_full_res') ?? true)];
  const padding = fields.take('inpaint_full_res_padding') ?? 0;
  const maskedContent = choose(fields, 'inpainting_fill', MASKED_CONTENTS, 0);
  const resizeMode = choose(fields, 'resize_mode', RESIZE_MODES, 0);
  fields.ignore('mask_round', 'include_init_images');
  fields.refuse(['latent_mask']);
  fields.refuse(['initial_noise_multiplier', 'inpainting_mask_weight'], 1);
  const options = { image, strength: fields.take('denoising_strength'), resizeMode };
  if (mask === undefined) return { task: 'img2img', options };
  const maskOptions = {
    mask: imageBytes(mask, 'mask'),
    maskBlur: blur.find((one) => one !== undefined) ?? MASK_BLUR,
    ...{ invertMask: invert, maskedContent, paddingMaskCrop: whole ? undefined : padding },
  };
  return { task: 'inpaint', options: { ...options, ...maskOptions } };
}

/** One of several by its number. */
function choose<T>(fields: Fields, name: string, choices: readonly T[], fallback: number): T {
  const index = fields.number(name) ?? fallback;
  const chosen = choices[index];
  if (chosen !== undefined) return chosen;
  const expected = `0 to ${choices.length - 1}`;
  throw argumentError([{ name, expected, received: describe(index), code: 'ERR_INVALID_ARG_VALUE' }]);
}

/** Fields without effect, and those whose effect there is not. */
function refuseOthers(fields: Fields): void {
  fields.ignore('hr_scale', 'hr_prompt', 'hr_negative_prompt', 'hr_checkpoint_name', 'hr_sampler_name', 'hr_scheduler');
  fields.ignore('firstphase_width', 'firstphase_height', 'hr_upscaler', 'hr_resize_x', 'hr_resize_y', 'enable_hr');
  fields.ignore('hr_second_pass_steps', 'denoising_strength', 'do_not_save_samples', 'do_not_save_grid', 'subseed');
  fields.ignore('seed_enable_extras', 'use_refiner', 'infotext', 'comments');
  fields.refuse(['subseed_strength'], 0);
  fields.refuse(['seed_resize_from_h', 'seed_resize_from_w'], 0, -1);
  fields.refuse(['restore_faces', 'styles', 'script_name', 'script_args', 'firstpass_image']);
  fields.refuse(['disable_extra_networks', 'controlnet_units']);
  fields.refuse(['s_churn', 's_tmin', 's_min_uncond'], 0);
  fields.refuse(['s_tmax'], 0, Number.POSITIVE_INFINITY);
  fields.refuse(['s_noise'], 1);
  if (fields.text('refiner_checkpoint')?.toLowerCase() === 'none') fields.ignore('refiner_switch_at');
  else if (fields.take('refiner_checkpoint')) fields.refuse(['refiner_checkpoint']);
  else fields.ignore('refiner_switch_at');
}
