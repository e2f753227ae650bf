// Reports the progress of a command on standard error: as a bar on a terminal, or as one line of JSON per step.

import type { SingleBar } from 'cli-progress';
import { textOf } from './command-line.ts';
import { formatBytes } from './units.ts';
import { UsageError } from './usage-error.ts';

/** The values of --progress. */
export const PROGRESS_KINDS = ['bar', 'json', 'none'] as const;
/** Interval of JSON lines for progress that is not counted in steps. */
const SECONDS_BETWEEN_LINES = 0.5;

type ProgressKind = (typeof PROGRESS_KINDS)[number];

/** @throws UsageError for an unknown value of --progress. */
export function progressKind(flags: Readonly<Record<string, string | true>>): ProgressKind {
  const given = textOf(flags.progress) ?? 'bar';
  const kind = PROGRESS_KINDS.find((name) => name === given);
  if (kind) return kind;
  throw new UsageError(`Expected one of ${PROGRESS_KINDS.join(', ')} for --progress but received '${given}'`);
}

/** Reports the progress of a command. Without a bar or JSON, steps are not reported. */
export class Progress {
  readonly #bar: SingleBar | undefined;
  readonly #json: boolean;
  /** Further fields of each line of JSON. */
  #stage: Readonly<Record<string, unknown>> = {};
  #afterFirst = 0;
  #lastStep = 0;

  private constructor(bar: SingleBar | undefined, json: boolean) {
    this.#bar = bar;
    this.#json = json;
  }

  /** The library is loaded only if a bar is shown. */
  static async create(flags: Readonly<Record<string, string | true>>): Promise<Progress> {
    const kind = progressKind(flags);
    if (kind !== 'bar' || !process.stderr.isTTY) return new Progress(undefined, kind === 'json');
    const { SingleBar } = await import('cli-progress');
    const format = '{stage} |{bar}| {percentage}% {detail}';
    const options = { format, stream: process.stderr, hideCursor: true, clearOnComplete: true, barsize: 30 };
    return new Progress(new SingleBar(options), false);
  }

  /**
   * Starts a stage of the work.
   *
   * @param which fields that distinguish it from other stages of the same name, for lines of JSON.
   */
  start(stage: string, total: number, which: Readonly<Record<string, unknown>> = {}): void {
    this.#bar?.stop();
    this.#bar?.start(total, 0, { stage, detail: '' });
    this.#stage = { stage, ...which };
    this.#lastStep = performance.now();
  }

  update(done: number): void {
    this.#bar?.update(done);
  }

  /** Counts a finished step, and shows its time and the estimated time left. */
  step(done: number, total: number): void {
    const now = performance.now();
    const seconds = (now - this.#lastStep) / 1000;
    // The first step includes one-time work, so it counts for the estimate only while there is no other.
    if (done === 1) this.#afterFirst = now;
    const perStep = done === 1 ? seconds : (now - this.#afterFirst) / 1000 / (done - 1);
    const left = perStep * (total - done);
    this.#lastStep = now;
    this.#bar?.setTotal(total);
    this.#bar?.update(done, {
      detail: `${done}/${total}, ${seconds.toFixed(2)} s/step, ${formatDuration(left)} left`,
    });
    if (!this.#json) return;
    const times = { seconds: rounded(seconds), secondsLeft: rounded(left) };
    process.stderr.write(`${JSON.stringify({ ...this.#stage, step: done, steps: total, ...times })}\n`);
  }

  /** Shows how many bytes are done, and the time left; as JSON at most twice a second. */
  portion(done: number, total: number, secondsLeft: number): void {
    this.#bar?.setTotal(total);
    const bytes = `${formatBytes(done)}/${formatBytes(total)}`;
    this.#bar?.update(done, { detail: `${bytes}, ${formatDuration(secondsLeft)} left` });
    const now = performance.now();
    if (!this.#json || (done < total && now - this.#lastStep < SECONDS_BETWEEN_LINES * 1000)) return;
    this.#lastStep = now;
    const line = { ...this.#stage, done, total, secondsLeft: rounded(secondsLeft) };
    process.stderr.write(`${JSON.stringify(line)}\n`);
  }

  /** Counts tiles; as JSON at most twice a second. */
  tile(stage: string, done: number, total: number, which: Readonly<Record<string, unknown>>): void {
    if (this.#stage.stage !== stage) this.start(stage, total, which);
    this.#bar?.setTotal(total);
    this.#bar?.update(done, { detail: `${done}/${total} tiles` });
    const now = performance.now();
    if (!this.#json || (done < total && now - this.#lastStep < SECONDS_BETWEEN_LINES * 1000)) return;
    this.#lastStep = now;
    process.stderr.write(`${JSON.stringify({ ...this.#stage, tile: done, tiles: total })}\n`);
  }

  /** Removes the bar. */
  stop(): void {
    this.#bar?.stop();
  }

  /**
   * Removes the bar and prints a line in its place.
   *
   * @param news whether the line has information that is not on the command line; without a terminal it is printed only
   *   then.
   */
  finish(line: string, news: boolean): void {
    this.stop();
    if (news || process.stderr.isTTY) process.stderr.write(`${line}\n`);
  }
}

function rounded(seconds: number): number {
  return Math.round(1000 * seconds) / 1000;
}

/** Seconds as `12 s`, `3:05` or `1:02:03`. */
function formatDuration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const pad = (part: number) => String(part % 60).padStart(2, '0');
  const minutes = Math.floor(whole / 60);
  return minutes < 60 ? `${minutes}:${pad(whole)}` : `${Math.floor(minutes / 60)}:${pad(minutes)}:${pad(whole)}`;
}
