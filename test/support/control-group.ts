// A control group of Linux that limits the memory of a process, where this process may create one.

import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface ControlGroup {
  /** A process joins by writing its number there. */
  readonly members: string;
  /** Removes the group, which must be empty. */
  remove(): void;
}

/** Creates a group in which processes may take `bytes` together; the reason if that is not possible. */
export function createControlGroup(bytes: number): ControlGroup | string {
  if (process.platform !== 'linux') return 'control groups are those of Linux';
  const reasons: string[] = [];
  const lines = readFileSync('/proc/self/cgroup', 'utf8').trim().split('\n');
  for (const line of lines) {
    const [, controllers = '', ...path] = line.split(':');
    const versions: [mount: string, file: string][] =
      controllers === ''
        ? [['/sys/fs/cgroup', 'memory.max']]
        : controllers.split(',').includes('memory')
          ? [['/sys/fs/cgroup/memory', 'memory.limit_in_bytes']]
          : [];
    for (const [mount, file] of versions) {
      // A group with processes may have no groups with limits in version 2, but those above it may.
      for (let group = path.join(':'); ; group = dirname(group)) {
        try {
          return createBelow(join(mount, group), file, bytes);
        } catch (error) {
          reasons.push((error as Error).message);
        }
        if (group === '/' || group === '.') break;
      }
    }
  }
  return `no control group can be created: ${reasons.join('; ')}`;
}

function createBelow(parent: string, file: string, bytes: number): ControlGroup {
  const folder = join(parent, `node-diffusion-${process.pid}`);
  mkdirSync(folder);
  try {
    writeFileSync(join(folder, file), String(bytes), { flag: 'r+' });
  } catch (error) {
    rmdirSync(folder);
    throw error;
  }
  return { members: join(folder, 'cgroup.procs'), remove: () => rmdirSync(folder) };
}
