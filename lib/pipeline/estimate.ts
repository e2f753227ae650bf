// The memory of a run, stage by stage.

import type { Size } from '../image/resize.ts';
import type { MemoryLimits } from '../memory/budget.ts';
import { type MemoryPlan, type Peak, peaksOf, type StageCost, totalsOf } from '../memory/plan.ts';
import type { Networks } from '../native/networks.ts';
import type { Txt2ImgOptions } from '../task/options.ts';
import { planMemory, stagesOf, tilingOf, type Workload } from './memory.ts';

/** What decides how much memory an image takes. The prompt may be left out. */
export type WorkloadOptions = Partial<
  Pick<
    Txt2ImgOptions,
    'width' | 'height' | 'batchSize' | 'cfgScale' | 'hires' | 'controls' | 'preview' | 'vaeTiling' | 'vaeTileSize'
  >
>;

/** One stage of a run. */
export interface StageEstimate {
  /** `text encoding`, `sampling`, `decoding`, ... */
  readonly stage: string;
  /** Name of the network. */
  readonly network: string;
  /** Bytes of its weights in physical memory, mapped pages included. */
  readonly weights: number;
  /** Bytes of the buffers that it computes in. */
  readonly compute: number;
  /** Bytes on the device in this stage: other networks that stay, and ControlNets, included. */
  readonly total: number;
}

/** The memory of a run. */
export interface MemoryEstimate {
  readonly device: string;
  readonly size: Size;
  /** How networks are kept in memory. */
  readonly plan: MemoryPlan;
  readonly stages: readonly StageEstimate[];
  /** The most on the device, and of the whole process; the same on the CPU. */
  readonly peaks: { readonly device: Peak; readonly process: Peak };
}

/**
 * Estimates a run.
 *
 * @param given the plan of a model without a budget.
 * @throws as {@link planMemory}.
 */
export async function estimateRun(
  networks: Networks,
  work: Workload,
  limits: MemoryLimits,
  given: MemoryPlan | undefined,
): Promise<MemoryEstimate> {
  const { device } = networks.info;
  const chosen = given ?? (await planMemory(networks, work, limits)).plan;
  const tiling = given ? networks.vaeTiling : tilingOf(networks, chosen);
  const stages = await stagesOf(networks, work, chosen.together, tiling);
  const tiled = stages.some((stage) => stage.tiled);
  const plan = tiled ? { ...chosen, tileMemory: tiling.memory } : chosen;
  const { width, height } = work.hires ?? work;
  const peaks = peaksOf(stages, plan, device === 'cpu', limits.base);
  return { device, size: { width, height }, plan, stages: stageEstimates(stages, plan), peaks };
}

function stageEstimates(stages: readonly StageCost[], plan: MemoryPlan): StageEstimate[] {
  const totals = totalsOf(stages, plan);
  return stages.map(({ stage, network, memory }, i) => ({
    stage,
    network,
    weights: plan.stream ? memory.streamedBytes : memory.residentBytes,
    compute: memory.computeBytes,
    total: totals[i] as number,
  }));
}
