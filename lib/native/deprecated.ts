// Names that the package exported before.

import type { LoadedModelInfo } from './contract.ts';

/** @deprecated Use {@link LoadedModelInfo}. */
export type NativeModelInfo = LoadedModelInfo;
