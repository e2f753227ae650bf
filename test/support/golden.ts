// Reads golden numbers, which lie beside the scripts that made them.

import { readFileSync } from 'node:fs';

/**
 * The parsed JSON file `test/reference/<name>`. Tests run compiled, from dist/test, so the way leads back to the
 * sources.
 */
export function golden<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../../test/reference/${name}`, import.meta.url), 'utf8')) as T;
}
