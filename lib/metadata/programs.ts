// Generation parameters that programs write as a flat JSON object: SwarmUI, Fooocus, InvokeAI, NovelAI and others of
// their kind.

import type { StatedValues } from '../task/stated.ts';
import { comfySampler } from './comfyui.ts';
import { asObject, type JsonObject, own, scalar, scalarsOf } from './json.ts';
import type { Statement } from './statement.ts';

/** What a program states, besides what is the same for all of them. */
interface Reading {
  readonly software: string;
  /** The object that holds the values. */
  readonly object: JsonObject;
  readonly prompt: unknown;
  readonly negativePrompt: unknown;
  readonly values: StatedValues;
  /** Settings that change the image and that nothing here follows. */
  readonly notFollowed: RegExp;
}

/** SwarmUI states only what was chosen; its own choice of sampler and schedule is that of its backend ComfyUI. */
export function readSwarmUi(raw: string, data: JsonObject): Statement | undefined {
  const object = asObject(own(data, 'sui_image_params'));
  if (!object) return undefined;
  const get = (key: string) => scalar(object, key);
  const version = get('swarm_version');
  const layer = Number(get('clipstopatlayer'));
  const seamless = { true: true, 'x-only': 'x', 'y-only': 'y' } as const;
  return statement(raw, {
    software: version === undefined ? 'SwarmUI' : `SwarmUI ${version}`,
    object,
    prompt: get('prompt'),
    negativePrompt: get('negativeprompt'),
    values: {
      ...{ steps: get('steps'), cfgScale: get('cfgscale'), seed: get('seed'), model: get('model') },
      ...{ width: get('width'), height: get('height') },
      sampler: comfySampler(get('sampler') ?? 'euler'),
      scheduler: get('scheduler') ?? 'normal',
      clipSkip: layer < 0 ? -layer : undefined,
      tileable: seamless[String(get('seamlesstileable')).toLowerCase() as keyof typeof seamless],
      strength: get('initimage') === undefined ? undefined : get('initimagecreativity'),
      rng: 'cpu',
    },
    notFollowed: /^(variationseed|loras|refiner|controlnet|freeu|sigma|shiftedlatent|useipadapter|vae$)/,
  });
}

/** Fooocus, and those that write the same under names of their own. */
export function readFooocus(raw: string, data: JsonObject, scheme: string | undefined): Statement | undefined {
  // Older ones write labels, `Negative Prompt`.
  const object = Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key.trim().toLowerCase().replaceAll(' ', '_'), value]),
  );
  const get = (...keys: string[]) => keys.map((key) => scalar(object, key)).find((value) => value !== undefined);
  const isFooocus = scheme !== undefined || get('metadata_scheme', 'adm_guidance', 'performance') !== undefined;
  const sampler = get('sampler', 'sampler_name');
  if (!isFooocus && (get('prompt') === undefined || (sampler === undefined && get('seed') === undefined)))
    return undefined;
  const [, width, height] = /^\D*(\d+)\s*[,x×]\s*(\d+)\D*$/.exec(String(get('resolution'))) ?? [];
  const version = get('software', 'version');
  return statement(raw, {
    software: typeof version === 'string' ? version : isFooocus ? 'Fooocus' : 'a program that is unknown here',
    object,
    prompt: get('prompt'),
    negativePrompt: get('negative_prompt', 'negative'),
    values: {
      steps: get('steps', 'num_inference_steps'),
      cfgScale: get('guidance_scale', 'cfg', 'cfg_scale'),
      seed: get('seed'),
      sampler: comfySampler(sampler),
      scheduler: get('scheduler'),
      model: get('base_model', 'base_model_name', 'model'),
      clipSkip: get('clip_skip'),
      width: width ?? get('width'),
      height: height ?? get('height'),
      ...(isFooocus && { rng: 'cpu' }),
    },
    notFollowed:
      /^(styles|prompt_expansion|sharpness|adm_guidance|adaptive_cfg|freeu|refiner_model|loras|lora_(combined_)?\d+|use_lora)$/,
  });
}

/** InvokeAI from version 3 on. Its scheduler is what others call the sampler. */
export function readInvokeAi(raw: string, object: JsonObject): Statement {
  const get = (key: string) => scalar(object, key);
  const model = asObject(own(object, 'model'));
  const skipped = Number(get('clip_skip'));
  const [x, y] = [get('seamless_x') === true, get('seamless_y') === true];
  return statement(raw, {
    software: versioned('InvokeAI', get('app_version')),
    object,
    prompt: get('positive_prompt'),
    negativePrompt: get('negative_prompt'),
    values: {
      ...{ steps: get('steps'), cfgScale: get('cfg_scale'), seed: get('seed'), sampler: get('scheduler') },
      ...{ width: get('width'), height: get('height'), cfgRescale: get('cfg_rescale_multiplier') },
      model: scalar(model, 'name') ?? scalar(model, 'model_name'),
      // It counts the layers that are left out.
      clipSkip: skipped > 0 ? skipped + 1 : undefined,
      tileable: x && y ? true : x ? 'x' : y ? 'y' : undefined,
      strength: /img2img|inpaint/.test(String(get('generation_mode'))) ? get('strength') : undefined,
      rng: get('rand_device') ?? 'cpu',
    },
    notFollowed: /^(loras|controlnets|control_layers|ipAdapters|t2iAdapters|refiner_model|hrf_enabled|vae)$/,
  });
}

/** InvokeAI 2: the negative prompt stands in brackets within the prompt. */
export function readInvokeAi2(raw: string, data: JsonObject): Statement | undefined {
  const object = asObject(own(data, 'image'));
  if (!object) return undefined;
  const get = (key: string) => scalar(object, key);
  const parts = own(object, 'prompt');
  const texts = Array.isArray(parts) ? parts.map((part) => own(asObject(part), 'prompt')) : [parts];
  const whole = texts.filter((text) => typeof text === 'string').join(' ');
  const negative = [...whole.matchAll(/\[([^[\]]*)\]/g)].map(([, text]) => text).join(' ');
  return statement(raw, {
    software: versioned('InvokeAI', scalar(data, 'app_version')),
    object,
    prompt: whole.replace(/\[[^[\]]*\]/g, '').trim(),
    negativePrompt: negative,
    values: {
      ...{ steps: get('steps'), cfgScale: get('cfg_scale'), seed: get('seed'), sampler: get('sampler') },
      ...{ width: get('width'), height: get('height'), model: scalar(data, 'model_weights') },
      tileable: get('seamless') === true ? true : undefined,
      strength: get('type') === 'img2img' ? get('strength') : undefined,
    },
    notFollowed: /^(threshold|perlin|hires_fix|postprocessing|variations)$/,
  });
}

/** NovelAI. The models are its own, and so is what braces around words do. */
export function readNovelAi(raw: string, object: JsonObject, description: string | undefined): Statement {
  const get = (key: string) => scalar(object, key);
  return statement(raw, {
    software: 'NovelAI',
    object,
    prompt: get('prompt') ?? description,
    negativePrompt: get('uc'),
    values: {
      ...{ steps: get('steps'), cfgScale: get('scale'), seed: get('seed'), sampler: get('sampler') },
      ...{ width: get('width'), height: get('height'), cfgRescale: get('cfg_rescale') },
      scheduler: get('noise_schedule'),
      strength: /Img2Img|Infill/i.test(String(get('request_type'))) ? get('strength') : undefined,
    },
    notFollowed: /^(sm|sm_dyn|dynamic_thresholding|controlnet_model|skip_cfg_above_sigma|reference_.*)$/,
  });
}

function statement(raw: string, { software, object, prompt, negativePrompt, values, notFollowed }: Reading): Statement {
  const others = Object.entries(object).filter(([key, value]) => notFollowed.test(key) && isSet(value));
  const names = others.map(([key]) => key).join(', ');
  return {
    software,
    raw,
    prompt: typeof prompt === 'string' ? prompt : '',
    negativePrompt: typeof negativePrompt === 'string' ? negativePrompt : '',
    values,
    fields: scalarsOf(object),
    warnings: names ? [`The image was generated with what is not followed here: ${names}`] : [],
  };
}

/** Whether a setting is on. */
function isSet(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  return Boolean(value) && !['0', 'false', 'None', 'none', '[]'].includes(value as string);
}

function versioned(name: string, version: unknown): string {
  return typeof version === 'string' ? `${name} ${version}` : name;
}
