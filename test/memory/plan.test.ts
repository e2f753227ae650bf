// Plans that keep a run within a budget, from what its stages take.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readBytes } from '../../lib/memory/budget.ts';
import { type MemoryPlan, peaksOf, type StageCost, totalsOf } from '../../lib/memory/plan.ts';

const MB = 2 ** 20;

function stage(network: string, resident: number, streamed: number, compute: number, data = 0): StageCost {
  const bytes = { residentBytes: resident * MB, streamedBytes: streamed * MB, computeBytes: compute * MB };
  const memory = {
    ...bytes,
    hostBytes: resident * MB,
    loaded: false,
    mappedBytes: 0,
    allocatedBytes: 0,
    packedBytes: 0,
  };
  return { stage: `${network} stage`, network, memory, controls: 0, data: data * MB };
}

const STAGES = [stage('text', 160, 10, 5), stage('unet', 1700, 110, 100), stage('vae', 170, 15, 600, 20)];

test('the memory of each stage by plan', () => {
  const cases: [plan: MemoryPlan, totals: number[]][] = [
    // Idle compute buffers stay until they and the next ones exceed 512 MiB.
    [{ residency: 'keep', stream: false }, [165, 1965, 2630]],
    [{ residency: 'unload', stream: false }, [165, 1800, 770]],
    [{ residency: 'unload', stream: true }, [15, 210, 615]],
  ];
  for (const [plan, totals] of cases) {
    assert.deepEqual(
      totalsOf(STAGES, plan).map((bytes) => bytes / MB),
      totals,
      JSON.stringify(plan),
    );
  }
});

test('peaks are those of the process on the CPU, and of each on a GPU', () => {
  const plan: MemoryPlan = { residency: 'unload', stream: false };
  const onCpu = peaksOf(STAGES, plan, true, 60 * MB);
  assert.deepEqual(onCpu.process, { bytes: 1860 * MB, stage: 'unet stage' });
  assert.deepEqual(onCpu.device, onCpu.process);
  const onGpu = peaksOf(STAGES, plan, false, 60 * MB);
  assert.deepEqual(onGpu.device, { bytes: 1800 * MB, stage: 'unet stage' });
  assert.deepEqual(onGpu.process, { bytes: 80 * MB, stage: 'vae stage' });
  // Weights that are streamed to a GPU are in the process.
  const streamed = peaksOf(STAGES, { ...plan, stream: true }, false, 60 * MB);
  assert.deepEqual(streamed.device, { bytes: 615 * MB, stage: 'vae stage' });
  assert.deepEqual(streamed.process, { bytes: 1760 * MB, stage: 'unet stage' });
});

test('sizes have units of 1000 and of 1024', () => {
  const cases: [text: string, bytes: number | undefined][] = [
    ['1.5GB', 1.5e9],
    [' 2 GiB ', 2 * 2 ** 30],
    ['800mb', 8e8],
    ['512MiB', 512 * MB],
    ['1000000', 1e6],
    ['7 KB', 7000],
    ['1,5GB', undefined],
    ['-1GB', undefined],
    ['1e9', undefined],
    ['GB', undefined],
    ['', undefined],
    ['4 gigabytes', undefined],
  ];
  for (const [text, bytes] of cases) assert.equal(readBytes(text), bytes, text);
});
