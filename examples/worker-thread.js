// Image generation in a worker thread: samplers and image files take their time there, and leave the main thread alone.
//
//   node examples/worker-thread.js [MODEL]

import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { loadModel } from 'node-diffusion';

if (isMainThread) await main();
else await generate();

async function main() {
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { model: process.argv[2], options: { prompt: 'a red apple', seed: 1, steps: 8, cfgScale: 3 } },
  });
  worker.on('message', (message) => {
    if (message.step) console.log(`${message.step} of ${message.total}`);
    else console.log(`apple.png, seed ${message.seed}`);
  });
  await once(worker, 'exit'); // rejects when the worker fails
}

async function generate() {
  const model = await loadModel(workerData.model);
  try {
    const run = model.txt2img(workerData.options);
    for await (const { index, total } of run) parentPort.postMessage({ step: index + 1, total });
    const { images, seed } = await run;
    await images[0].save('apple.png');
    parentPort.postMessage({ seed });
  } finally {
    await model.dispose();
  }
}
