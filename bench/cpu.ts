// Measures generation on the CPU: seconds, floating-point operations and memory of each stage, and the share of this
// machine's rate that the UNet reaches. Can be compared with another program, see USAGE.

import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { formatProfile } from '../lib/cli/profile.ts';
import { PRECISIONS } from '../lib/loading/load-options.ts';
import { OptionCheck } from '../lib/options/check.ts';
import { type Comparison, type ComparisonOptions, compareWith } from './comparison.ts';
import type { Measurement, Stages, Workload } from './measure.ts';
import { runProcess } from './process.ts';

const USAGE = `usage: npm run bench:cpu -- [--model FILE] [--size PIXELS] [--steps N] [--threads N] [--precision auto|f32|bf16]
                            [--json] [--sd-cpp PROGRAM [--rounds N]]

  --model      checkpoint (default: the bundled model)
  --size       width and height of the image (default: 512)
  --steps      steps after the first one, of which the fastest counts (default: 2)
  --threads    compute threads (default: one for each physical core)
  --precision  numbers that the CPU multiplies (default: auto)
  --json       print one line of JSON
  --sd-cpp     the program sd-cli of stable-diffusion.cpp, to compare it with diffuse
  --rounds     images of each (default: 1)`;

/** What is printed: seconds, bytes, 1e9 floating-point operations (a second). */
interface Report extends Omit<Workload, 'threads' | 'precision'>, Measurement {
  /** Part of the product's rate that a whole step reaches. */
  readonly share: number;
  readonly comparison?: Comparison;
}

class UsageError extends Error {}

interface Request {
  readonly workload: Workload;
  readonly json: boolean;
  readonly comparison: ComparisonOptions | undefined;
}

function readRequest(args: readonly string[]): Request {
  const text = { type: 'string' } as const;
  const options = {
    model: text,
    size: text,
    steps: text,
    threads: text,
    precision: text,
    'sd-cpp': text,
    rounds: text,
  };
  const { values } = parseArgs({ args: [...args], options: { ...options, json: { type: 'boolean' } } });
  const given = Object.fromEntries(
    Object.entries(values).map(([name, value]) => [`--${name}`, /^\d+$/.test(String(value)) ? Number(value) : value]),
  );
  const check = new OptionCheck(given, Object.keys(given));
  const count = (name: string, fallback: number, max: number) =>
    check.number(name, fallback, { min: 1, max, integer: true });
  const size = count('--size', 512, 4096);
  const threads = values.threads === undefined ? {} : { threads: count('--threads', 1, 512) };
  const model = values.model === undefined ? {} : { model: values.model };
  const precision = check.name('--precision', 'auto', PRECISIONS);
  const workload = { ...model, width: size, height: size, steps: count('--steps', 2, 1000), ...threads, precision };
  const rounds = count('--rounds', 1, 100);
  check.done();
  if (values.rounds !== undefined && !values['sd-cpp']) throw new UsageError('--rounds needs --sd-cpp');
  if (values['sd-cpp'] && !values.model)
    throw new UsageError('--sd-cpp needs --model: a checkpoint that both programs open');
  const comparison = values['sd-cpp'] ? { program: values['sd-cpp'], rounds } : undefined;
  return { workload, json: values.json === true, comparison };
}

async function measure({ workload, comparison }: Request): Promise<Report> {
  const child = fileURLToPath(new URL(`measure${extname(import.meta.url)}`, import.meta.url));
  const { stdout } = await runProcess(process.execPath, [child, JSON.stringify(workload)]);
  const measurement = JSON.parse(stdout) as Measurement;
  const { gflop, steady, productGflops } = measurement;
  return {
    ...workload,
    ...measurement,
    share: gflop.step / steady.step / productGflops,
    ...(comparison ? { comparison: await compareWith(comparison, { ...workload, threads: measurement.threads }) } : {}),
  };
}

function format(report: Report): string {
  const { width, height, steps, threads, precision, load, first, steady, gflop, productGflops, share } = report;
  const row = (name: string, stage: keyof Stages) => {
    const rate = (gflop[stage] / steady[stage]).toFixed(0);
    return `| ${name} | ${first[stage].toFixed(3)} | ${steady[stage].toFixed(3)} | ${gflop[stage].toFixed(1)} | ${rate} |`;
  };
  const lines = [
    `${report.model ?? 'embedded model'}, ${width}x${height}, ${threads} threads, ${precision}, fastest of ${steps} steps`,
    '',
    '| stage | first, s | then, s | GFLOP | GFLOP/s |',
    '| --- | --- | --- | --- | --- |',
    row('text encoding, both prompts', 'textEncoding'),
    row('a step, both passes', 'step'),
    row('VAE decode', 'decode'),
    '',
    `load ${load.toFixed(3)} s, peak resident memory ${gigabytes(report.peakMemory)}`,
    `a large product in ${precision}: ${productGflops.toFixed(0)} GFLOP/s; a step reaches ${share.toFixed(2)} of it`,
  ];
  lines.push('', formatProfile(report.operations.filter(({ seconds }) => seconds > 0.001)));
  if (report.comparison) lines.push('', ...formatComparison(report.comparison));
  return lines.join('\n');
}

function formatComparison({ ours, theirs }: Comparison): string[] {
  const row = (name: string, key: keyof typeof ours, show: (value: number) => string) => {
    const ratio = (theirs[key] / ours[key]).toFixed(2);
    return `| ${name} | ${show(ours[key])} | ${show(theirs[key])} | ${ratio} |`;
  };
  const seconds = (value: number) => value.toFixed(2);
  return [
    '| by turns, the fastest of each | diffuse | sd-cli | ratio |',
    '| --- | --- | --- | --- |',
    row('a step, s', 'step', seconds),
    row('VAE decode, s', 'decode', seconds),
    row('process, start to end, s', 'wall', seconds),
    row('peak resident memory', 'peakMemory', gigabytes),
  ];
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}

try {
  const request = readRequest(process.argv.slice(2));
  const report = await measure(request);
  console.log(request.json ? JSON.stringify(report) : format(report));
} catch (error) {
  const { code = '', message } = error as Error & { code?: string };
  const misused = error instanceof UsageError || /^ERR_(PARSE_ARGS|INVALID_ARG)/.test(code);
  console.error(misused ? `${message}\n\n${USAGE}` : message);
  process.exitCode = misused ? 2 : 1;
}
