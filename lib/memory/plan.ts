// From what the stages of a call take to how networks are kept in memory, so that a budget is kept.

import type { NativeMemoryEstimate } from '../native/contract.ts';

/** An evaluation of a network in a call, and what it takes. */
export interface StageCost {
  /** `text encoding`, `sampling`, ... */
  readonly stage: string;
  /** Name of the component. */
  readonly network: string;
  readonly memory: NativeMemoryEstimate;
  /** Bytes of open ControlNets. */
  readonly controls: number;
  /** Bytes of images and latents in the process. */
  readonly data: number;
  /** Whether it is done in tiles. */
  readonly tiled?: boolean;
}

/** How networks are kept in memory. */
export interface MemoryPlan {
  /** `keep`: all that were used. `unload`: the one that is evaluated. */
  readonly residency: 'keep' | 'unload';
  /**
   * Whether weights are streamed: read and packed for each operation anew or, to a device with memory of its own, copied
   * for each part of a network.
   */
  readonly stream: boolean;
  /** Most latents that are evaluated at a time, of all images and conditions; undefined for all. */
  readonly together?: number | undefined;
  /** Bytes for the tiles of the VAE and what is kept between them; undefined if it works in one piece. */
  readonly tileMemory?: number | undefined;
}

/** A plan in words. */
export function planText({ residency, stream, tileMemory, together }: MemoryPlan): string {
  return [
    residency === 'keep' ? 'all networks stay in memory' : 'networks are unloaded after use',
    ...(stream ? ['weights are streamed'] : []),
    ...(tileMemory === undefined ? [] : ['the VAE works in tiles']),
    ...(together === undefined ? [] : ['latents are evaluated one at a time']),
  ].join(', ');
}

/** Where a call takes its most memory. */
export interface Peak {
  readonly bytes: number;
  readonly stage: string;
}

/** A plan, and where it takes the most, on the device and of the process. */
export interface PlannedMemory {
  readonly plan: MemoryPlan;
  readonly peaks: { readonly device: Peak; readonly process: Peak };
}

/** Compute buffers that networks which are not evaluated may keep together (`idle_bytes` in native/graph/runner.cc). */
const IDLE_COMPUTE = 512 * 2 ** 20;

/** The networks' memory in each stage, ControlNets included. */
export function totalsOf(stages: readonly StageCost[], { residency, stream }: MemoryPlan): number[] {
  const weights = new Map<string, number>();
  const idle = new Map<string, number>();
  return stages.map(({ network, memory, controls }) => {
    if (residency === 'unload') for (const map of [weights, idle]) deleteOthers(map, network);
    weights.set(network, stream ? memory.streamedBytes : memory.residentBytes);
    idle.delete(network);
    for (const name of [...idle.keys()]) {
      if (sum(idle) + memory.computeBytes <= IDLE_COMPUTE) break;
      idle.delete(name);
    }
    const total = sum(weights) + sum(idle) + memory.computeBytes + controls;
    idle.set(network, memory.computeBytes);
    return total;
  });
}

/**
 * What a plan takes at most on the device, and of the process.
 *
 * @param base bytes of the process before.
 */
export function peaksOf(
  stages: readonly StageCost[],
  plan: MemoryPlan,
  onCpu: boolean,
  base: number,
): { device: Peak; process: Peak } {
  const totals = totalsOf(stages, plan);
  const inProcess = stages.map(({ data, memory }, i) => {
    const host = plan.stream ? memory.hostBytes : 0;
    return base + data + (onCpu ? (totals[i] as number) : host);
  });
  const process = highest(stages, inProcess);
  return { device: onCpu ? process : highest(stages, totals), process };
}

function highest(stages: readonly StageCost[], totals: readonly number[]): Peak {
  const bytes = Math.max(...totals);
  return { bytes, stage: (stages[totals.indexOf(bytes)] as StageCost).stage };
}

function deleteOthers(map: Map<string, number>, name: string): void {
  for (const other of map.keys()) if (other !== name) map.delete(other);
}

function sum(map: ReadonlyMap<string, number>): number {
  return [...map.values()].reduce((a, b) => a + b, 0);
}
