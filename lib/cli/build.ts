// `diffuse build`: builds the addon from the sources in the package, for platforms without a binary and for GPUs.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { DiffusionError } from '../core/errors.ts';
import { packageFolder } from '../core/package-files.ts';
import type { CommandLine } from './command-line.ts';

/** ggml's backends for GPUs, by their flags. */
const BACKENDS = ['cuda', 'vulkan', 'metal'] as const;

export async function runBuild({ flags }: CommandLine, signal: AbortSignal): Promise<void> {
  const chosen = BACKENDS.filter((name) => flags[name] === true).map((name) => `--${name}`);
  const args = [join(packageFolder(), 'scripts', 'build.mjs'), ...chosen];
  // The compiler's progress goes to the terminal.
  const child = spawn(process.execPath, args, { stdio: 'inherit', signal });
  const [code, killed] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (...how) => resolve(how));
  });
  if (code === 0) return;
  const reason = killed ? `signal ${killed}` : `exit code ${code}`;
  throw new DiffusionError(
    'ERR_BINARY',
    `Expected the addon to be built, but that ended with ${reason}. See its output above`,
  );
}
