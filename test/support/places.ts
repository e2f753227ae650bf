// Where the files of this package are, for tests that run as TypeScript and for those that run compiled, from dist/.

import { execFileSync } from 'node:child_process';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder with package.json. */
export const root: string = fileURLToPath(new URL('./', import.meta.resolve('node-diffusion/package.json')));

/** That of all modules here, `.ts` or `.js`. */
const extension = extname(import.meta.url);

/** The URL of a module for programs that tests write: `lib/index.ts`, or what it was compiled to. */
export function moduleUrl(source: string): string {
  return new URL(`../../${source.replace(/\.ts$/, extension)}`, import.meta.url).href;
}

/** The path of a module for processes that run it. */
export function modulePath(source: string): string {
  return fileURLToPath(moduleUrl(source));
}

/** Brings dist/ up to date, for tests of what is published. */
export function compile(): void {
  if (extension === '.js') return;
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  execFileSync(process.execPath, [tsc, '-p', root], { stdio: ['ignore', 2, 2] });
}
