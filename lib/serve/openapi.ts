// The description of a server's APIs by OpenAPI. Fields that are options have the type and the text of their rows.

import { PACKAGE_VERSION } from '../core/version.ts';
import type { FlagKind } from '../task/row.ts';
import { type OptionName, ROWS } from '../task/rows.ts';
import type { FieldNames } from './failure.ts';
import { NAMES as JOBS_NAMES } from './jobs-fields.ts';
import { NAMES as OPENAI_NAMES } from './openai/fields.ts';
import { NAMES as WEBUI_NAMES } from './webui/fields.ts';
import { LISTS } from './webui/listings.ts';

type Schema = Readonly<Record<string, unknown>>;

const TYPES: Readonly<Record<FlagKind, Schema>> = {
  text: { type: 'string' },
  number: { type: 'number' },
  seed: { type: 'integer' },
  numbers: { type: 'array', items: { type: 'number' } },
  size: { type: 'object' },
  corner: { type: 'object' },
  side: { type: 'number' },
  switch: { type: 'boolean' },
};
const TEXT = TYPES.text;
const FLAG = TYPES.switch;
const INTEGER: Schema = { type: 'integer' };
const IMAGE: Schema = { type: 'string', description: 'An image as base64 or a data URL.' };
const FILE: Schema = { type: 'string', format: 'binary' };

/** Options that every API has under some name. */
const SHARED: readonly OptionName[] = [
  ...(['prompt', 'negativePrompt', 'width', 'height', 'steps', 'seed', 'sampler', 'scheduler', 'cfgScale'] as const),
];
const OF_IMAGES: readonly OptionName[] = [
  ...(['strength', 'resizeMode', 'maskBlur', 'invertMask', 'maskedContent', 'paddingMaskCrop'] as const),
];

/** The fields of options; those of parts of a field, `a.b`, are left to that. */
function fields(names: FieldNames, options: readonly OptionName[]): Record<string, Schema> {
  const entries = options.map((option) => {
    const { rule, doc } = ROWS[option];
    const description = doc.trim().replace(/\s+/g, ' ');
    return [names[option] ?? option, { ...TYPES[rule.kind], description }] as const;
  });
  return Object.fromEntries(entries.filter(([name]) => !name.includes('.')));
}

function object(properties: Readonly<Record<string, Schema>>, required: readonly string[] = []): Schema {
  return { type: 'object', properties, ...(required.length > 0 ? { required } : {}) };
}

const WEBUI = {
  ...fields(WEBUI_NAMES, [...SHARED, 'batchSize', 'eta', 'tileable']),
  ...{ n_iter: INTEGER, override_settings: object({ sd_model_checkpoint: TEXT, sd_vae: TEXT }) },
  ...{ alwayson_scripts: object({}), send_images: FLAG, save_images: FLAG, force_task_id: TEXT },
};
const HIRES = {
  ...{ enable_hr: FLAG, hr_scale: TYPES.number, hr_resize_x: INTEGER, hr_resize_y: INTEGER, hr_upscaler: TEXT },
  ...{ hr_second_pass_steps: INTEGER, denoising_strength: TYPES.number },
};
const FROM_IMAGE = {
  ...fields(WEBUI_NAMES, OF_IMAGES),
  ...{ init_images: { type: 'array', items: IMAGE }, mask: IMAGE, inpaint_full_res: FLAG },
};
const OPENAI_OPTIONS = SHARED.filter((option) => option !== 'width' && option !== 'height');
const OPENAI = {
  ...fields(OPENAI_NAMES, OPENAI_OPTIONS),
  ...{ model: TEXT, n: INTEGER, size: TEXT, response_format: { type: 'string', enum: ['b64_json', 'url'] } },
  ...{ stream: FLAG, partial_images: INTEGER },
};
const EXTRAS = { upscaler_1: TEXT, upscaling_resize: TYPES.number, resize_mode: INTEGER };
const DETECT = { controlnet_module: TEXT, controlnet_input_images: { type: 'array', items: IMAGE } };
const JOB = {
  ...fields(JOBS_NAMES, [...SHARED, 'strength']),
  ...{ batch_count: INTEGER, model: TEXT, vae: TEXT, init_image: IMAGE, mask_image: IMAGE, control_net: TEXT },
  ...{ control_image: IMAGE, control_strength: TYPES.number, lora: { type: 'array', items: object({ path: TEXT }) } },
  sample_params: object({ sample_steps: INTEGER, sample_method: TEXT, scheduler: TEXT, eta: TYPES.number }),
  hires: object({ enabled: FLAG, upscaler: TEXT, scale: TYPES.number, steps: INTEGER }),
};

interface Operation {
  readonly summary: string;
  readonly body?: Schema;
  /** Media type of the body, if it is not JSON. */
  readonly form?: string;
  readonly status?: number;
  /** Media type of the answer, if it is not JSON. */
  readonly answer?: string;
}

const webui = (name: string) => `/sdapi/v1/${name}`;

/** Every route, as `GET /path`. */
const OPERATIONS: Readonly<Record<string, Operation>> = {
  'GET /health': { summary: 'Whether the server lives' },
  'GET /ready': { summary: 'Whether the server takes requests; 503 if not' },
  'GET /metrics': { summary: 'What the server counts, for Prometheus', answer: 'text/plain' },
  'GET /openapi.json': { summary: 'This description' },
  'GET /sdcpp/v1/capabilities': { summary: 'Models, samplers, files and limits' },
  'POST /sdcpp/v1/img_gen': { summary: 'Add a job', body: object(JOB, ['prompt']), status: 202 },
  'GET /sdcpp/v1/jobs/{id}': { summary: 'State, place, progress and result of a job' },
  'POST /sdcpp/v1/jobs/{id}/cancel': { summary: 'Cancel a job' },
  'POST /sdcpp/v1/jobs/{id}/finish': { summary: 'End a job early with the image so far' },
  'GET /sdcpp/v1/jobs/{id}/events': { summary: 'Events of a job', answer: 'text/event-stream' },
  'GET /sdcpp/v1/jobs/{id}/images/{n}': { summary: 'One image of a job', answer: 'image/png' },
  'GET /v1/models': { summary: 'Models' },
  'GET /v1/models/{id}': { summary: 'One model' },
  'POST /v1/images/generations': { summary: 'Generate images', body: object(OPENAI, ['prompt']) },
  'POST /v1/images/edits': {
    summary: 'Generate images from an image; what is transparent in the mask is drawn',
    body: object({ ...OPENAI, ...fields({}, ['strength']), image: FILE, mask: FILE }, ['image', 'prompt']),
    form: 'multipart/form-data',
  },
  'GET /v1/images/files/{id}/{n}': { summary: 'An image by its address', answer: 'image/png' },
  [`POST ${webui('txt2img')}`]: { summary: 'Generate images from text', body: object({ ...WEBUI, ...HIRES }) },
  [`POST ${webui('img2img')}`]: { summary: 'Generate images from an image', body: object({ ...WEBUI, ...FROM_IMAGE }) },
  [`POST ${webui('extra-single-image')}`]: { summary: 'Enlarge an image', body: object({ ...EXTRAS, image: IMAGE }) },
  [`POST ${webui('extra-batch-images')}`]: {
    summary: 'Enlarge images',
    body: object({ ...EXTRAS, imageList: { type: 'array', items: object({ data: IMAGE, name: TEXT }) } }),
  },
  [`POST ${webui('png-info')}`]: { summary: 'How an image was made', body: object({ image: IMAGE }) },
  [`GET ${webui('progress')}`]: { summary: "How far the client's request is" },
  [`POST ${webui('interrupt')}`]: { summary: "End the client's request early with the images so far" },
  [`POST ${webui('skip')}`]: { summary: 'End one image early, and go on with the next' },
  [`GET ${webui('options')}`]: { summary: "The client's settings" },
  [`POST ${webui('options')}`]: {
    summary: "Change the client's settings; answers when the model is open",
    body: object({ sd_model_checkpoint: TEXT, sd_vae: TEXT, CLIP_stop_at_last_layers: INTEGER }),
  },
  [`POST ${webui('reload-checkpoint')}`]: { summary: "Open the client's model" },
  [`POST ${webui('unload-checkpoint')}`]: { summary: 'Close all models' },
  ...Object.fromEntries(
    ['checkpoints', 'loras', 'vae', 'embeddings'].map((kind) => [
      `POST ${webui(`refresh-${kind}`)}`,
      { summary: 'Nothing: folders are looked into at each request' },
    ]),
  ),
  ...Object.fromEntries(LISTS.map((name) => [`GET ${webui(name)}`, { summary: `The web UI's list of ${name}` }])),
  'GET /controlnet/version': { summary: "Version of the extension's API" },
  'GET /controlnet/model_list': { summary: 'ControlNets' },
  'GET /controlnet/module_list': { summary: 'Preprocessors' },
  'POST /controlnet/detect': { summary: 'Apply a preprocessor', body: object(DETECT) },
  'GET /internal/ping': { summary: 'Whether the server lives' },
  'POST /internal/progress': {
    summary: 'How far a task is',
    body: object({ id_task: TEXT, id_live_preview: INTEGER }),
  },
};

/** The whole description. @param needsKey whether clients need a key or a password. */
export function describeApis(needsKey: boolean): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const [route, operation] of Object.entries(OPERATIONS)) {
    const [method = '', path = ''] = route.split(' ');
    paths[path] = { ...paths[path], [method.toLowerCase()]: describeOperation(path, operation) };
  }
  const schemes = { basic: { type: 'http', scheme: 'basic' }, bearer: { type: 'http', scheme: 'bearer' } };
  return {
    openapi: '3.1.0',
    info: { title: 'node-diffusion', version: PACKAGE_VERSION },
    paths,
    ...(needsKey ? { components: { securitySchemes: schemes }, security: [{ basic: [] }, { bearer: [] }] } : {}),
  };
}

function describeOperation(path: string, operation: Operation): object {
  const { summary, body, form = 'application/json', status = 200, answer = 'application/json' } = operation;
  const parameters = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    ...{ name, in: 'path', required: true, schema: TEXT },
  }));
  return {
    summary,
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body ? { requestBody: { required: true, content: { [form]: { schema: body } } } } : {}),
    responses: {
      [status]: { description: 'What was asked for', content: { [answer]: {} } },
      default: { description: 'What is wrong, in the form of the API', content: { 'application/json': {} } },
    },
  };
}
