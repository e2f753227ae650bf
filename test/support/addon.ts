// Calls to the native addon with a tiny model, for tests that are about the calls and not about the numbers.

import type { NativeCancellation, NativeOpenOptions, NativeTypes } from '../../lib/native/contract.ts';
import { loadAddon } from '../../lib/native/load.ts';
import { openModel, type TestModel, type TextEncoding } from './networks.ts';
import { tinyModel } from './tiny-model.ts';

export const addon = loadAddon();
/** Never raised. */
export const never = new addon.Cancellation();
export const tiny = tinyModel({ dtype: 'f16' });

export const openTiny = (options: Partial<NativeOpenOptions & NativeTypes> = {}): Promise<TestModel> =>
  openModel({ model: tiny.path }, { device: 'cpu', threads: 1, cancellation: never, ...options });

/** Takes milliseconds. */
export const encodeText = (model: TestModel, cancellation: NativeCancellation = never): Promise<TextEncoding> =>
  model.encodeText(0, new Int32Array(tiny.sizes.textPositions), 1, cancellation);

const SIDE = 640;
/** Numbers of the image that `decode` gives. */
export const DECODED_LENGTH = 3 * SIDE * SIDE;

/** A square image, which takes most of a second. */
export const decode = (
  model: TestModel,
  cancellation: NativeCancellation = never,
  side = SIDE,
): Promise<Float32Array> =>
  model.decode(new Float32Array((4 * side * side) / 64).fill(0.5), [1, 4, side / 8, side / 8], cancellation);

const context = { context: new Float32Array(77 * 64).fill(0.1), contextTokens: 77 };

export const predict = (model: TestModel, latent: Float32Array): Promise<Float32Array> =>
  model.predict(latent, [1, 4, 8, 8], new Float32Array([500]), context, never);
