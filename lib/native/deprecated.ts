// Former names of exports.

import type { LoadedModelInfo } from './contract.ts';

/** @deprecated Use {@link LoadedModelInfo}. */
export type NativeModelInfo = LoadedModelInfo;
