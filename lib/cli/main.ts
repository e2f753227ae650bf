#!/usr/bin/env node
// The command line `diffuse`: runs one command, turns signals into cancellation and failures into a message and an exit code.

import { type CommandLine, parseCommandLine } from './arguments.ts';
import { reportFailure } from './failure.ts';

/** Exit codes of a process that a signal ends: 128 and the signal's number. */
const SIGNAL_EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
/** Milliseconds that a command has to end after a signal. One that waits for a file system might never. */
const PATIENCE = 5000;

async function main(argv: readonly string[]): Promise<number> {
  const controller = new AbortController();
  let interrupted: keyof typeof SIGNAL_EXIT_CODES | undefined;
  for (const name of Object.keys(SIGNAL_EXIT_CODES) as (keyof typeof SIGNAL_EXIT_CODES)[]) {
    process.on(name, () => {
      // One Ctrl-C may come twice, from the terminal and from npx.
      if (interrupted) return;
      interrupted = name;
      controller.abort();
      setTimeout(endAtOnce, PATIENCE, name).unref();
    });
  }
  let commandLine: CommandLine | undefined;
  try {
    commandLine = await parseCommandLine(argv);
    if (commandLine) await runCommand(commandLine, controller.signal);
    return 0;
  } catch (error) {
    return interrupted ? SIGNAL_EXIT_CODES[interrupted] : reportFailure(error, commandLine);
  }
}

/** Does what the system does with a signal that nobody listens to. */
function endAtOnce(signal: NodeJS.Signals): void {
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}

/** Each command is loaded only when it runs, to keep the start fast. */
async function runCommand(commandLine: CommandLine, signal: AbortSignal): Promise<void> {
  if (commandLine.command === 'inspect') return (await import('./inspect.ts')).runInspect(commandLine, signal);
  if (commandLine.command === 'devices') return (await import('./devices.ts')).runDevices(commandLine);
  if (commandLine.command === 'metadata') return (await import('./metadata.ts')).runMetadata(commandLine);
  if (commandLine.command === 'depth') return (await import('./depth.ts')).runDepth(commandLine, signal);
  if (commandLine.command === 'upscale') return (await import('./upscale.ts')).runUpscale(commandLine, signal);
  return (await import('./draw.ts')).runDraw(commandLine, commandLine.command, signal);
}

// A reader that goes away shows in the call that writes; without these listeners it would end the process with a stack trace.
process.stdout.on('error', () => {});
process.stderr.on('error', () => {});
process.exitCode = await main(process.argv.slice(2));
