// Libraries of GPU backends beside the addon and in packages of their own. Each is tried in a child process before this one loads it, because a broken
// driver may end the process or never return.

import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { NativeAddon } from './contract.ts';
import { gpuFolders } from './platform-package.ts';

/** A library of a GPU backend, and whether it is used. */
export interface GpuLibrary {
  readonly path: string;
  /** `cuda`, `vulkan`, `metal`, ... */
  readonly backend: string;
  /** Names of its devices; none if it is not used. */
  readonly devices: readonly string[];
  /** Why it is not used. */
  readonly problem?: string;
  /** Whether the problem is a crash or a hang, and not the lack of a device or a driver. */
  readonly broken: boolean;
}

type Outcome = Pick<GpuLibrary, 'devices' | 'problem' | 'broken'>;

/** Milliseconds that a trial may take. The first start of a driver may compile for seconds. */
const LIMIT = 30_000;
const LIBRARY = /^(?:lib)?ggml-(cann|cuda|hip|metal|musa|opencl|sycl|vulkan)\.(?:so|dll|dylib)$/;
/** What the child executes: it prints the names of the devices, or why there are none, on a line of its own. */
const TRIAL = `const [addon, path] = process.argv.slice(1);
let outcome;
try { outcome = { devices: require(addon).loadBackend(path, true) }; } catch ({ message }) { outcome = { problem: message }; }
console.log('\\n' + JSON.stringify(outcome));`;

/** Outcomes by path, with what the file was then: another file is tried again, unless the first one is loaded. */
const outcomes = new Map<string, { readonly stamp: string; readonly outcome: Outcome }>();

/**
 * Tries the libraries of GPU backends beside the addon and in packages, and loads those that work. Each is tried once per process and
 * thread, which takes as long as its driver needs to start. Without such libraries no process is started.
 *
 * @param addonPath file of the addon.
 * @param limit milliseconds for each.
 */
export function loadGpuLibraries(addon: NativeAddon, addonPath: string, limit = LIMIT): GpuLibrary[] {
  return [dirname(addonPath), ...gpuFolders()].flatMap((folder) =>
    readdirSync(folder)
      .sort()
      .flatMap((file) => {
        const backend = LIBRARY.exec(file)?.[1];
        const path = join(folder, file);
        return backend ? [{ path, backend, ...outcomeOf(addon, addonPath, path, limit) }] : [];
      }),
  );
}

function outcomeOf(addon: NativeAddon, addonPath: string, path: string, limit: number): Outcome {
  const { size, mtimeMs, ino } = statSync(path);
  const stamp = `${size} ${mtimeMs} ${ino}`;
  const known = outcomes.get(path);
  if (known && (known.stamp === stamp || known.outcome.devices.length > 0)) return known.outcome;
  const tried = tryLibrary(addonPath, path, limit);
  const outcome = tried.problem === undefined ? load(addon, path) : tried;
  outcomes.set(path, { stamp, outcome });
  return outcome;
}

function load(addon: NativeAddon, path: string): Outcome {
  try {
    return { devices: addon.loadBackend(path), broken: false };
  } catch (error) {
    return { devices: [], problem: (error as Error).message, broken: false };
  }
}

/** Loads a library in a child process, and opens its devices. */
function tryLibrary(addonPath: string, path: string, limit: number): Outcome {
  // Options of Node that are meant for this process, such as a port of the debugger, are not for the child.
  const env = { ...process.env, NODE_OPTIONS: '', ELECTRON_RUN_AS_NODE: '1' };
  const { error, signal, status, stdout } = spawnSync(process.execPath, ['-e', TRIAL, addonPath, path], {
    ...{ env, timeout: limit, killSignal: 'SIGKILL', encoding: 'utf8', windowsHide: true },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const broken = (problem: string) => ({ devices: [], problem, broken: true });
  if ((error as NodeJS.ErrnoException | undefined)?.code === 'ETIMEDOUT') {
    return broken(`its driver did not answer within ${limit / 1000} seconds`);
  }
  if (error) return broken(`no process could be started to try it: ${error.message}`);
  const line = stdout.trim().split('\n').at(-1);
  if (signal || status !== 0 || !line?.startsWith('{')) {
    return broken(`its driver ended the process that tried it (${signal ?? `exit code ${status}`})`);
  }
  return { devices: [], broken: false, ...(JSON.parse(line) as Partial<Outcome>) };
}

/** Why a library is not used, in one line. */
export function describeProblem({ path, problem }: GpuLibrary): string {
  return `${basename(path)} is not used: ${problem}`;
}
