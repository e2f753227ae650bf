// What npm publishes: its content, its types and entry points, and an installation where no compiler is.

import assert from 'node:assert/strict';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { root } from '../support/places.ts';
import { generate, install, layOut, pack, pathWithoutCompiler, run } from './installation.ts';

/** Compiles a program that uses the types, declarations of libraries checked too, with those of Node beside it. */
function compile(project: string): void {
  mkdirSync(join(project, 'node_modules', '@types'), { recursive: true });
  for (const name of ['@types/node', 'undici-types']) {
    cpSync(join(root, 'node_modules', name), join(project, 'node_modules', name), { recursive: true });
  }
  const program = `
    import { loadModel, type RgbImage } from 'node-diffusion';
    await using model = await loadModel();
    const image: RgbImage | undefined = (await model.txt2img({ prompt: 'x' })).images[0];
    await image?.save('x.png');
  `;
  writeFileSync(join(project, 'program.ts'), program);
  const options = ['--noEmit', '--strict', '--target', 'es2022'];
  for (const modules of [
    ['--module', 'nodenext'],
    ['--module', 'node16'],
    ['--module', 'esnext', '--moduleResolution', 'bundler'],
  ]) {
    run(join(root, 'node_modules', '.bin', 'tsc'), [...options, ...modules, 'program.ts'], project);
  }
}

describe('the npm package', () => {
  let tarball: string;
  let files: string[];

  before(() => {
    tarball = pack('--ignore-scripts');
    files = run('tar', ['-tzf', tarball], root)
      .trim()
      .split('\n')
      .map((file) => file.replace(/^package\//, ''));
  });

  it('carries what a build from source needs, and every license', () => {
    for (const file of [
      'CMakeLists.txt',
      'CMakePresets.json',
      'scripts/build.mjs',
      'vendor/fetch.mjs',
      'vendor/ggml.json',
      'vendor/patches/scheduler.patch',
      'vendor/ggml/pin.json',
      'vendor/ggml/CMakeLists.txt',
      'vendor/ggml/src/ggml-cpu/ggml-cpu.c',
      'vendor/ggml/src/ggml-cuda/CMakeLists.txt',
      'vendor/ggml/src/ggml-vulkan/CMakeLists.txt',
      'vendor/ggml/src/ggml-metal/CMakeLists.txt',
      'vendor/ggml/LICENSE',
      'vendor/ggml/nlohmann/LICENSE',
      'native/addon/addon.cc',
      'dist/lib/native/load.js',
      'LICENSE',
      'THIRD_PARTY_LICENSES.md',
      'README.md',
    ]) {
      assert.ok(files.includes(file), `${file} is missing`);
    }
  });

  it('carries no tests, build folders or sources of unused backends', () => {
    const unwanted = files.filter((file) =>
      /^(test|dist\/test|native\/test|build|bench|node_modules)|ggml-(sycl|opencl|cann)\//.test(file),
    );
    assert.deepEqual(unwanted, []);
  });

  it('has entry points and types that resolve', () => {
    const program = (name: string) => join(root, 'node_modules', '.bin', name);
    run(program('publint'), ['run', tarball, '--strict'], root);
    run(program('attw'), [tarball, '--profile', 'esm-only', '--no-emoji'], root);
  });

  it('installs with a prebuilt binary and generates an image without a compiler on PATH', () => {
    const env = {
      PATH: pathWithoutCompiler(),
      NODE_DIFFUSION_PREBUILD: layOut(join(root, 'build', 'Release', 'node-diffusion.node')),
    };
    assert.throws(() => run('cmake', ['--version'], root, env), { code: 'ENOENT' });
    const { project } = install([tarball], env);
    generate(project, env);
    // No package that is optional came along.
    const jpeg = () => run('npx', ['diffuse', '-p', 'a red apple', '-o', 'apple.jpg'], project, env);
    assert.throws(jpeg, /ended with 1:\n.*Install it with `npm install sharp`/);
    const names = run('node', ['-p', "Object.keys(require('node-diffusion')).join()"], project, env);
    assert.match(names, /\bloadModel\b/, 'require() of the ES module');
    compile(project);
  });
});
