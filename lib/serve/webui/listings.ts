// What there is, in the web UI's lists: samplers, models, and the rest. Names of files only, never their paths.

import { freemem, totalmem } from 'node:os';
import { SAMPLER_NAMES } from '../../sampler/index.ts';
import { toMetadataName } from '../../sampler/names.ts';
import { SCHEDULER_NAMES } from '../../schedule/index.ts';
import { HIRES_UPSCALERS, hiresLabel } from '../../task/hires-upscalers.ts';
import type { Service } from '../service.ts';

/** Lists that are empty here. */
const EMPTY = ['hypernetworks', 'face-restorers', 'realesrgan-models', 'prompt-styles', 'extensions', 'script-info'];

/** The names of all lists. */
export const LISTS: readonly string[] = [
  ...['samplers', 'schedulers', 'sd-models', 'sd-vae', 'loras', 'embeddings', 'upscalers', 'latent-upscale-modes'],
  ...['cmd-flags', 'memory', 'scripts', ...EMPTY],
];

/** Each list under its name, as JSON. */
export function listings({ models, catalog }: Service): Readonly<Record<string, () => Promise<unknown>>> {
  return {
    samplers: async () =>
      SAMPLER_NAMES.map((name) => ({ name: toMetadataName.sampler(name), aliases: [name], options: {} })),
    schedulers: async () => ['automatic', ...SCHEDULER_NAMES].map(toScheduler),
    'sd-models': async () =>
      (await models.list()).map(({ name, file }) => ({
        // The npm client stable-diffusion-api looks for `name`.
        ...{ title: file, model_name: name, name, hash: null, sha256: null, filename: file, config: null },
      })),
    'sd-vae': async () => (await catalog.list('vae')).map(({ file }) => ({ model_name: file, filename: file })),
    loras: async () =>
      (await catalog.list('lora')).map(({ name, file }) => ({ name, alias: name, path: file, metadata: {} })),
    embeddings: async () => ({ loaded: await embeddings(), skipped: {} }),
    upscalers: async () => [
      ...['None', 'Lanczos'].map((name) => toUpscaler(name, null)),
      ...(await catalog.list('upscaler')).map(({ name, file }) => toUpscaler(name, file)),
    ],
    'latent-upscale-modes': async () =>
      HIRES_UPSCALERS.filter((name) => name.startsWith('latent')).map((name) => ({ name: hiresLabel(name) })),
    'cmd-flags': async () => ({ api: true, listen: false }),
    memory: async () => ({ ram: { free: freemem(), used: process.memoryUsage.rss(), total: totalmem() }, cuda: {} }),
    scripts: async () => ({ txt2img: [], img2img: [] }),
    ...Object.fromEntries(EMPTY.map((name) => [name, async () => []])),
  };

  async function embeddings(): Promise<object> {
    const found = await catalog.list('embedding');
    const nothing = { step: null, sd_checkpoint: null, sd_checkpoint_name: null, shape: null, vectors: null };
    return Object.fromEntries(found.map(({ name }) => [name.split('/').at(-1), nothing]));
  }
}

function toScheduler(name: string): object {
  const label = name === 'automatic' ? 'Automatic' : toMetadataName.scheduler(name);
  return { name, label, aliases: null, default_rho: -1, need_inner_model: false };
}

function toUpscaler(name: string, file: string | null): object {
  return { name, model_name: file && name, model_path: file, model_url: null, scale: 4 };
}
