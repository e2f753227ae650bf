// Builds the addon and the native tests for a debugger, in build-debug, and starts a program under it: gdb, on macOS lldb.
//
//   npm run debug                                    builds, and says how to attach to a process
//   npm run debug -- noise_test                      a native test
//   npm run debug -- test/native/calls.test.ts       Node with a file (a compiled one in dist/test before Node 24.3)
//   npm run debug -- dist/lib/cli/main.js -p "a cat" the command line

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { build, root } from './build.mjs';

/** As a file name and arguments. */
function programOf([name, ...args], folder) {
  const nativeTest = join(folder, name);
  return existsSync(nativeTest) ? [nativeTest, ...args] : [process.execPath, name, ...args];
}

const explanation = `
A program whose environment has NODE_DIFFUSION_PREBUILD=${join(root, 'build-debug')} loads this build of the addon. To attach to it:

  gdb -p PROCESS_ID     (macOS: lldb -p PROCESS_ID)
`;

try {
  const folder = build({ preset: 'debug' });
  const args = process.argv.slice(2);
  const debuggerArgs = process.platform === 'darwin' ? ['lldb', '--'] : ['gdb', '--args'];
  if (args.length === 0) console.log(explanation);
  else {
    const [command, ...rest] = [...debuggerArgs, ...programOf(args, folder)];
    const env = { ...process.env, NODE_DIFFUSION_PREBUILD: join(root, 'build-debug') };
    const { status, error } = spawnSync(command, rest, { cwd: root, env, stdio: 'inherit' });
    if (error) throw error;
    process.exitCode = status ?? 1;
  }
} catch (error) {
  console.error(`node-diffusion: ${error.message}`);
  process.exitCode = 1;
}
