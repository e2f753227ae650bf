// The web UI's replies: images, what is known of them, and failures.

import { PACKAGE_VERSION } from '../../core/version.ts';
import { toMetadataName } from '../../sampler/names.ts';
import type { CheckedGenerationOptions } from '../../task/check.ts';
import { type Failure, STATUS } from '../failure.ts';
import type { ImagesResult, PreparedRequest } from '../generation.ts';

/** Fields of a request that would make the reply as large again. */
const LARGE = ['init_images', 'mask', 'alwayson_scripts'];

/** What a reply says of a request: its fields. */
export function parametersOf(body: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return { ...body, ...Object.fromEntries(LARGE.filter((name) => name in body).map((name) => [name, null])) };
}

/** Everything that is known of the images, as JSON in a text. */
export function infoOf({ images, model, seed }: ImagesResult, { checked, vae, task }: PreparedRequest): string {
  const { prompt, negativePrompt, cfgScale, steps, batchSize, clipSkip, hires } = checked;
  const first = images[0];
  const all = <T>(value: T) => images.map(() => value);
  const number = (value: number | bigint) => Number(value);
  const seeds = images.map((image) => number(image.seed));
  const strength = (checked as CheckedGenerationOptions & { readonly strength?: number }).strength;
  return JSON.stringify({
    ...{ prompt: prompt.raw, all_prompts: all(prompt.raw) },
    ...{ negative_prompt: negativePrompt.raw, all_negative_prompts: all(negativePrompt.raw) },
    ...{ seed: number(seed), all_seeds: seeds, subseed: number(seed), all_subseeds: seeds, subseed_strength: 0 },
    ...{
      width: first?.width,
      height: first?.height,
      sampler_name: toMetadataName.sampler(checked.sampler.samplerName),
    },
    ...{ cfg_scale: cfgScale, steps, batch_size: batchSize, restore_faces: false, face_restoration_model: null },
    ...{ sd_model_name: model, sd_model_hash: null, sd_vae_name: vae ?? null, sd_vae_hash: null },
    ...{ seed_resize_from_w: -1, seed_resize_from_h: -1 },
    denoising_strength: hires?.denoisingStrength ?? strength ?? null,
    ...{ extra_generation_params: {}, index_of_first_image: 0, infotexts: images.map(({ text }) => text), styles: [] },
    ...{ job_timestamp: timestamp(new Date()), clip_skip: clipSkip },
    ...{ is_using_inpainting_conditioning: task === 'inpaint', version: `node-diffusion ${PACKAGE_VERSION}` },
  });
}

/** As in `20260102030405`. */
export function timestamp(date: Date): string {
  return date.toISOString().replace(/\D/g, '').slice(0, 14);
}

/** The names of methods, for which the web UI's status is that of things that are not there. */
const METHODS: ReadonlySet<string> = new Set(['sampler_name', 'scheduler']);

export function webuiError({ kind, code, message, problems }: Failure): { status: number; body: object } {
  const unknown = kind === 'invalid' && problems.length > 0 && problems.every(({ name }) => METHODS.has(name));
  const status = unknown ? 404 : kind === 'invalid' ? 422 : STATUS[kind];
  return { status, body: { error: code, detail: message, body: '', errors: message } };
}
