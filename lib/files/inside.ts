// Whether a file is really inside a folder.

import { realpath } from 'node:fs/promises';
import { isAbsolute, relative, sep } from 'node:path';

/**
 * Whether a path leads to something in the folder or below it, after following links. False if either does not exist.
 */
export async function isInside(folder: string, path: string): Promise<boolean> {
  try {
    const [outer, inner] = await Promise.all([realpath(folder), realpath(path)]);
    const between = relative(outer, inner);
    return between !== '' && !isAbsolute(between) && between !== '..' && !between.startsWith(`..${sep}`);
  } catch {
    return false;
  }
}
