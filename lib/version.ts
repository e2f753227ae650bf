// The version of this package.

import { createRequire } from 'node:module';

/** Read from package.json, two folders above the compiled file. */
export const PACKAGE_VERSION: string = createRequire(import.meta.url)('../../package.json').version;
