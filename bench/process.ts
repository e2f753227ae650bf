// Runs a program to its end and says how long it took and how much memory it held.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface Finished {
  readonly stdout: string;
  readonly stderr: string;
  /** Seconds from the start of the process to its end. */
  readonly wall: number;
  /** Bytes that it held at most, resident; undefined where the system does not tell. */
  readonly peakMemory: number | undefined;
}

/** Milliseconds between two looks at the memory of a process. */
const WATCH = 20;

/** @throws Error with the end of what the program said where it fails. */
export function runProcess(command: string, args: readonly string[]): Promise<Finished> {
  const start = performance.now();
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) child[stream].on('data', (part) => (output[stream] += part));
  let peakMemory: number | undefined;
  const watch = setInterval(() => (peakMemory = peakOf(child.pid) ?? peakMemory), WATCH);
  return new Promise<Finished>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      const wall = (performance.now() - start) / 1000;
      if (code === 0) return resolve({ ...output, wall, peakMemory });
      const said = (output.stderr || output.stdout).trim().slice(-2000);
      reject(new Error(`${command} ended with ${signal ?? `exit code ${code}`}:\n${said}`));
    });
  }).finally(() => clearInterval(watch));
}

/** The high-water mark of a running process; undefined where the system does not tell. */
export function peakOf(pid: number | undefined): number | undefined {
  if (process.platform !== 'linux' || pid === undefined) return undefined;
  try {
    const [, kilobytes] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  } catch {
    return undefined; // it has just ended
  }
}
