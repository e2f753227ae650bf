// Packs the merges of Qwen's tokenizer for lib/text/qwen-vocabulary.ts.
//
//     node scripts/pack-qwen-merges.mjs tokenizer.json     (of any Qwen 2, 2.5 or 3 model)
//
// writes models/qwen-merges.gz: six columns of one byte per merge, the number of its left token and that of its right
// token, most significant byte first. In columns it takes 532 kB, as text 702 kB. That the tokens are the bytes' symbols
// and then one for each merge is checked here.

import { readFileSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const [path] = process.argv.slice(2);
if (!path) throw new Error('Expected the path of a tokenizer.json');
const { model } = JSON.parse(readFileSync(path, 'utf8'));
const count = model.merges.length;
const columns = Buffer.alloc(6 * count);
for (const [rank, merge] of model.merges.entries()) {
  const halves = typeof merge === 'string' ? merge.split(' ') : merge;
  if (model.vocab[halves.join('')] !== 256 + rank) throw new Error(`Merge ${rank} does not make token ${256 + rank}`);
  const [left, right] = halves.map((half) => model.vocab[half]);
  for (const [i, token] of [left, right].entries()) {
    for (let byte = 0; byte < 3; byte++) columns[(3 * i + byte) * count + rank] = token >> (16 - 8 * byte);
  }
}
writeFileSync(new URL('../models/qwen-merges.gz', import.meta.url), gzipSync(columns, { level: 9 }));
