// The memory that images take, from the headers of a model's files.

import type { LoadOptions } from '../loading/load-options.ts';
import type { ModelSource } from '../loading/source.ts';
import type { MemoryEstimate, WorkloadOptions } from '../pipeline/estimate.ts';
import { loadModel } from './model.ts';

/**
 * Estimates the memory that a run of {@link Model.txt2img} takes, from the headers of the files alone, in well under a
 * second.
 *
 * ```ts
 * const { peaks, plan } = await estimate('sd_xl_base_1.0.safetensors', { width: 1024, height: 1024 }, { memory: '4GB' });
 * console.log(peaks.process.bytes, plan);
 * ```
 *
 * @param load options of {@link loadModel}: with a budget of `memory`, the plan is the one that a run would choose.
 * @throws as {@link loadModel}; as {@link Model.txt2img} for wrong options; DiffusionError `ERR_OUT_OF_MEMORY` if no
 *   plan keeps within the budget.
 */
export async function estimate(
  source?: string | ModelSource,
  options: WorkloadOptions = {},
  load: LoadOptions = {},
): Promise<MemoryEstimate> {
  const lazy = load.memory === undefined && load.residency === undefined;
  const model = await loadModel(source, lazy ? { ...load, residency: { budget: Number.MAX_SAFE_INTEGER } } : load);
  // Not `await using`: if disposing fails too, that throws an error of two without a code.
  try {
    return await model.estimate(options);
  } finally {
    await model.dispose();
  }
}
