// Writes the images of a command: to the file of -o, under an unused name, or to standard output.

import { open, readdir, rm } from 'node:fs/promises';
import { toNumber } from '../core/values.ts';
import { warn } from '../core/warnings.ts';
import type { RgbImage } from '../image/rgb-image.ts';
import { checkQuality, checkWritable, namedFormat, refusedFormat } from '../image/write-image.ts';
import { OptionCheck } from '../options/check.ts';
import { type CommandLine, textOf } from './command-line.ts';
import type { Problems } from './problems.ts';
import { print } from './standard-output.ts';

/** The value of `-o` that writes to standard output. */
export const STANDARD_OUTPUT = '-';

/** A printf directive for the image's number: `%d`, `%3d`, `%03d`. */
const NUMBER = /%(0?)(\d{0,2})d/;

/** The default file name, and the names that may exist already. */
const DEFAULT = 'output.png';
const DEFAULTS = /^output(?:_(\d{1,15}))?\.png$/;

type Image = Pick<RgbImage, 'png' | 'save'>;

/** The output of one command. */
export class Output {
  readonly #named: string | undefined;
  readonly #count: number;
  readonly #quality: unknown;
  #written = 0;

  /** @param count number of images to write. */
  constructor({ flags }: CommandLine, count: number) {
    this.#named = textOf(flags.output);
    this.#count = count;
    this.#quality = toNumber(flags.quality);
  }

  /** Whether the names of the images are chosen here and not given on the command line. */
  get chooses(): boolean {
    return this.#named === undefined;
  }

  /** Checks everything that does not depend on the file system. */
  checkUse({ flags }: CommandLine, problems: Problems): void {
    this.#checkFormat(problems);
    if (this.#named !== STANDARD_OUTPUT) return;
    if (this.#count > 1) problems.add(`Expected one image for standard output but --batch-count is ${this.#count}`);
    if (flags.json) problems.add('Expected either -o - or --json: both would write to standard output');
    if (process.stdout.isTTY) problems.add('Expected a file or a pipe for -o - but standard output is a terminal');
  }

  #checkFormat(problems: Problems): void {
    const format = namedFormat(this.#named ?? DEFAULT);
    if (format === undefined) problems.add(refusedFormat(this.#named as string));
    if (this.#quality === undefined) return;
    if (format === 'png') problems.add('Expected a name that ends in .jpg or .webp for -o with --quality');
    problems.attempt(() => {
      const check = new OptionCheck({ '--quality': this.#quality }, ['--quality']);
      checkQuality(check, '--quality');
      check.done();
    });
  }

  /**
   * Checks before any work starts that all images can be written.
   *
   * @throws DiffusionError `ERR_WRITE` for a file that cannot be written.
   */
  async checkFiles(): Promise<void> {
    if (this.#named === STANDARD_OUTPUT) return;
    for (let i = 0; i < this.#count; i++)
      await checkWritable(this.#named ? nameOf(this.#named, i, this.#count) : DEFAULT);
  }

  /**
   * Writes the next image.
   *
   * @returns its path.
   */
  async write(image: Image): Promise<string> {
    const index = this.#written++;
    if (this.#named === undefined) return this.#writeWhereFree(image);
    if (this.#named === STANDARD_OUTPUT) {
      await print(await image.png());
      return STANDARD_OUTPUT;
    }
    return this.#writeTo(nameOf(this.#named, index, this.#count), image);
  }

  /** If the format cannot hold the image (a WebP side has at most 16,383 pixels), writes a PNG rather than lose it. */
  async #writeTo(path: string, image: Image): Promise<string> {
    try {
      await image.save(path, { quality: this.#quality as number | undefined });
      return path;
    } catch (error) {
      const instead = `${path}.png`;
      if (namedFormat(path) === 'png' || !(await reserve(instead))) throw error;
      await saveOrRemove(image, instead);
      warn(`${(error as Error).message}. It was written as '${instead}'`);
      return instead;
    }
  }

  /** Reserves a name before it writes, so that two commands in one folder do not use the same. */
  async #writeWhereFree(image: Image): Promise<string> {
    for (;;) {
      const path = await freeName(this.#count);
      if (!(await reserve(path))) continue;
      await saveOrRemove(image, path);
      return path;
    }
  }
}

/**
 * The name of one of several images, by the rules of `sd-cli`: a pattern with `%d` counts from 0. Without a pattern,
 * several images get `_1`, `_2`, ... before the extension, and a single one keeps the name.
 */
function nameOf(output: string, index: number, count: number): string {
  if (NUMBER.test(output)) {
    return output.replace(NUMBER, (_match, zero: string, width: string) =>
      String(index).padStart(Number(width), zero || ' '),
    );
  }
  return count === 1 ? output : output.replace(/(\.[^./\\]*)?$/, `_${index + 1}$1`);
}

/** The default name, numbered after the highest existing number. */
async function freeName(count: number): Promise<string> {
  const numbers = (await readdir('.'))
    .map((file) => DEFAULTS.exec(file))
    .map((match) => match && Number(match[1] ?? 1));
  const next = Math.max(0, ...numbers.map((number) => number ?? 0)) + 1;
  return next === 1 && count === 1 ? DEFAULT : `output_${next}.png`;
}

/** Writes to a reserved name. */
async function saveOrRemove(image: Image, path: string): Promise<void> {
  try {
    await image.save(path);
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}

/** Creates an empty file; false if one exists. */
async function reserve(path: string): Promise<boolean> {
  try {
    await (await open(path, 'wx')).close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    await checkWritable(path);
    throw error;
  }
}
