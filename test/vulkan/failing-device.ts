// A program for failures.vulkan.ts: a device that runs out of memory, and one that is lost. Tells a line of JSON for each
// call, the code of its error or the likeness of its image to that of the CPU. Runs with the driver of
// native/test/failing_vulkan.cc preloaded, whose path is the argument.

import { createRequire } from 'node:module';
import { loadModel, type Model } from '../../lib/index.ts';
import { psnr } from '../support/compare.ts';
import { tinyModel } from '../support/tiny-model.ts';

const driver = createRequire(import.meta.url)(process.argv[2] as string) as { fail(what: string): void };
const { path } = tinyModel({ vocabulary: 49408, dtype: 'f16' });
const load = (device: string) => loadModel(path, { device });
const draw = async (model: Model, side = 64) =>
  (await model.txt2img({ prompt: 'a red apple', width: side, height: side, steps: 2, seed: 1 })).images[0]
    ?.data as Uint8Array;

await using cpu = await load('cpu');
const expected = await draw(cpu);

async function tell(name: string, call: () => Promise<Uint8Array>): Promise<void> {
  try {
    console.log(JSON.stringify({ name, decibels: Math.min(psnr(await call(), expected, 255), 100) }));
  } catch (error) {
    console.log(JSON.stringify({ name, code: (error as { code?: string }).code, message: String(error) }));
  }
}

const once = async () => {
  await using model = await load('vulkan');
  return await draw(model);
};

await tell('before', once);
driver.fail('memory');
await tell('loading without memory', once);
driver.fail('nothing');
{
  await using model = await load('vulkan');
  driver.fail('memory');
  await tell('generating without memory', () => draw(model));
  driver.fail('nothing');
  await tell('generating again', () => draw(model));
}
{
  await using model = await load('vulkan');
  driver.fail('device');
  await tell('generating on a lost device', () => draw(model));
  driver.fail('nothing');
  await tell('generating on it again', () => draw(model));
}
await tell('after', once);
