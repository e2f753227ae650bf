// Opens a model and reads its token embedding, then says for each line of standard input how much of the file is in its memory:
// a line of JSON with `rss` and `pss` in bytes. Runs by itself:
//
//   node dist/test/memory/sharing.js FILE VOCABULARY

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { never } from '../support/addon.ts';
import { openModel } from '../support/networks.ts';

const [file = '', vocabulary] = process.argv.slice(2);
const POSITIONS = 77;
/** A token for each 64 KiB of rows of 256 bytes: as much as the system maps at once. */
const STRIDE = 256;

const model = await openModel({ model: file }, { device: 'cpu', threads: 1, cancellation: never });
const count = Math.floor(Number(vocabulary) / STRIDE);
const tokens = new Int32Array(POSITIONS * Math.ceil(count / POSITIONS));
for (let i = 0; i < count; i++) tokens[i] = i * STRIDE;
await model.encodeText(0, tokens, 1, never);

/** Of the mappings of the file (proc_pid_smaps(5)). */
function memoryOf(path: string): { rss: number; pss: number } {
  const mappings = readFileSync('/proc/self/smaps', 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  const ours = mappings.filter((mapping) => mapping.split('\n', 1)[0]?.endsWith(path));
  assert.ok(ours.length > 0, `${path} is mapped`);
  const sum = (name: string) =>
    ours.reduce(
      (bytes, mapping) => bytes + 1024 * Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(mapping)?.[1]),
      0,
    );
  return { rss: sum('Rss'), pss: sum('Pss') };
}

for await (const _ of createInterface(process.stdin)) console.log(JSON.stringify(memoryOf(file)));
await model.dispose();
