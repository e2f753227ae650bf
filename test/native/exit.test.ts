// Processes and threads that end in the middle of native work end cleanly: with the right exit code, in time, in silence.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { moduleUrl } from '../support/places.ts';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';

const model = tinyModel({ dtype: 'f16' }).path;

const prelude = `
  import { parentPort, Worker } from 'node:worker_threads';
  import { loadAddon } from '${moduleUrl('lib/native/load.ts')}';
  const addon = loadAddon();
  const never = new addon.Cancellation();
  const open = (options = {}) => addon.open(
    { model: ${JSON.stringify(model)} },
    { device: 'cpu', threads: 1, cancellation: never, ...options },
  );
  const encodeText = (model) =>
    model.evaluate('text_encoder', { tokens: { data: new Int32Array(77), shape: [1, 77] } }, {}, never);
  // Takes seconds.
  const decode = (model) =>
    model.evaluate('vae_decoder', { latent: { data: new Float32Array(4 * 48 * 48), shape: [1, 4, 48, 48] } }, {}, never);
  const sleep = (time) => new Promise((resolve) => setTimeout(resolve, time));
`;

let count = 0;
/** Writes a module; returns its path. */
function script(body: string, start = prelude): string {
  const path = join(temporaryFolder(), `exit-${count++}.mjs`);
  writeFileSync(path, start + body);
  return path;
}

interface Ending {
  code: number | string | undefined;
  signal: string | undefined;
  output: string;
}

function run(body: string, start = prelude): Promise<Ending> {
  return new Promise((resolve) => {
    execFile(process.execPath, [script(body, start)], { timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({
        code: error ? (error.code ?? undefined) : 0,
        signal: error?.signal ?? undefined,
        output: stdout + stderr,
      });
    });
  });
}

/** JavaScript that runs `body` in a worker thread and gives the worker. */
const worker = (body: string): string => `new Worker(${JSON.stringify(script(body))})`;

const midCall = `
  const model = await open();
  decode(model).catch(() => {});
  decode(model).catch(() => {});
  parentPort?.postMessage('busy');
`;

const endings: [name: string, body: string, code?: number][] = [
  ['the process ends with open models', 'globalThis.models = [await open(), await open(), await open()];'],
  [
    'the process waits for a call',
    'const model = await open(); encodeText(model).then(() => { process.exitCode = 3; });',
    3,
  ],
  ['process.exit() at once', `${midCall} process.exit(4);`, 4],
  ['process.exit() in the middle of a call', `${midCall} await sleep(100); process.exit(0);`],
  ['process.exit() while opening', 'open(); process.exit(0);'],
  ['process.exit() while disposing', `${midCall} model.dispose(); process.exit(0);`],
  [
    'calls from an exit listener',
    `${midCall} process.on('exit', () => {
      for (const promise of [open(), decode(model), model.dispose()]) promise.catch(() => {});
    });
    process.exit(0);`,
  ],
  ['worker.terminate() in the middle of a call', `const w = ${worker(midCall)}; w.on('message', () => w.terminate());`],
  [
    'worker.terminate() while opening',
    `const w = ${worker('open(); parentPort.postMessage(0);')}; w.on('message', () => w.terminate());`,
  ],
  [
    'worker.terminate() in a progress listener',
    `const w = ${worker('open({ onProgress() { parentPort.postMessage(0); for (;;); } });')};
    w.on('message', () => w.terminate());`,
  ],
  [
    'worker.terminate() while calls settle',
    `for (let i = 0; i < 8; i++) {
      const w = ${worker(`
        const model = await open();
        parentPort.postMessage('busy');
        for (;;) await encodeText(model);
      `)};
      await new Promise((resolve) => w.once('message', resolve));
      await sleep(i * 3);
      await w.terminate();
    }`,
  ],
  ['process.exit() in a worker', `${worker(`${midCall} process.exit(0);`)};`],
  ['an uncaught exception in a worker', `${worker(`${midCall} throw new Error('x');`)}.on('error', () => {});`],
  ['a worker that ends with an open model', `${worker('globalThis.model = await open();')};`],
  [
    'process.exit() with busy workers',
    `const workers = [${worker(midCall)}, ${worker(midCall)}, ${worker(midCall)}];
    const busy = Promise.all(workers.map((w) => new Promise((resolve) => w.once('message', resolve))));
    ${midCall}
    await busy;
    process.exit(0);`,
  ],
];

for (const [name, body, code = 0] of endings) {
  test(`${name}: the exit code is ${code}`, async () => {
    assert.deepEqual(await run(body), { code, signal: undefined, output: '' });
  });
}

test('an uncaught exception in the middle of a call is all that the process reports', async () => {
  const { code, signal, output } = await run(`${midCall} throw new Error('on purpose');`);
  assert.deepEqual({ code, signal }, { code: 1, signal: undefined });
  assert.match(output, /Error: on purpose/);
});

// Else the process would tear down what its threads still use, which crashes now and then.
test('process.exit() ends calls and frees models before anything else', {
  skip: process.platform !== 'linux',
}, async () => {
  const { code, output } = await run(`
    import { readFileSync } from 'node:fs';
    const mapped = () => readFileSync('/proc/self/maps', 'latin1').includes(${JSON.stringify(model)});
    process.on('exit', () => console.log(mapped()));
    ${midCall}
    console.log(mapped());
    process.exit(0);
  `);
  assert.deepEqual({ code, output }, { code: 0, output: 'true\nfalse\n' });
});

const evaluate = `
  const model = await open();
  const { hidden } = await encodeText(model);
  await model.dispose();
`;

test('several threads use the addon at once', async () => {
  const { code, output } = await run(`
    const ask = () => new Promise((resolve) => ${worker(`${evaluate} parentPort.postMessage(hidden);`)}.once('message', resolve));
    const answers = await Promise.all([ask(), ask(), ask()]);
    ${evaluate}
    console.log(answers.map((answer) => answer.every((value, i) => value === hidden[i])).join());
  `);
  assert.deepEqual({ code, output }, { code: 0, output: 'true,true,true\n' });
});

// The system may unload the addon with its last user.
test('threads use the addon one after another, and the main thread never does', async () => {
  const start = "import { Worker } from 'node:worker_threads';";
  const body = `for (let i = 0; i < 5; i++) {
    await new Promise((resolve, reject) => ${worker(evaluate)}.once('error', reject).once('exit', resolve));
  }`;
  assert.deepEqual(await run(body, start), { code: 0, signal: undefined, output: '' });
});
