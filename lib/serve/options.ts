// The options of a server, and their checks.

import { argumentError, describe } from '../core/errors.ts';
import { checkLoadOptions } from '../loading/load-options.ts';
import { checkSource, type ModelSource } from '../loading/source.ts';
import { loadAddon } from '../native/load.ts';
import { OptionCheck, within } from '../options/check.ts';
import type { Directories } from './catalog.ts';
import { DEFAULT_LIMITS, LIMIT_RULES, type ServeLimits } from './limits.ts';
import type { ServeLogger } from './log.ts';
import type { ServeLoadOptions } from './models.ts';

/** Options of {@link createHandler}. */
export interface HandlerOptions {
  /**
   * The default model, which clients need not name. Default: the first in `modelDirectory` by name; without that, the
   * bundled one.
   */
  model?: string | ModelSource | undefined;
  /** Folder of the models that clients may name. It is searched as it is at each request, like those below. */
  modelDirectory?: string | undefined;
  vaeDirectory?: string | undefined;
  loraDirectory?: string | undefined;
  embeddingDirectory?: string | undefined;
  controlDirectory?: string | undefined;
  upscalerDirectory?: string | undefined;
  /** Folder for the images of requests that ask for that (`save_images`). Default: none are saved. */
  outputDirectory?: string | undefined;
  /** How models are loaded. */
  load?: ServeLoadOptions | undefined;
  /** Number of models that stay open, 1 to 64. Default 1. */
  keepModels?: number | undefined;
  /** Number of requests that may wait, 1 to 10,000. Default 64. */
  queueSize?: number | undefined;
  /** Users, as `name:password`, for Basic authentication. Default none. */
  users?: readonly string[] | undefined;
  /** Keys for Bearer authentication. Default none; where there are neither users nor keys, everyone may ask. */
  keys?: readonly string[] | undefined;
  /** Origins of web pages that may ask, such as `https://example.com`, or `*`. Default none but the server's own. */
  corsOrigins?: readonly string[] | undefined;
  /** Names by which clients may call the host, against DNS rebinding. Default: any. */
  hosts?: readonly string[] | undefined;
  /** What one request may ask for. */
  limits?: Partial<ServeLimits> | undefined;
  /** Receives what happens. Default: nothing does. */
  logger?: ServeLogger | undefined;
  /**
   * Who sends a request, for turns in the queue, where there are neither users nor keys. Default: the remote address,
   * if the server knows it.
   */
  clientOf?: ((request: Request) => string) | undefined;
}

/** The options with every default filled in, validated. */
export interface CheckedHandlerOptions {
  readonly model: string | ModelSource | undefined;
  readonly directories: Directories;
  readonly outputDirectory: string | undefined;
  readonly load: ServeLoadOptions;
  readonly keepModels: number;
  readonly queueSize: number;
  readonly users: readonly string[];
  readonly keys: readonly string[];
  readonly corsOrigins: readonly string[];
  readonly hosts: readonly string[] | undefined;
  readonly limits: ServeLimits;
  readonly logger: ServeLogger | undefined;
  readonly clientOf: ((request: Request) => string) | undefined;
}

/** The option for the folder of each kind. */
const DIRECTORIES = {
  model: 'modelDirectory',
  vae: 'vaeDirectory',
  lora: 'loraDirectory',
  embedding: 'embeddingDirectory',
  control: 'controlDirectory',
  upscaler: 'upscalerDirectory',
} as const;

/** The names of the options. */
export const HANDLER_OPTIONS: readonly (keyof HandlerOptions)[] = [
  'model',
  ...Object.values(DIRECTORIES),
  ...([
    'outputDirectory',
    'load',
    'keepModels',
    'queueSize',
    'users',
    'keys',
    'corsOrigins',
    'hosts',
    'limits',
  ] as const),
  ...(['logger', 'clientOf'] as const),
];

const MAX_TEXTS = 1000;
const MAX_LENGTH = 1024;

/** @throws TypeError or RangeError with all problems. */
export function checkHandlerOptions(options: unknown): CheckedHandlerOptions {
  const check = new OptionCheck(options, HANDLER_OPTIONS);
  const checked = handlerOptions(check);
  check.done();
  return checked;
}

/** The same for options among others; `check` collects the problems. */
export function handlerOptions(check: OptionCheck): CheckedHandlerOptions {
  const model = check.value('model') as string | ModelSource | undefined;
  if (model !== undefined) check.attempt(() => checkSource(model));
  const directories = Object.entries(DIRECTORIES).flatMap(([kind, option]) =>
    check.value(option) === undefined ? [] : [[kind, check.path(option)] as const],
  );
  const load = check.object<ServeLoadOptions>('load') ?? {};
  check.attempt(() => checkLoadOptions(load, loadAddon()));
  const users = texts(check, 'users', (text) => /^[^:]+:./.test(text), 'name:password');
  return {
    ...{ model, directories: Object.fromEntries(directories), load, users },
    outputDirectory: check.value('outputDirectory') === undefined ? undefined : check.path('outputDirectory'),
    keepModels: check.number('keepModels', 1, { min: 1, max: 64, integer: true }),
    queueSize: check.number('queueSize', 64, { min: 1, max: 10_000, integer: true }),
    keys: texts(check, 'keys', (text) => /^[\x21-\x7e]+$/.test(text), 'keys without spaces'),
    corsOrigins: texts(check, 'corsOrigins', isOrigin, 'origins such as https://example.com, or *'),
    hosts: check.value('hosts') === undefined ? undefined : texts(check, 'hosts', (text) => text !== '', 'names'),
    limits: checkLimits(check),
    logger: check.callback<ServeLogger>('logger'),
    clientOf: check.callback<(request: Request) => string>('clientOf'),
  };
}

function checkLimits(check: OptionCheck): ServeLimits {
  const names = Object.keys(DEFAULT_LIMITS) as (keyof ServeLimits)[];
  const checked = check.attempt(() => {
    const inner = within(check.value('limits') ?? {}, 'limits', names);
    const limits = names.map((name) => [name, inner.number(`limits.${name}`, DEFAULT_LIMITS[name], LIMIT_RULES[name])]);
    inner.done();
    return Object.fromEntries(limits) as ServeLimits;
  });
  return checked ?? DEFAULT_LIMITS;
}

function isOrigin(text: string): boolean {
  return text === '*' || (URL.canParse(text) && new URL(text).origin === text);
}

/** A list of texts of a kind. A text that is not of that kind may be a secret, so it is not repeated. */
function texts(check: OptionCheck, name: string, fits: (text: string) => boolean, kind: string): readonly string[] {
  const given = check.list(name, `an array of ${kind}`, MAX_TEXTS) ?? [];
  for (const text of given) {
    if (typeof text === 'string' && text.length <= MAX_LENGTH && fits(text)) continue;
    const received = typeof text === 'string' ? 'another text' : describe(text);
    check.attempt(() => {
      throw argumentError([{ name, expected: kind, received, code: 'ERR_INVALID_ARG_VALUE' }]);
    });
  }
  return given as readonly string[];
}
