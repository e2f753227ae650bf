// ControlNets stay open after a run, so that the next run with the same ones need not read them again.

import { DiffusionError } from '../core/errors.ts';
import { closeHandle } from './call.ts';
import type { NativeHandle } from './contract.ts';

/** Handles by path. Runs must use it one after the other. */
export class OpenControlNets {
  #open: ReadonlyMap<string, NativeHandle> = new Map();

  /**
   * Opens the ControlNets of a run and closes the others. If one of them cannot be opened, the previous ones stay open.
   *
   * @param open opens one. A file that is open and unchanged is not read again.
   * @param isGpu whether to close the previous ones first if memory does not suffice for both.
   */
  async use(
    paths: readonly string[],
    open: (path: string) => Promise<NativeHandle>,
    isGpu: boolean,
  ): Promise<ReadonlyMap<string, NativeHandle>> {
    const next = new Map<string, NativeHandle>();
    const openAll = async () => {
      for (const path of paths) if (!next.has(path)) next.set(path, await open(path));
    };
    try {
      await openAll();
    } catch (error) {
      const outOfMemory = error instanceof DiffusionError && error.code === 'ERR_OUT_OF_MEMORY';
      if (outOfMemory && isGpu) await this.close();
      else await closeAll(next);
      if (!outOfMemory || !isGpu) throw error;
      await openAll();
    }
    const previous = this.#open;
    this.#open = next;
    await closeAll(previous);
    return next;
  }

  /** Closes all. */
  async close(): Promise<void> {
    const open = this.#open;
    this.#open = new Map();
    await closeAll(open);
  }
}

async function closeAll(handles: ReadonlyMap<string, NativeHandle>): Promise<void> {
  await Promise.all([...handles.values()].map(closeHandle));
}
