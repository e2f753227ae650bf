// The models of a server: which there are, and those that are open. They are opened when a job needs them.

import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { DiffusionError } from '../core/errors.ts';
import { EMBEDDED_MODEL } from '../core/package-files.ts';
import type { LoadOptions } from '../loading/load-options.ts';
import { checkSource, type ModelSource, modelName } from '../loading/source.ts';
import { loadModel, type Model } from '../model/model.ts';
import { type Catalog, findIn } from './catalog.ts';
import type { Log } from './log.ts';

/** Options for loading every model of a server. */
export type ServeLoadOptions = Omit<LoadOptions, 'signal' | 'logger' | 'onProgress' | 'profile'>;

/** A model that clients may name. */
export interface ServedModel {
  readonly name: string;
  /** Its name with the extension. */
  readonly file: string;
  readonly source: ModelSource;
}

interface OpenModel {
  readonly key: string;
  readonly model: Model;
}

export class Models {
  readonly #catalog: Catalog;
  readonly #given: ServedModel | undefined;
  readonly #load: ServeLoadOptions;
  readonly #keep: number;
  readonly #log: Log;
  /** The most recently used comes last. */
  readonly #open: OpenModel[] = [];

  /** @param source of the default model; undefined for the first of the folder, or the bundled one. */
  constructor(
    catalog: Catalog,
    source: string | ModelSource | undefined,
    load: ServeLoadOptions,
    keep: number,
    log: Log,
  ) {
    this.#catalog = catalog;
    this.#given =
      source === undefined && catalog.directories.model !== undefined ? undefined : toServed(source ?? EMBEDDED_MODEL);
    this.#load = load;
    this.#keep = keep;
    this.#log = log;
  }

  /** All models, the default one first. */
  async list(): Promise<ServedModel[]> {
    const inFolder = (await this.#catalog.list('model')).map(({ name, file, path }) => ({
      ...{ name, file, source: { model: path } },
    }));
    const all = this.#given ? [this.#given, ...inFolder.filter(({ name }) => name !== this.#given?.name)] : inFolder;
    return all.length > 0 ? all : [toServed(EMBEDDED_MODEL)];
  }

  /** The model with a name; the default one without. */
  async find(name: string | undefined): Promise<ServedModel | undefined> {
    const all = await this.list();
    if (name === undefined) return all[0];
    // The web UI's titles end in a hash.
    return findIn(all, name) ?? findIn(all, name.replace(/ \[\w+\]$/, ''));
  }

  /** The open models, by their names. */
  get open(): readonly Model[] {
    return this.#open.map(({ model }) => model);
  }

  /**
   * Opens a model, unless it is open. Others are closed before, down to one less than are kept; all of them, where
   * there is not enough memory next to them.
   *
   * @param vae path of another VAE.
   */
  async use({ name, source }: ServedModel, vae: string | undefined, signal: AbortSignal): Promise<Model> {
    const whole = vae === undefined ? source : { ...source, vae };
    const key = JSON.stringify([whole, await versionOf(whole)]);
    const at = this.#open.findIndex((one) => one.key === key);
    if (at >= 0) {
      const [found] = this.#open.splice(at, 1) as [OpenModel];
      this.#open.push(found);
      return found.model;
    }
    await this.close(this.#keep - 1);
    const begin = performance.now();
    const model = await this.#loadAlone(whole, signal);
    this.#open.push({ key, model });
    this.#log.write('info', 'model', { name, seconds: (performance.now() - begin) / 1000 });
    return model;
  }

  async #loadAlone(source: ModelSource, signal: AbortSignal): Promise<Model> {
    const logger = {
      warn: (message: string) => this.#log.write('warn', 'engine', { message }),
      error: (message: string) => this.#log.write('error', 'engine', { message }),
    };
    const load = () => loadModel(source, { ...this.#load, signal, logger });
    try {
      return await load();
    } catch (error) {
      if (!lacksMemory(error) || this.#open.length === 0) throw error;
      await this.close();
      return load();
    }
  }

  /** Closes the models that were not used for longest. @param keep how many stay open. */
  async close(keep = 0): Promise<void> {
    while (this.#open.length > Math.max(keep, 0)) await this.#open.shift()?.model.dispose();
  }
}

/** What tells a file from another that has taken its place. */
async function versionOf({ model, unet }: ModelSource): Promise<unknown> {
  const found = await stat(model ?? unet ?? '').catch(() => undefined);
  return found && [found.mtimeMs, found.size, found.ino];
}

/** Whether something failed that may work with less in memory. */
export function lacksMemory(error: unknown): boolean {
  return error instanceof DiffusionError && error.code === 'ERR_OUT_OF_MEMORY';
}

function toServed(source: string | ModelSource): ServedModel {
  const files = checkSource(source);
  return { name: modelName(files), file: basename(files.model ?? files.unet ?? ''), source: files as ModelSource };
}
