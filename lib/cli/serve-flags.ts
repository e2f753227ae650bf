// The flags of `diffuse serve` that are its own.

import type { Flag } from './flag.ts';

type OwnFlag = Omit<Flag, 'topic' | 'on'>;

const FOLDERS: readonly OwnFlag[] = [
  {
    name: 'models-dir',
    kind: 'text',
    common: true,
    option: 'modelDirectory',
    description: 'folder of the models that clients may name',
  },
  { name: 'vae-dir', kind: 'text', option: 'vaeDirectory', description: 'folder of VAEs' },
  { name: 'control-dir', kind: 'text', option: 'controlDirectory', description: 'folder of ControlNets' },
  {
    name: 'output-dir',
    kind: 'text',
    option: 'outputDirectory',
    description: 'folder for images that clients have saved',
  },
  { name: 'upscaler-dir', kind: 'text', option: 'upscalerDirectory', description: 'folder of upscalers' },
];

const ACCESS: readonly OwnFlag[] = [
  {
    name: 'host',
    kind: 'text',
    common: true,
    option: 'host',
    description: 'address to listen on (default: 127.0.0.1)',
  },
  { name: 'port', kind: 'number', common: true, option: 'port', description: 'port to listen on (default: 7860)' },
  {
    name: 'api-key',
    kind: 'text',
    common: true,
    option: 'keys',
    repeats: true,
    description: 'key that clients need; or DIFFUSE_API_KEY',
  },
  {
    name: 'api-auth',
    kind: 'text',
    common: true,
    option: 'users',
    repeats: true,
    description: 'name:password of a user; or DIFFUSE_API_AUTH',
  },
  {
    name: 'cors-origin',
    kind: 'text',
    option: 'corsOrigins',
    repeats: true,
    description: 'origin of web pages that may ask, or *',
  },
  {
    name: 'allowed-host',
    kind: 'text',
    option: 'hosts',
    repeats: true,
    description: 'name by which clients may call the host (default: any, of this machine where it listens to that)',
  },
];

const LIMITS: readonly OwnFlag[] = [
  {
    name: 'keep-models',
    kind: 'number',
    common: true,
    option: 'keepModels',
    description: 'models that stay open (default: 1)',
  },
  {
    name: 'queue-size',
    kind: 'number',
    common: true,
    option: 'queueSize',
    description: 'requests that may wait (default: 64)',
  },
  {
    name: 'limit-steps',
    kind: 'number',
    option: 'limits.steps',
    description: 'most steps of a request (default: 150)',
  },
  {
    name: 'limit-images',
    kind: 'number',
    option: 'limits.images',
    description: 'most images of a request (default: 16)',
  },
  {
    name: 'limit-pixels',
    kind: 'number',
    option: 'limits.pixels',
    description: 'most pixels of its images (default: 4194304)',
  },
  {
    name: 'limit-input-pixels',
    kind: 'number',
    option: 'limits.inputPixels',
    description: 'most pixels of an image in it (default: 16777216)',
  },
  {
    name: 'limit-prompt',
    kind: 'number',
    option: 'limits.promptLength',
    description: 'most characters of a prompt (default: 8192)',
  },
  {
    name: 'limit-body',
    kind: 'number',
    option: 'limits.bodyBytes',
    description: 'most bytes of its body (default: 67108864)',
  },
];

export const SERVE_FLAGS: readonly Flag[] = [...FOLDERS, ...ACCESS, ...LIMITS].map((flag) => ({
  ...flag,
  topic: 'serving',
  on: ['serve'],
}));
