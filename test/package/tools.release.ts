// The published packages in the hands of other programs: bundlers, test runners, worker threads, npx, other users. All of them
// with PACKAGE_TEST=whole, otherwise those that need no further packages, and one bundler.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { root } from '../support/places.ts';
import { run, temporaryFolder } from './installation.ts';
import { createProject, MANAGERS, type Manager, type Project } from './managers.ts';
import { type Registry, startRegistry } from './registry.ts';

const whole = process.env.PACKAGE_TEST === 'whole';
const skip = !whole && 'only with PACKAGE_TEST=whole';

const GENERATE = `
  const model = await loadModel();
  const { images } = await model.txt2img({ prompt: 'a red apple', seed: 1, steps: 2 });
  await model.dispose();`;
const MODULE = `import { loadModel } from 'node-diffusion';
  ${GENERATE}
  console.log('width', images[0].width);`;
/** What {@link MODULE} prints. */
const WIDTH = /width 64/;

describe('the published packages', () => {
  let registry: Registry;
  let project: Project;

  /** Runs a file of the project, written to it first. */
  function runFile(name: string, text: string, env: NodeJS.ProcessEnv = {}): string {
    write({ [name]: text });
    return run(process.execPath, [name], project.folder, env);
  }

  function write(files: Readonly<Record<string, string>>, folder = project.folder): void {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), text);
    }
  }

  /** A project that has other packages too. */
  function projectWith(...specs: string[]): Project {
    const others = specs.map((spec) => [spec.slice(0, spec.lastIndexOf('@')), spec.slice(spec.lastIndexOf('@') + 1)]);
    const npm = MANAGERS[0] as Manager;
    return createProject(npm, registry.url, { 'node-diffusion': '*', ...Object.fromEntries(others) });
  }

  /** Runs a bundle from a folder that has nothing but the packages. */
  function runBundle(folder: string, file: string): void {
    assert.match(run(process.execPath, [file], folder), WIDTH);
  }

  before(async () => {
    assert.ok(existsSync(join(root, 'release')), 'There are no packages: npm run release');
    registry = await startRegistry(join(root, 'release'));
    project = projectWith();
  });
  after(() => registry.stop());

  it('are imported by ES modules', () => {
    assert.match(runFile('module.mjs', MODULE), WIDTH);
  });

  it('are required by CommonJS', () => {
    const program = `const { loadModel } = require('node-diffusion');
      (async () => { ${GENERATE} console.log('width', images[0].width); })();`;
    assert.match(runFile('program.cjs', program), WIDTH);
  });

  it('work in several worker threads at once', () => {
    write({ 'worker.mjs': MODULE });
    const program = `import { Worker } from 'node:worker_threads';
      for (const _ of 'ab') new Worker(new URL('worker.mjs', import.meta.url)).on('exit', (code) => console.log('exit', code));`;
    const output = runFile('main.mjs', program);
    assert.equal(output.match(/width 64/g)?.length, 2);
    assert.equal(output.match(/exit 0/g)?.length, 2);
  });

  it('work from a node_modules that only its owner may write', { skip: process.getuid?.() !== 0 && 'not root' }, () => {
    const home = temporaryFolder();
    const nobody = 65534;
    chownSync(home, nobody, nobody);
    chmodSync(project.folder, 0o755);
    const main = join(project.folder, 'node_modules', 'node-diffusion', 'dist', 'lib', 'cli', 'main.js');
    const args = [main, '-p', 'a red apple', '-s', '1', '--steps', '2', '-o', 'apple.png'];
    const options = { cwd: home, uid: nobody, gid: nobody, env: { HOME: home }, encoding: 'utf8' } as const;
    const { status, stderr } = spawnSync(process.execPath, args, options);
    assert.equal(status, 0, stderr);
    assert.ok(existsSync(join(home, 'apple.png')));
  });

  it('are fetched by npx into an empty cache', () => {
    const folder = temporaryFolder();
    const options = [`--registry=${registry.url}`, `--cache=${join(folder, 'cache')}`, '--yes', '--ignore-scripts'];
    run('npx', [...options, 'node-diffusion', '-p', 'a red apple', '--steps', '2', '-o', 'apple.png'], folder);
    assert.ok(existsSync(join(folder, 'apple.png')));
  });

  it('stay out of a bundle of esbuild', () => {
    const bundled = projectWith('esbuild@^0.28.0');
    write({ 'main.mjs': MODULE }, bundled.folder);
    const options = ['--bundle', '--platform=node', '--external:node-diffusion'];
    bundled.run('esbuild', 'main.mjs', ...options, '--format=esm', '--outfile=out.mjs');
    runBundle(bundled.folder, 'out.mjs');
  });

  it('stay out of a bundle of webpack', { skip }, () => {
    const bundled = projectWith('webpack@^5', 'webpack-cli@^7');
    const config = `module.exports = {
      mode: 'production', target: 'node', entry: './main.mjs', experiments: { outputModule: true },
      output: { path: __dirname, filename: 'out.mjs', module: true, library: { type: 'module' } },
      externals: { 'node-diffusion': 'import node-diffusion' },
    };`;
    write({ 'main.mjs': MODULE, 'webpack.config.cjs': config }, bundled.folder);
    bundled.run('webpack', '--config', 'webpack.config.cjs');
    runBundle(bundled.folder, 'out.mjs');
  });

  it('stay out of a bundle of Vite', { skip }, () => {
    const bundled = projectWith('vite@^8');
    const config = `export default {
      build: { ssr: 'main.mjs', outDir: 'out', rollupOptions: { external: ['node-diffusion'] } },
    };`;
    write({ 'main.mjs': MODULE, 'vite.config.js': config }, bundled.folder);
    bundled.run('vite', 'build');
    runBundle(bundled.folder, 'out/main.js');
  });

  it('work in a page of Next.js, from its standalone output', { skip }, () => {
    const bundled = projectWith('next@^16', 'react@^19', 'react-dom@^19');
    write(
      {
        'next.config.mjs': "export default { output: 'standalone', serverExternalPackages: ['node-diffusion'] };",
        'app/layout.jsx': 'export default ({ children }) => <html><body>{children}</body></html>;',
        'app/page.jsx': `import { loadModel } from 'node-diffusion';
          export default async function Page() { ${GENERATE} return <p>{'width ' + images[0].width}</p>; }`,
      },
      bundled.folder,
    );
    // The page is generated while it is built, and again by the output's copy of the packages.
    bundled.run('next', 'build');
    assert.match(run('cat', ['.next/server/app/index.html'], bundled.folder), WIDTH);
    const copy = join(bundled.folder, '.next', 'standalone');
    write({ 'main.mjs': MODULE }, copy);
    runBundle(copy, 'main.mjs');
  });

  it("are unpacked from an archive by the setting of Electron's example", { skip }, () => {
    const packed = projectWith('@electron/asar@^3');
    const example = JSON.parse(readFileSync(join(root, 'examples', 'electron', 'package.json'), 'utf8'));
    const folders = (example.build.asarUnpack as string[]).map((glob) => glob.replace(/\/\*\*$/, ''));
    const options = ['--unpack-dir', `{${folders.join(',')}}`];
    packed.run(
      'asar',
      'pack',
      'node_modules',
      'app.asar',
      ...options.map((text) => text.replaceAll('node_modules/', '')),
    );
    const unpacked = readdirSync(join(packed.folder, 'app.asar.unpacked'), { recursive: true }).map(String);
    for (const ending of [/\.node$/, /libggml-cpu-\S+\.so$/, /emoji-64\.gguf$/]) {
      assert.ok(
        unpacked.some((file) => ending.test(file)),
        `${ending} in ${unpacked.join()}`,
      );
    }
  });

  it('work in the workers of vitest', { skip }, () => {
    const tested = projectWith('vitest@^4');
    const test = (name: string) => `import { expect, test } from 'vitest';
      import { loadModel } from 'node-diffusion';
      test('${name}', async () => { ${GENERATE} expect(images[0].width).toBe(64); });`;
    write({ 'a.test.mjs': test('a'), 'b.test.mjs': test('b') }, tested.folder);
    for (const pool of ['threads', 'forks']) {
      assert.match(tested.run('vitest', 'run', `--pool=${pool}`), /Tests .*2 passed/);
    }
  });

  it('work in the workers of jest', { skip }, () => {
    const tested = projectWith('jest@^30');
    const test = (name: string) => `import { loadModel } from 'node-diffusion';
      test('${name}', async () => { ${GENERATE} expect(images[0].width).toBe(64); });`;
    const config = '{ "transform": {}, "testMatch": ["**/*.test.mjs"], "moduleFileExtensions": ["mjs", "js", "node"] }';
    write({ 'a.test.mjs': test('a'), 'b.test.mjs': test('b'), 'jest.config.json': config }, tested.folder);
    const jest = join('node_modules', 'jest', 'bin', 'jest.js');
    const args = ['--experimental-vm-modules', jest, '--workers=2'];
    assert.match(run(process.execPath, args, tested.folder), /Tests: +2 passed/);
  });
});
