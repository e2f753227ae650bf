// Where the pictures of a command go.

import type { RgbImage } from '../image/rgb-image.ts';
import { checkWritable } from '../image/write-png.ts';
import { print } from './standard-output.ts';
import { UsageError } from './usage-error.ts';

/** `-o` of a picture that goes to standard output. */
export const STANDARD_OUTPUT = '-';

/** A printf directive for the picture's number: `%d`, `%3d`, `%03d`. */
const NUMBER = /%(0?)(\d{0,2})d/;

/**
 * The path of each picture of a command, by the rules of `sd-cli`: a pattern with `%d` counts from 0; without one, several
 * pictures get `_1`, `_2`, ... before the extension, and a single one the name as it is.
 */
export function outputPaths(output: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => {
    if (NUMBER.test(output)) {
      return output.replace(NUMBER, (_match, zero: string, width: string) =>
        String(i).padStart(Number(width), zero || ' '),
      );
    }
    return count === 1 ? output : output.replace(/(\.[^./\\]*)?$/, `_${i + 1}$1`);
  });
}

/**
 * Checks before any work that all pictures can be written.
 *
 * @throws UsageError for standard output where it cannot hold them; DiffusionError `ERR_WRITE` for a file that cannot be written.
 */
export async function checkOutput(output: string, count: number, json: boolean, terminal: boolean): Promise<void> {
  if (output !== STANDARD_OUTPUT) {
    for (const path of outputPaths(output, count)) await checkWritable(path);
    return;
  }
  if (count > 1) throw new UsageError(`Expected one picture for standard output but --batch-count is ${count}`);
  if (json) throw new UsageError('Expected either -o - or --json: both would write to standard output');
  if (terminal) throw new UsageError('Expected a file or a pipe for -o - but standard output is a terminal');
}

/** Writes a picture to a file, or as PNG to standard output. */
export async function writePicture(image: Pick<RgbImage, 'png' | 'save'>, output: string): Promise<void> {
  if (output === STANDARD_OUTPUT) await print(await image.png());
  else await image.save(output);
}
