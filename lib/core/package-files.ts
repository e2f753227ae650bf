// Where this package has the files that it reads: the addon and the bundled model.
//
// Each path is written out twice, because dist/ puts a folder between the package and its modules, and because programs that copy
// what a program needs (@vercel/nft of Next.js, Vercel, Nitro) follow no other form. A bundle in CommonJS has no import.meta.url. It
// has no addon either, which is what the error is about.

import { fileURLToPath } from 'node:url';

/** Node may run the sources themselves. */
const fromSources = import.meta.url?.endsWith('.ts');

/** Path of the small model that comes with this package, in the layout of Stable Diffusion 1. */
export const EMBEDDED_MODEL: string = import.meta.url
  ? fileURLToPath(
      fromSources
        ? new URL('../../models/emoji-64.gguf', import.meta.url)
        : new URL('../../../models/emoji-64.gguf', import.meta.url),
    )
  : '';

/** The folder with package.json. A bundle is somewhere else, or throws because it does not know where it is. */
export function packageFolder(): string {
  return fileURLToPath(fromSources ? new URL('../../', import.meta.url) : new URL('../../../', import.meta.url));
}

/** The folder of the prebuilt addons, which are copied with it. */
export function prebuildsFolder(): string {
  return fileURLToPath(
    fromSources ? new URL('../../prebuilds', import.meta.url) : new URL('../../../prebuilds', import.meta.url),
  );
}
