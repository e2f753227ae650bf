// The progress bar: on standard error, and only where that is a terminal.

import type { SingleBar } from 'cli-progress';

/** Shows how far a command is. Every method is silent where standard error is no terminal. */
export class Progress {
  readonly #bar: SingleBar | undefined;
  #lastStep = 0;

  private constructor(bar: SingleBar | undefined) {
    this.#bar = bar;
  }

  /** The library is loaded only where there is a bar to draw. */
  static async create(): Promise<Progress> {
    if (!process.stderr.isTTY) return new Progress(undefined);
    const { SingleBar } = await import('cli-progress');
    const format = '{stage} |{bar}| {percentage}% {detail}';
    return new Progress(
      new SingleBar({ format, stream: process.stderr, hideCursor: true, clearOnComplete: true, barsize: 30 }),
    );
  }

  /** Begins a stage of the work. */
  start(stage: string, total: number): void {
    this.#bar?.stop();
    this.#bar?.start(total, 0, { stage, detail: '' });
    this.#lastStep = performance.now();
  }

  update(done: number): void {
    this.#bar?.update(done);
  }

  /** Counts a finished step and shows the time it took. */
  step(done: number, total: number): void {
    const now = performance.now();
    const seconds = (now - this.#lastStep) / 1000;
    this.#lastStep = now;
    this.#bar?.setTotal(total);
    this.#bar?.update(done, { detail: `${done}/${total}, ${seconds.toFixed(2)} s/step` });
  }

  /** Takes the bar away, and leaves a line in its place. */
  stop(line?: string): void {
    this.#bar?.stop();
    if (this.#bar && line) process.stderr.write(`${line}\n`);
  }
}
