// Generates with the bundled model while the process may take no more than so many MB of addresses beyond what it has, and
// again without that limit. Runs by itself, and tells a line of JSON:
//
//   node dist/test/memory/limited.js MEGABYTES

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { EMBEDDED_MODEL, loadModel } from '../../lib/index.ts';
import { addon } from '../support/addon.ts';

const MEGABYTE = 1 << 20;
const PAGE = 4096;

/** Sets the limit of this process, which Node cannot do itself. */
function limit(bytes: number | 'unlimited'): void {
  execFileSync('prlimit', ['--pid', String(process.pid), `--as=${bytes}:unlimited`]);
}

async function generate(): Promise<string> {
  const model = await loadModel(EMBEDDED_MODEL, { threads: 2 });
  try {
    const { images } = await model.txt2img({ prompt: 'a red apple', seed: 1, steps: 2 });
    return createHash('sha256')
      .update(images[0]?.data ?? '')
      .digest('hex');
  } finally {
    await model.dispose();
  }
}

addon.devices(); // the addon is a part of what the process has
const taken = Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[0]) * PAGE;
limit(taken + Number(process.argv[2]) * MEGABYTE);
const [outcome] = await Promise.allSettled([generate()]);
limit('unlimited');
const refused = outcome.status === 'rejected' ? (outcome.reason as { code?: string; message: string }) : undefined;
console.log(
  JSON.stringify({
    limited: outcome.status === 'fulfilled' ? outcome.value : undefined,
    code: refused?.code,
    message: refused?.message,
    free: await generate(),
  }),
);
