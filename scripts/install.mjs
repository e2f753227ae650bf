// The install script: does nothing where a prebuilt binary loads, and otherwise builds the addon from source.
//
// npm_config_build_from_source=true (npm install --build-from-source) builds in any case.

import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const { resolve } = createRequire(import.meta.url)('node-gyp-build');

/** The binary that the package would load; undefined where there is none. */
function findBinary() {
  try {
    return resolve(root);
  } catch {
    return undefined;
  }
}

/** Whether the binary loads; tried in a process of its own, because a bad one may end it. */
function loads(path) {
  const { status, stderr } = spawnSync(process.execPath, ['-e', 'require(process.argv[1])', path], {
    encoding: 'utf8',
  });
  if (status !== 0) console.log(`${path} does not load here:\n${stderr.trim()}`);
  return status === 0;
}

async function install() {
  const found = findBinary();
  if (found) {
    const works = loads(found);
    const prebuilt = !found.startsWith(join(root, 'build') + sep);
    if (works && prebuilt && process.env.npm_config_build_from_source !== 'true') return;
    // npx in a clone, which installs it into its cache only to run it.
    if (works && process.env.npm_command === 'exec') return;
    // A build tool takes a damaged file for an up-to-date one.
    if (!works && !prebuilt) rmSync(found);
  }
  // Loaded only now: an install with a fitting binary needs none of the build's packages.
  const { build } = await import('./build.mjs');
  build();
  const built = findBinary();
  if (!built || !loads(built)) throw new Error('The addon was built, but does not load.');
}

try {
  await install();
} catch (error) {
  console.error(`node-diffusion: ${error.message}`);
  process.exitCode = 1;
}
