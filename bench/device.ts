// Measures generation on a device: seconds of a step (both passes of classifier-free guidance) and of the VAE decoder, and
// the device's memory. The model is converted to each type while it is loaded.
//
// usage: node dist/bench/device.js MODEL [TYPE...] [--device NAME] [--size PIXELS] [--steps N] [--json]

import { parseArgs } from 'node:util';
import { type ConversionType, listDevices, loadModel } from '../lib/index.ts';
import { CONVERSION_TYPES } from '../lib/loading/weight-types.ts';
import { peakOf } from './process.ts';

interface Row {
  readonly type: string;
  /** Seconds. Of the steps the fastest, of the second image. */
  readonly load: number;
  readonly step: number;
  readonly decode: number;
  /** Bytes that the device has less of than before, after two images; all of the process where it is the CPU. */
  readonly memory: number;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    device: { type: 'string', default: 'auto' },
    size: { type: 'string', default: '512' },
    steps: { type: 'string', default: '10' },
    json: { type: 'boolean' },
  },
});
const [size, steps] = [values.size, values.steps].map(Number) as [number, number];

function freeOf(device: string): number {
  return listDevices().find(({ name }) => name === device)?.memoryFree ?? Number.NaN;
}

async function measure(file: string, type: ConversionType | undefined): Promise<Row> {
  // The backend itself takes memory once it is in use.
  const warm = await loadModel(undefined, { device: values.device });
  const { device } = warm.info;
  await warm.txt2img({ prompt: 'a red apple', steps: 1, seed: 1 });
  await warm.dispose();
  const free = freeOf(device);
  const start = performance.now();
  await using model = await loadModel(file, { device: values.device, type });
  const load = (performance.now() - start) / 1000;
  const image = { prompt: 'a red apple', width: size, height: size, cfgScale: 7, seed: 42, sampler: 'euler' } as const;
  await model.txt2img({ ...image, steps: 1 });
  const { timings } = await model.txt2img({ ...image, steps });
  const used = device === 'cpu' ? peakOf(process.pid) : free - freeOf(device);
  return {
    type: type ?? 'as stored',
    load,
    step: Math.min(...timings.steps) / 1000,
    decode: timings.decoding / 1000,
    memory: used ?? Number.NaN,
  };
}

const [file, ...types] = positionals;
if (file === undefined || types.some((type) => !CONVERSION_TYPES.includes(type as ConversionType))) {
  console.error(`usage: node dist/bench/device.js MODEL [TYPE...], of the types ${CONVERSION_TYPES.join(', ')}`);
  process.exitCode = 2;
} else {
  if (!values.json) console.log('| type | load, s | a step, ms | steps a second | VAE decode, ms | memory, MB |');
  if (!values.json) console.log(`|${' --- |'.repeat(6)}`);
  for (const type of types.length > 0 ? (types as ConversionType[]) : [undefined]) {
    const row = await measure(file, type);
    const cells = [
      row.type,
      row.load.toFixed(1),
      (row.step * 1000).toFixed(1),
      (1 / row.step).toFixed(2),
      (row.decode * 1000).toFixed(0),
      (row.memory / 1e6).toFixed(0),
    ];
    console.log(values.json ? JSON.stringify(row) : `| ${cells.join(' | ')} |`);
  }
}
