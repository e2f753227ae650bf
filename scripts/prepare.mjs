// Builds the addon of a clone, unless it is there and loads. npm calls it in a clone only: published packages have no
// script.

import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build, root } from './build.mjs';

const addon = join(root, 'build', 'Release', 'node-diffusion.node');

/** Whether the addon loads; tried in a process of its own, because a bad one may end it. */
function loads() {
  const { status, stderr } = spawnSync(process.execPath, ['-e', 'require(process.argv[1])', addon], {
    encoding: 'utf8',
  });
  if (status !== 0) console.log(`${addon} does not load here:\n${stderr.trim()}`);
  return status === 0;
}

try {
  const works = existsSync(addon) && loads();
  // npx in a clone prepares it only to run it.
  if (!(works && process.env.npm_command === 'exec')) {
    // A build tool takes a damaged file for an up-to-date one.
    if (!works) rmSync(addon, { force: true });
    build();
    if (!loads()) throw new Error('The addon was built, but does not load.');
  }
} catch (error) {
  console.error(`node-diffusion: ${error.message}`);
  process.exitCode = 1;
}
