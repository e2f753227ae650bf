// Prints which plan of memory machines of several sizes would choose for a model, from the headers of its file: the table of
// docs/memory.md.
//
// usage: node dist/bench/machines.js MODEL SIZE [MODEL SIZE...]      for example: sd15-q8_0.gguf 512 sdxl-q4_0.gguf 1024

import { basename } from 'node:path';
import { loadModel, type MemoryPlan } from '../lib/index.ts';

/** Memory of the machines, in GB; the system and other programs keep one of them. */
const MACHINES = [2, 4, 6, 8, 16];
const KEPT_FREE = 1;

function nameOf(plan: MemoryPlan): string {
  const residency = plan.residency === 'keep' ? 'all in memory' : plan.stream ? 'streamed' : 'unloaded';
  const tiles = plan.tileMemory === undefined ? [] : ['tiles'];
  return [residency, ...tiles, ...(plan.together === undefined ? [] : ['one latent'])].join(', ');
}

/** The plan and the peak of the process. */
async function planOn(machine: number, file: string, side: number): Promise<string> {
  await using model = await loadModel(file, { device: 'cpu', memory: `${machine - KEPT_FREE}GB` });
  try {
    const { plan, peaks } = await model.estimate({ width: side, height: side });
    return `${nameOf(plan)}: ${(peaks.process.bytes / 1e9).toFixed(1)} GB`;
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_OUT_OF_MEMORY') return 'no';
    throw error;
  }
}

const rest = process.argv.slice(2);
if (rest.length === 0 || rest.length % 2 !== 0) {
  console.error('usage: node dist/bench/machines.js MODEL SIZE [MODEL SIZE...]');
  process.exitCode = 2;
} else {
  console.log(`| file | size | ${MACHINES.map((machine) => `${machine} GB`).join(' | ')} |`);
  console.log(`|${' --- |'.repeat(MACHINES.length + 2)}`);
  for (let i = 0; i < rest.length; i += 2) {
    const [file, side] = [rest[i] as string, Number(rest[i + 1])];
    const cells: string[] = [];
    for (const machine of MACHINES) cells.push(await planOn(machine, file, side));
    console.log(`| ${basename(file)} | ${side}x${side} | ${cells.join(' | ')} |`);
  }
}
