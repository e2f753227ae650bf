// Runs the command line `diffuse` in a process of its own.

import { type ChildProcess, spawn } from 'node:child_process';
import { modulePath } from '../support/places.ts';

/** The script of the command. */
export const main = modulePath('lib/cli/main.ts');

export interface Finished {
  /** Exit code; null where a signal ended the process. */
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Starts `diffuse` with these arguments. */
export function start(
  args: readonly string[],
  cwd?: string,
  env?: NodeJS.ProcessEnv,
): { child: ChildProcess; finished: Promise<Finished> } {
  const child = spawn(process.execPath, [main, ...args], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout?.on('data', (part) => stdout.push(part));
  child.stderr?.on('data', (part) => stderr.push(part));
  const finished = new Promise<Finished>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) =>
      resolve({ code, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() }),
    );
  });
  return { child, finished };
}

/** Runs `diffuse` to its end. */
export function diffuse(args: readonly string[], cwd?: string): Promise<Finished> {
  return start(args, cwd).finished;
}
