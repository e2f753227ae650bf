// Paths of the files that this package reads: the addon, the bundled model and a vocabulary.
//
// Each path is written out twice, because compiled modules are one folder deeper, in dist/, and because tools that
// trace the files of a program (@vercel/nft of Next.js, Vercel, Nitro) only recognize this form. A CommonJS bundle has
// no import.meta.url; it has no addon either, which is what the error reports.

import { fileURLToPath } from 'node:url';

/** Whether Node runs the TypeScript sources directly. */
const fromSources = import.meta.url?.endsWith('.ts');

/** Path of the small model that comes with this package, in the layout of Stable Diffusion 1. */
export const EMBEDDED_MODEL: string = unpacked(
  import.meta.url
    ? fileURLToPath(
        fromSources
          ? new URL('../../models/emoji-64.gguf', import.meta.url)
          : new URL('../../../models/emoji-64.gguf', import.meta.url),
      )
    : '',
);

/** The merges of Qwen's tokenizer. */
export const QWEN_MERGES: string = import.meta.url
  ? fileURLToPath(
      fromSources
        ? new URL('../../models/qwen-merges.gz', import.meta.url)
        : new URL('../../../models/qwen-merges.gz', import.meta.url),
    )
  : '';

/** The folder with package.json. In a bundle this is another folder, or it throws. */
export function packageFolder(): string {
  return fileURLToPath(fromSources ? new URL('../../', import.meta.url) : new URL('../../../', import.meta.url));
}

/** The folder of the prebuilt addons, which are copied with it. */
export function prebuildsFolder(): string {
  return fileURLToPath(
    fromSources ? new URL('../../prebuilds', import.meta.url) : new URL('../../../prebuilds', import.meta.url),
  );
}

/**
 * Where a file lies that an Electron program has unpacked from its archive. Electron's own functions find it, native
 * ones only here.
 */
export function unpacked(path: string): string {
  return path.replace(/\bapp\.asar(?=[\\/])/, 'app.asar.unpacked');
}
