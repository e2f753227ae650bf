// What a server counts, in the text format of Prometheus.

import type { ImagesResult } from './generation.ts';
import type { Job } from './job.ts';
import type { Sized } from './jobs.ts';

/** Upper bounds in seconds: a small model takes milliseconds a step, a large one on a CPU a minute. */
const BOUNDS = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000];

/** Counts values by how large they are. */
class Histogram {
  readonly #counts: number[] = BOUNDS.map(() => 0);
  #count = 0;
  #sum = 0;

  add(value: number): void {
    this.#count++;
    this.#sum += value;
    for (const [i, bound] of BOUNDS.entries()) if (value <= bound) this.#counts[i] = (this.#counts[i] as number) + 1;
  }

  lines(name: string): string[] {
    const buckets = BOUNDS.map((bound, i) => `${name}_bucket{le="${bound}"} ${this.#counts[i]}`);
    return [
      ...buckets,
      `${name}_bucket{le="+Inf"} ${this.#count}`,
      `${name}_sum ${this.#sum}`,
      `${name}_count ${this.#count}`,
    ];
  }
}

/** What is true at the moment. */
export interface Gauges {
  readonly waiting: number;
  readonly running: number;
  readonly openModels: number;
}

export class Metrics {
  readonly #waiting = new Histogram();
  readonly #jobSeconds = new Histogram();
  readonly #stepSeconds = new Histogram();
  readonly #jobs = new Map<string, number>();
  readonly #failures = new Map<string, number>();
  #images = 0;

  /** Counts a job that is over. */
  readonly count = (job: Job<Sized>): void => {
    const { kind, state, created, started, ended = 0, failure, result } = job;
    increase(this.#jobs, `kind="${kind}",state="${state}"`);
    if (failure) increase(this.#failures, `code="${failure.code}"`);
    this.#waiting.add(((started ?? ended) - created) / 1000);
    if (started !== undefined) this.#jobSeconds.add((ended - started) / 1000);
    const { images = [], stepSeconds = [] } = (result ?? {}) as Partial<ImagesResult>;
    this.#images += images.length;
    for (const seconds of stepSeconds) this.#stepSeconds.add(seconds);
  };

  text({ waiting, running, openModels }: Gauges): string {
    const name = (own: string) => `diffuse_${own}`;
    const family = (own: string, type: string, help: string, lines: readonly string[]) => [
      ...[`# HELP ${name(own)} ${help}`, `# TYPE ${name(own)} ${type}`],
      ...lines,
    ];
    const gauge = (own: string, help: string, value: number) => family(own, 'gauge', help, [`${name(own)} ${value}`]);
    const counter = (own: string, help: string, counts: ReadonlyMap<string, number>) =>
      family(
        own,
        'counter',
        help,
        [...counts].map(([labels, count]) => `${name(own)}{${labels}} ${count}`),
      );
    const histogram = (own: string, help: string, values: Histogram) =>
      family(own, 'histogram', help, values.lines(name(own)));
    const lines = [
      gauge('queue_jobs', 'Jobs that wait.', waiting),
      gauge('running_jobs', 'Jobs that run.', running),
      gauge('open_models', 'Models that are open.', openModels),
      gauge('resident_memory_bytes', 'Resident memory of the process.', process.memoryUsage.rss()),
      counter('jobs_total', 'Jobs that are over.', this.#jobs),
      counter('failures_total', 'Jobs without a result, by the reason.', this.#failures),
      family('images_total', 'counter', 'Images that were generated.', [`${name('images_total')} ${this.#images}`]),
      histogram('wait_seconds', 'Time of jobs in the queue.', this.#waiting),
      histogram('job_seconds', 'Time that jobs ran.', this.#jobSeconds),
      histogram('step_seconds', 'Time of sampling steps.', this.#stepSeconds),
    ];
    return `${lines.flat().join('\n')}\n`;
  }
}

function increase(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
