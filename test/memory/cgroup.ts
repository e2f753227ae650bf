// Generates with the bundled model in a control group with limited memory, and tells a line of JSON. Runs by itself:
//
//   node dist/test/memory/cgroup.js OPTIONS
//
// OPTIONS is JSON: `load`, those of loadModel, and `calls`, those of each image.

import { EMBEDDED_MODEL, type LoadOptions, loadModel, type Txt2ImgOptions } from '../../lib/index.ts';

const { load, calls } = JSON.parse(process.argv[2] ?? '') as { load: LoadOptions; calls: Partial<Txt2ImgOptions>[] };
await using model = await loadModel(EMBEDDED_MODEL, { device: 'cpu', threads: 2, ...load });
for (const call of calls) {
  let steps = 0;
  const run = model.txt2img({ prompt: 'a red apple', seed: 1, steps: 1, onStep: () => void steps++, ...call });
  const [outcome] = await Promise.allSettled([run]);
  const { code, message } = (outcome.status === 'rejected' ? outcome.reason : {}) as {
    code?: string;
    message?: string;
  };
  const images = outcome.status === 'fulfilled' ? outcome.value.images.length : 0;
  const plan = outcome.status === 'fulfilled' ? outcome.value.memory?.plan : undefined;
  console.log(JSON.stringify({ steps, images, plan, code, message }));
}
