// The ControlNets that stay open behind a run, so that the next one with the same need not read them again.

import { DiffusionError } from '../core/errors.ts';
import { closeHandle } from './call.ts';
import type { NativeHandle } from './contract.ts';

/** Handles by path. Runs that use it must follow each other. */
export class OpenControlNets {
  #open: ReadonlyMap<string, NativeHandle> = new Map();

  /**
   * Opens those of a run, and lets go of the others that are open. Where one of them is refused, those before stay open.
   *
   * @param open opens one; a file that is open, and unchanged since, is not read again.
   * @param isGpu whether those before go first where there is no room for both.
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
      const full = error instanceof DiffusionError && error.code === 'ERR_OUT_OF_MEMORY';
      if (full && isGpu) await this.close();
      else await closeAll(next);
      if (!full || !isGpu) throw error;
      await openAll();
    }
    const before = this.#open;
    this.#open = next;
    await closeAll(before);
    return next;
  }

  /** Lets go of all. */
  async close(): Promise<void> {
    const open = this.#open;
    this.#open = new Map();
    await closeAll(open);
  }
}

async function closeAll(handles: ReadonlyMap<string, NativeHandle>): Promise<void> {
  await Promise.all([...handles.values()].map(closeHandle));
}
