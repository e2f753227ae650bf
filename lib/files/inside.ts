// Whether a file is where its name says.

import { realpath } from 'node:fs/promises';
import { isAbsolute, relative, sep } from 'node:path';

/** Whether a path leads to something in the folder or below it, after links are followed. False where one of both is not there. */
export async function isInside(folder: string, path: string): Promise<boolean> {
  try {
    const [outer, inner] = await Promise.all([realpath(folder), realpath(path)]);
    const between = relative(outer, inner);
    return between !== '' && !isAbsolute(between) && between !== '..' && !between.startsWith(`..${sep}`);
  } catch {
    return false;
  }
}
