// Bad input to a conversion: typed errors, and nothing is left or lost.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it, test } from 'node:test';
import { type ConvertOptions, convert, EMBEDDED_MODEL, inspectModel } from '../../lib/index.ts';
import { type TestTensor, writeSafetensors, writeStored } from '../support/safetensors.ts';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';

const posix = process.platform !== 'win32';
let tensors: TestTensor[] = [];
const { path: source } = tinyModel({ edit: (all) => (tensors = all) });

let folder = '';
let count = 0;
beforeEach(() => {
  folder = join(temporaryFolder(), `hostile-${count++}`);
  mkdirSync(folder);
});
afterEach(() => rmSync(folder, { recursive: true }));
const pathOf = (name: string): string => join(folder, name);

/** Expects a failure that leaves the folder as it was. */
async function refuses(
  from: Parameters<typeof convert>[0],
  to: string,
  options: ConvertOptions,
  expected: Parameters<typeof assert.rejects>[1],
): Promise<void> {
  const contents = () => readdirSync(folder).map((name) => [name, readFileSync(pathOf(name), 'base64')]);
  const before = contents();
  await assert.rejects(convert(from, to, options), expected);
  assert.deepEqual(contents(), before);
}

const wrong = (options: object): ConvertOptions => options as ConvertOptions;

describe('options', () => {
  const outputs: [options: object, output: string, code: string, message: RegExp][] = [
    [{ type: 'q9_0' }, 'a.gguf', 'ERR_INVALID_ARG_VALUE', /one of f32, f16, bf16, q8_0, .*q2_k for type .*'q9_0'/],
    [{ type: 'q4' }, 'a.gguf', 'ERR_INVALID_ARG_VALUE', /Did you mean 'q4_[k10]'/],
    [{ type: 4 }, 'a.gguf', 'ERR_INVALID_ARG_TYPE', /for type but received 4/],
    [{ type: null }, 'a.gguf', 'ERR_INVALID_ARG_TYPE', /for type but received null/],
    [{ type: 'q8_0' }, 'a.safetensors', 'ERR_INVALID_ARG_VALUE', /one of f32, f16, bf16 for type .* \.gguf files/],
    [{ types: 'f16' }, 'a.gguf', 'ERR_UNKNOWN_OPTION', /Did you mean 'type'/],
    [{ tensorTypeRules: 'vae' }, 'a.gguf', 'ERR_INVALID_ARG_VALUE', /regex=type,regex=type/],
    [{ tensorTypeRules: '(=f16' }, 'a.gguf', 'ERR_INVALID_ARG_VALUE', /regex=type,regex=type/],
    [{ tensorTypeRules: 'a=f16,b=q9' }, 'a.gguf', 'ERR_INVALID_ARG_VALUE', /one of f32, .* for tensorTypeRules .*'q9'/],
    [{ tensorTypeRules: '=f16' }, 'a.gguf', 'ERR_INVALID_ARG_VALUE', /regex=type/],
    [{ tensorTypeRules: '(a)\\1=f16' }, 'a.gguf', 'ERR_INVALID_ARG_VALUE', /regular expression/],
    [{ tensorTypeRules: '(?<=a)b=f16' }, 'a.gguf', 'ERR_INVALID_ARG_VALUE', /regular expression/],
    [{ threads: 0 }, 'a.gguf', 'ERR_INVALID_ARG_VALUE', /from 1 to 512 for threads/],
    [{ onProgress: 1 }, 'a.gguf', 'ERR_INVALID_ARG_TYPE', /a function for onProgress/],
    [{}, 'a.ckpt', 'ERR_INVALID_ARG_VALUE', /ends in \.gguf or \.safetensors for output/],
    [{}, 'gguf', 'ERR_INVALID_ARG_VALUE', /ends in \.gguf or \.safetensors for output/],
  ];
  for (const [options, output, code, message] of outputs) {
    it(`refuses ${JSON.stringify(options)} for ${output}`, () =>
      refuses(source, pathOf(output), wrong(options), { code, message }));
  }

  it('refuses what is no path', async () => {
    for (const path of [undefined, null, 7, '', 'a\0.gguf']) {
      await assert.rejects(convert(source, path as string), { code: /ERR_INVALID_ARG/ });
    }
    await assert.rejects(convert({} as never, pathOf('a.gguf')), { code: 'ERR_INVALID_ARG_VALUE' });
    const depthModel = { model: source, depthModel: source };
    await assert.rejects(convert(depthModel, pathOf('a.gguf')), { code: 'ERR_UNKNOWN_OPTION' });
  });

  it('an expression that would take for ever to match takes no time', async () => {
    const start = performance.now();
    await convert(source, pathOf('a.gguf'), { tensorTypeRules: '^(([a-z_.0-9]+)+)+!$=f16' });
    const nested = (depth: number) => `${'(?='.repeat(depth)}a${')'.repeat(depth)}=f16`;
    await convert(source, pathOf('a.gguf'), { tensorTypeRules: nested(60) });
    const message = /at most 256 characters for tensorTypeRules/;
    await refuses(
      source,
      pathOf('a.gguf'),
      { tensorTypeRules: nested(2000) },
      { code: 'ERR_INVALID_ARG_VALUE', message },
    );
    assert.ok(performance.now() - start < 5000);
  });
});

describe('a file is not converted onto itself', { skip: !posix }, () => {
  beforeEach(() => copyFileSync(source, pathOf('model.safetensors')));
  const expected = { code: 'ERR_WRITE', message: /Expected an output file other than the source files but/ };

  it('under its name', () => refuses(pathOf('model.safetensors'), pathOf('model.safetensors'), {}, expected));

  it('under another way to it', () =>
    refuses(
      pathOf('model.safetensors'),
      join(folder, '..', folder.split('/').at(-1) ?? '', 'model.safetensors'),
      {},
      expected,
    ));

  it('through a symbolic link', () => {
    symlinkSync(pathOf('model.safetensors'), pathOf('link.safetensors'));
    return refuses(pathOf('model.safetensors'), pathOf('link.safetensors'), {}, expected);
  });

  it('through a hard link', () => {
    linkSync(pathOf('model.safetensors'), pathOf('hard.safetensors'));
    return refuses(
      { model: EMBEDDED_MODEL, vae: pathOf('model.safetensors') },
      pathOf('hard.safetensors'),
      {},
      expected,
    );
  });

  it('as a file of a folder', async () => {
    mkdirSync(pathOf('unet'));
    copyFileSync(source, pathOf('unet/diffusion_pytorch_model.safetensors'));
    const path = pathOf('unet/diffusion_pytorch_model.safetensors');
    await assert.rejects(convert(folder, path), expected);
    assert.deepEqual(readFileSync(path), readFileSync(source));
    rmSync(pathOf('unet'), { recursive: true });
  });
});

describe('places', { skip: !posix }, () => {
  it('a folder that is missing', () =>
    refuses(source, pathOf('none/a.gguf'), {}, { code: 'ERR_WRITE', message: /does not exist. Create it first/ }));

  it('a folder', async () => {
    mkdirSync(pathOf('a.gguf'));
    await assert.rejects(convert(source, pathOf('a.gguf')), { code: 'ERR_WRITE', message: /is a folder/ });
    assert.deepEqual(readdirSync(folder), ['a.gguf']);
  });

  it('a device behind a link', async () => {
    symlinkSync('/dev/full', pathOf('a.gguf'));
    await assert.rejects(convert(source, pathOf('a.gguf')), { code: 'ERR_WRITE', message: /is a device/ });
  });

  it('a disk without room: the file that was there stays', { skip: process.platform !== 'linux' }, () => {
    writeFileSync(pathOf('a.gguf'), 'precious');
    const script = `import { convert } from 'node-diffusion';
      await convert(...process.argv.slice(1)).catch(({ code, message }) => console.log(code, message));`;
    // The limit of a file's size stands for that of the disk.
    const limited = `trap '' XFSZ; ulimit -f 100; exec "$@"`;
    const node = [process.execPath, '--input-type=module', '-e', script, source, pathOf('a.gguf')];
    const said = execFileSync('sh', ['-c', limited, 'sh', ...node], { encoding: 'utf8' });
    assert.match(said, /^ERR_WRITE Cannot write '.*a\.gguf': File too large/);
    assert.deepEqual(readdirSync(folder), ['a.gguf']);
    assert.equal(readFileSync(pathOf('a.gguf'), 'utf8'), 'precious');
  });
});

describe('sources', () => {
  const first = () => tensors.find(({ name }) => name.endsWith('in_layers.2.weight')) as TestTensor;
  const poisoned = (value: number): TestTensor[] =>
    tensors.map((tensor) => {
      if (tensor !== first()) return tensor;
      const values = tensor.values.slice();
      values[5] = value;
      return { ...tensor, values };
    });

  it('that are missing', () =>
    refuses(pathOf('none.safetensors'), pathOf('a.gguf'), {}, { code: 'ERR_FILE', message: /none\.safetensors/ }));

  it('that are cut', () => {
    copyFileSync(source, pathOf('cut.safetensors'));
    truncateSync(pathOf('cut.safetensors'), 100_000);
    return refuses(pathOf('cut.safetensors'), pathOf('a.gguf'), {}, { code: 'ERR_MODEL_CORRUPT' });
  });

  it('that are no weights', () => {
    writeFileSync(pathOf('text.safetensors'), 'no weights');
    return refuses(pathOf('text.safetensors'), pathOf('a.gguf'), {}, { code: 'ERR_MODEL_UNSUPPORTED' });
  });

  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    for (const type of ['f16', 'q4_0', 'f32'] as const) {
      it(`with ${value}, to ${type}`, () => {
        writeSafetensors(pathOf('poisoned.safetensors'), poisoned(value));
        const message = /Expected finite weights, but '.*in_layers\.2\.weight' has .*(nan|inf) at index 5/;
        return refuses(pathOf('poisoned.safetensors'), pathOf('a.gguf'), { type }, { code: 'ERR_NON_FINITE', message });
      });
    }
  }

  it('with numbers that f16 cannot hold, but bf16 can', async () => {
    writeSafetensors(pathOf('large.safetensors'), poisoned(-1e6));
    const message = /within the range of f16, but '.*' has -1e\+06 at index 5. Keep this tensor in f32 or bf16/;
    await refuses(pathOf('large.safetensors'), pathOf('a.gguf'), { type: 'f16' }, { code: 'ERR_NON_FINITE', message });
    const tensorTypeRules = `^${first().name}$=bf16`;
    const { types } = await convert(pathOf('large.safetensors'), pathOf('a.gguf'), { type: 'f16', tensorTypeRules });
    assert.equal(types.bf16, 1);
  });

  it('with more dimensions than GGUF has, and with complex numbers', async () => {
    const data = Buffer.alloc(64);
    writeStored(pathOf('five.safetensors'), [{ name: 'a.b', dtype: 'F16', shape: [2, 2, 2, 2, 2], data }]);
    writeStored(pathOf('complex.safetensors'), [{ name: 'a.b', dtype: 'C64', shape: [8], data }]);
    for (const name of ['five', 'complex']) {
      const expected = {
        code: 'ERR_MODEL_UNSUPPORTED',
        message: /'a\.b' has (more than 4 dim|numbers of the type c64)/,
      };
      await refuses(pathOf(`${name}.safetensors`), pathOf('a.gguf'), {}, expected);
    }
  });

  it('with tensors without numbers, scalars and integers', async () => {
    writeStored(pathOf('odd.safetensors'), [
      { name: 'a.empty', dtype: 'F32', shape: [0, 3], data: Buffer.alloc(0) },
      { name: 'a.scalar', dtype: 'F32', shape: [], data: Buffer.from(Float32Array.of(0.5).buffer) },
      { name: 'a.long', dtype: 'I64', shape: [1], data: Buffer.from(BigInt64Array.of(2n ** 60n).buffer) },
      { name: 'a.byte', dtype: 'U8', shape: [3], data: Buffer.from([1, 2, 255]) },
    ]);
    const { types } = await convert(pathOf('odd.safetensors'), pathOf('a.gguf'), { type: 'q4_0' });
    assert.deepEqual(types, { f32: 3, i64: 1 });
    assert.equal((await inspectModel(pathOf('a.gguf'))).files[0]?.tensors, 4);
  });
});

describe('an end before the end', () => {
  it('a signal that has fired', () => {
    const reason = new Error('enough');
    return refuses(source, pathOf('a.gguf'), { signal: AbortSignal.abort(reason) }, reason);
  });

  it('a signal that fires while weights are converted ends it at once', async () => {
    const shape = [4096, 4096];
    const values = new Float32Array(4096 * 4096).fill(0.1);
    const all = ['a.weight', 'b.weight', 'c.weight', 'd.weight'].map((name) => ({
      name,
      dtype: 'f32' as const,
      shape,
      values,
    }));
    writeSafetensors(pathOf('large.safetensors'), all);
    const controller = new AbortController();
    const reason = new Error('enough');
    let aborted = 0;
    const onProgress = () => {
      if (aborted > 0) return;
      aborted = performance.now();
      assert.equal(readdirSync(folder).length, 2);
      controller.abort(reason);
    };
    const options: ConvertOptions = { type: 'iq4_xs', threads: 1, signal: controller.signal, onProgress };
    await assert.rejects(convert(pathOf('large.safetensors'), pathOf('a.gguf'), options), reason);
    assert.ok(performance.now() - aborted < 1000, `${performance.now() - aborted} ms`);
    assert.deepEqual(readdirSync(folder), ['large.safetensors']);
  });

  it('a callback that throws', () => {
    const reason = new Error('from the callback');
    const onProgress = () => {
      throw reason;
    };
    return refuses(source, pathOf('a.gguf'), { onProgress }, reason);
  });
});

test('progress reaches the whole, and says how long the rest takes', async () => {
  const all: { done: number; total: number; secondsLeft: number }[] = [];
  await convert(EMBEDDED_MODEL, pathOf('a.gguf'), { type: 'iq4_nl', onProgress: (progress) => all.push(progress) });
  assert.ok(all.length > 5, `${all.length}`);
  for (const [i, { done, total, secondsLeft }] of all.entries()) {
    assert.ok(done <= total && done >= (all[i - 1]?.done ?? 0));
    assert.ok(secondsLeft >= 0 && secondsLeft < 600, `${secondsLeft}`);
  }
  const { done, total, secondsLeft } = all.at(-1) as (typeof all)[number];
  assert.equal(done, total);
  assert.equal(secondsLeft, 0);
});

test('memory holds less than one large tensor', { skip: process.platform !== 'linux' }, () => {
  const script = `import { convert } from 'node-diffusion';
    const before = process.memoryUsage.rss();
    await convert(...process.argv.slice(1, 3), { type: 'q8_0', threads: 1 });
    console.log(process.resourceUsage().maxRSS * 1024 - before);`;
  const [rows, columns] = [16384, 4096]; // 256 MiB a tensor, of zeros that take no room on the disk
  const bytes = 4 * rows * columns;
  const header = Object.fromEntries(
    ['a.weight', 'b.weight', 'c.weight'].map((name, i) => [
      name,
      { dtype: 'F32', shape: [rows, columns], data_offsets: [i * bytes, (i + 1) * bytes] },
    ]),
  );
  const json = Buffer.from(JSON.stringify(header).padEnd(1024));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(1024n);
  writeFileSync(pathOf('large.safetensors'), Buffer.concat([length, json]));
  truncateSync(pathOf('large.safetensors'), 8 + 1024 + 3 * bytes);
  const node = ['--input-type=module', '-e', script, pathOf('large.safetensors'), pathOf('a.gguf')];
  const taken = Number(execFileSync(process.execPath, node, { encoding: 'utf8' }));
  assert.ok(taken < bytes + 2 ** 26, `${taken >> 20} MiB`);
});
