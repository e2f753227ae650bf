// Converts a model's files to one file with other weight types: smaller, or for another program.

import { createAbortController, follow } from '../async/abort.ts';
import { argumentError, DiffusionError } from '../core/errors.ts';
import { reportMemory } from '../core/out-of-memory.ts';
import { carriedWords } from '../embedding/added-tokens.ts';
import { quotePath } from '../files/user-file.ts';
import { checkPlace, replaceFile, writeError } from '../files/whole-file.ts';
import { checkSource, type ModelSource } from '../loading/source.ts';
import { callNative } from '../native/call.ts';
import type { ConversionReport, NativeProgress, NativeSource } from '../native/contract.ts';
import { loadAddon } from '../native/load.ts';
import { checkPath } from '../options/check.ts';
import { type ConvertOptions, checkConvertOptions, formatOf } from './options.ts';

/** The result of a conversion. */
export interface Conversion extends ConversionReport {
  readonly path: string;
}

/**
 * Writes the weights of a model, a LoRA, a ControlNet, an upscaler or another supported network as one GGUF or
 * safetensors file.
 *
 * A single file keeps its tensor names. Parts and diffusers folders are merged, with the tensor names of the original
 * checkpoints. Tensors that no network reads (EMA weights, optimizer states) are left out. Metadata is kept, and so are
 * tensors that mark the noise levels and the prediction type, a folder's scheduler configuration, and the words that
 * its tokenizers add.
 *
 * The file appears when it is complete. The conversion takes a few megabytes of memory per thread.
 *
 * @param source path of a file or folder, or the paths of the parts of a model.
 * @param output path of the file to write, which ends in `.gguf` or `.safetensors`. An existing file is replaced.
 * @throws TypeError or RangeError for invalid options.
 * @throws DiffusionError `ERR_FILE`, `ERR_MODEL_CORRUPT` or `ERR_MODEL_UNSUPPORTED` for a source that cannot be read or
 *   that the format cannot store; `ERR_NON_FINITE` for weights that are NaN, infinite or too large for the type;
 *   `ERR_WRITE` if the file cannot be written, is a file of the source, or does not fit on its disk;
 *   `ERR_OUT_OF_MEMORY`.
 * @throws `signal.reason` once the signal has fired.
 */
export async function convert(
  source: string | Omit<ModelSource, 'depthModel'>,
  output: string,
  options: ConvertOptions = {},
): Promise<Conversion> {
  const addon = loadAddon();
  const files = checkFiles(source);
  const path = checkPath(output, 'output');
  const { onProgress, signal, ...checked } = checkConvertOptions(options, formatOf(path), addon);
  const existing = await checkPlace(path);
  if (existing && !existing.isFile()) {
    throw new DiffusionError(
      'ERR_WRITE',
      `Expected a file to write but ${quotePath(path)} is a device. Give the path of a file`,
    );
  }
  const metadata = await reportMemory(carriedWords(files));
  const controller = createAbortController();
  const unfollow = follow(controller, [signal]);
  const start = performance.now();
  const report = ({ done, total }: NativeProgress) => {
    const secondsLeft = (((performance.now() - start) / 1000) * (total - done)) / done;
    try {
      onProgress?.({ done, total, secondsLeft });
    } catch (error) {
      controller.abort(error);
    }
  };
  try {
    const writing = replaceFile(path, existing, (_file, temporary) =>
      callNative(addon, controller.signal, (cancellation) =>
        addon.convert(files, { ...checked, output: path, temporary, metadata }, report, cancellation),
      ),
    );
    const written = await reportMemory(writing);
    return { path, ...written };
  } catch (error) {
    throw (error as NodeJS.ErrnoException).syscall === undefined ? error : writeError(path, error);
  } finally {
    unfollow();
  }
}

/** A depth estimator is not part of a model's file. */
function checkFiles(source: unknown): NativeSource {
  const { depthModel, ...files } = checkSource(source);
  if (depthModel === undefined) return files;
  const expected = 'a source without depthModel, which is converted by itself,';
  throw argumentError([{ name: 'source', expected, received: 'one', code: 'ERR_UNKNOWN_OPTION' }]);
}
