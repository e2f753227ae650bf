// A program that uses the public types, to be compiled and not run: test/public-types.test.ts. Each expected error is one that misuse must have.

import {
  type ControlOptions,
  canny,
  DiffusionError,
  type DiffusionErrorCode,
  type EMBEDDED_MODEL,
  type GenerationResult,
  type GenerationStep,
  inspectModel,
  listDevices,
  loadDepthEstimator,
  loadModel,
  type loadUpscaler,
  type Model,
  type RawImage,
  type RgbImage,
  type Run,
  readMetadata,
  type SAMPLERS,
  type Sampler,
  type SamplerName,
  type SCHEDULERS,
  type SchedulerName,
  type Txt2ImgOptions,
} from 'node-diffusion';
import { createHandler, type Handler, type LogEntry, type Server, serve } from 'node-diffusion/serve';

/** Whether two types are the same, and neither is `any`. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function same<A, B>(yes: Same<A, B>): void;

// Loading
await using model = await loadModel();
same<typeof model, Model>(true);
await loadModel({ unet: 'unet.gguf', vae: 'vae.safetensors' }, { device: 'cpu', threads: 4, prediction: 'v' });
same<typeof EMBEDDED_MODEL, string>(true);
// @ts-expect-error: no such part
loadModel({ unet: 'unet.gguf', encoder: 'text.gguf' });
// @ts-expect-error: a number
loadModel('model.gguf', { threads: 'all' });
// @ts-expect-error: models are made by loadModel
({}) satisfies Model;

// Generating
const run = model.txt2img({ prompt: 'a cat', width: 64, height: 64, sampler: 'euler', scheduler: 'karras', seed: 1n });
same<typeof run, Run<GenerationStep, GenerationResult>>(true);
for await (const step of run) {
  same<typeof step.latent, Float32Array>(true);
  // @ts-expect-error: a preview is made only where it is asked for
  step.preview.save('preview.png');
}
const { images, seed, timings, warnings } = await run;
same<typeof images, readonly RgbImage[]>(true);
same<typeof seed, number | bigint>(true);
same<typeof timings.total, number>(true);
same<typeof warnings, readonly string[]>(true);
const [image] = images as readonly [RgbImage];
same<Awaited<ReturnType<typeof image.png>>, Buffer>(true);
await image.save('cat.webp', { quality: 90 });
// @ts-expect-error: results are read-only
images.push(image);
// @ts-expect-error: a prompt is needed
model.txt2img({ steps: 20 });
// @ts-expect-error: a misspelled option
model.txt2img({ prompt: 'a cat', cfgscale: 7 });
// @ts-expect-error: text has no strength
model.txt2img({ prompt: 'a cat', strength: 0.5 });

// Names of other programs are accepted as well, ours are completed.
const options: Txt2ImgOptions = {
  prompt: '',
  sampler: 'DPM++ 2M Karras',
  signal: AbortSignal.timeout(1000),
  steps: undefined,
};
model.txt2img(options);
same<SamplerName, keyof typeof SAMPLERS>(true);
same<SchedulerName, keyof typeof SCHEDULERS>(true);

// From images
const pixels: RawImage = { width: 1, height: 1, data: new Uint8Array(3) };
model.img2img({ prompt: 'a cat', image: pixels, strength: 0.5 });
model.inpaint({ prompt: 'a cat', image: 'cat.png', mask: new Uint8Array(), paddingMaskCrop: 32 });
model.edit({ prompt: 'make it winter', image, imageCfgScale: 1.5 });
model.depth2img({ prompt: 'a room of ice', image: 'room.png' });
// @ts-expect-error: an image is needed
model.img2img({ prompt: 'a cat' });
// @ts-expect-error: a mask is needed
model.inpaint({ prompt: 'a cat', image });
// @ts-expect-error: a number is no image
model.img2img({ prompt: 'a cat', image: 7 });

// A sampler of one's own
const euler: Sampler = async (denoise, x, sigmas, { noise, onStep }) => {
  same<typeof sigmas, Float64Array>(true);
  same<ReturnType<typeof noise>, Float32Array>(true);
  const denoised = await denoise(x, sigmas[0] as number);
  await onStep?.({ index: 0, total: 1, sigma: 1, latent: x, denoised });
  return denoised;
};
model.txt2img({ prompt: 'a cat', sampler: euler });
// @ts-expect-error: a sampler is asynchronous
model.txt2img({ prompt: 'a cat', sampler: (_: unknown, x: Float32Array) => x });

// Around models
const control: ControlOptions = {
  model: 'canny.safetensors',
  image: await canny('cat.png', { low: 100 }),
  strength: 0.8,
};
model.txt2img({ prompt: 'a cat', controls: [control], loras: [{ path: 'style.safetensors', weight: 0.5 }] });
same<Awaited<ReturnType<Awaited<ReturnType<typeof loadUpscaler>>['upscale']>>, RgbImage>(true);
await (await (await loadDepthEstimator('dpt.pt')).estimate('room.png')).save('depth.png');
same<(typeof devices)[number]['type'], 'cpu' | 'gpu' | 'accelerator'>(true);
const devices = listDevices();
(await inspectModel('model.gguf')).components.map(({ kind }) => kind);
(await readMetadata('cat.png')).warnings.map((warning) => warning.length);

// Errors
const failure: unknown = undefined;
if (failure instanceof DiffusionError) same<typeof failure.code, DiffusionErrorCode>(true);

// Serving
await using server = await serve({ port: 0, modelDirectory: 'models', limits: { steps: 50 }, keys: ['key'] });
same<typeof server, Server>(true);
const handler = createHandler({ logger: (entry) => same<typeof entry, LogEntry>(true) });
same<typeof handler, Handler>(true);
same<ReturnType<Handler['fetch']>, Promise<Response>>(true);
// @ts-expect-error: of a server that listens
createHandler({ port: 0 });
// @ts-expect-error: the server's own
serve({ load: { signal: AbortSignal.timeout(1) } });
