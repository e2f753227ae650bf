#!/usr/bin/env node
// The command line `diffuse`: runs one command, turns signals into cancellation and failures into a message and an exit
// code.

import { parseCommandLine, shortHelp } from './arguments.ts';
import type { CommandLine } from './command-line.ts';
import { commandOf } from './commands.ts';

/** Exit codes of a process that was ended by a signal: 128 plus the signal's number. */
const SIGNAL_EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
/** Milliseconds that a command has to finish after a signal: one that waits for a file system might never finish. */
const GRACE_PERIOD = 5000;
/** Two signals within this many milliseconds are one press of Ctrl-C: the terminal and npx both send it. */
const ONE_PRESS = 500;

async function main(argv: readonly string[]): Promise<number> {
  const controller = new AbortController();
  let commandLine: CommandLine | undefined;
  let interrupted: { readonly by: keyof typeof SIGNAL_EXIT_CODES; readonly at: number } | undefined;
  for (const name of Object.keys(SIGNAL_EXIT_CODES) as (keyof typeof SIGNAL_EXIT_CODES)[]) {
    process.on(name, () => {
      if (interrupted) {
        if (performance.now() - interrupted.at > ONE_PRESS) endAtOnce(name);
        return;
      }
      interrupted = { by: name, at: performance.now() };
      controller.abort();
      const { gracePeriod = GRACE_PERIOD } = commandLine ? commandOf(commandLine.command) : {};
      setTimeout(endAtOnce, gracePeriod, name).unref();
    });
  }
  try {
    if (argv.length === 0) {
      process.stderr.write(`${await shortHelp()}\n`);
      return 2;
    }
    commandLine = await parseCommandLine(argv);
    if (commandLine) await commandOf(commandLine.command).run(commandLine, controller.signal);
    return 0;
  } catch (error) {
    if (interrupted) return SIGNAL_EXIT_CODES[interrupted.by];
    return (await import('./failure.ts')).reportFailure(error, commandLine, argv.includes('--json'));
  }
}

/** Applies the system's default action for a signal. */
function endAtOnce(signal: NodeJS.Signals): void {
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}

// A closed pipe is reported to the call that writes. Without these listeners it would also end the process with a stack
// trace.
process.stdout.on('error', () => {});
process.stderr.on('error', () => {});
process.exitCode = await main(process.argv.slice(2));
