// Processes with the same large file share its pages: it is mapped, not copied.

import assert from 'node:assert/strict';
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, realpathSync, truncateSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { test } from 'node:test';
import { modulePath } from '../support/places.ts';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';

/** A token embedding of 256 MiB in f32: larger files are mapped. */
const VOCABULARY = 2 ** 20;

interface Entry {
  shape: number[];
  data_offsets: [number, number];
}

/** A tiny model whose last tensor, the token embedding, is of zeros that take no room on the disk. */
function writeLarge(): string {
  const file = readFileSync(tinyModel().path);
  const start = 8 + Number(file.readBigUInt64LE());
  const header = JSON.parse(file.toString('utf8', 8, start)) as Record<string, Entry>;
  const embedding = Object.entries(header).find(([name]) => name.endsWith('token_embedding.weight'))?.[1] as Entry;
  const width = embedding.shape[1] as number;
  const old = embedding.data_offsets;
  embedding.shape = [VOCABULARY, width];
  const rest = Object.values(header).filter((entry) => entry !== embedding);
  for (const entry of rest) {
    const [begin, end] = entry.data_offsets;
    if (begin >= old[1]) entry.data_offsets = [begin - (old[1] - old[0]), end - (old[1] - old[0])];
  }
  const others = Math.max(...rest.map(({ data_offsets: [, end] }) => end));
  const bytes = 4 * VOCABULARY * width;
  embedding.data_offsets = [others, others + bytes];
  const json = JSON.stringify(header);
  const text = Buffer.from(json.padEnd(8 * Math.ceil(json.length / 8)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const data = file.subarray(start);
  const path = `${realpathSync(temporaryFolder())}/shared.safetensors`;
  writeFileSync(path, Buffer.concat([length, text, data.subarray(0, old[0]), data.subarray(old[1])]));
  truncateSync(path, 8 + text.length + others + bytes);
  return path;
}

type Program = ChildProcessByStdio<Writable, Readable, null>;

/** What a process has of the file in its memory, once it has read it. */
async function memoryOf(program: Program): Promise<{ rss: number; pss: number }> {
  const lines = createInterface(program.stdout);
  program.stdin.write('\n');
  const [line] = (await Promise.race([once(lines, 'line'), once(lines, 'close')])) as string[];
  assert.ok(line, 'the process ended');
  lines.close();
  return JSON.parse(line);
}

const skip = !existsSync('/proc/self/smaps') && 'the system does not say what processes share';

test('two processes with the same file share its pages', { skip }, async () => {
  const path = writeLarge();
  const start = (): Program =>
    spawn(process.execPath, [modulePath('test/memory/sharing.ts'), path, String(VOCABULARY)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
  const first = start();
  try {
    const alone = await memoryOf(first);
    assert.ok(alone.rss > 0.95 * 2 ** 28, `${alone.rss} bytes`);
    assert.ok(alone.pss > 0.95 * alone.rss, JSON.stringify(alone));
    const second = start();
    try {
      const other = await memoryOf(second);
      assert.ok(other.rss > 0.95 * 2 ** 28, `${other.rss} bytes`);
      assert.ok(other.pss < 0.55 * other.rss, JSON.stringify(other));
      const shared = await memoryOf(first);
      assert.ok(shared.pss < 0.55 * shared.rss, JSON.stringify(shared));
    } finally {
      second.kill();
    }
  } finally {
    first.kill();
  }
});
