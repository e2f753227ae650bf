// The calls whose large JavaScript arrays fail in turn (sweep.ts).

import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { RgbImage } from '../../lib/image/rgb-image.ts';
import {
  canny,
  type DepthEstimator,
  loadDepthEstimator,
  loadModel,
  loadUpscaler,
  type Model,
  type Upscaler,
} from '../../lib/index.ts';
import { tinyControlNet } from '../support/tiny-control-net.ts';
import { tinyDpt } from '../support/tiny-depth.ts';
import { temporaryFolder, tinyModel } from '../support/tiny-model.ts';
import { tinyCompactNet, writeUpscaler } from '../support/tiny-upscalers.ts';
import { type Trial, trial } from './trial.ts';

/** Pixels of a side; arrays of an image are all large. */
const SIDE = 128;
const path = tinyModel({ vocabulary: 49408 }).path;
const pixels = Uint8Array.from({ length: 3 * SIDE * SIDE }, (_, i) => (i * i * 2654435) >> 15);
const image = new RgbImage(pixels, SIDE, SIDE, undefined, 'a red apple');
const png = await image.png();
const jpeg = await image.jpeg();
const webp = await image.webp();
const controlNet = tinyControlNet({ seed: 2 });
const upscalerFile = writeUpscaler(tinyCompactNet());
const depthFile = writeUpscaler(tinyDpt());
const nothing = { prepare: async () => undefined, end: async () => {} };

const open = () => loadModel(path, { device: 'cpu', threads: 2 });
const CALL = { prompt: 'a red apple', width: SIDE, height: SIDE, steps: 1, seed: 1 };
const end = (opened: { dispose(): Promise<void> }) => opened.dispose();
const folder = join(temporaryFolder(), 'written');
mkdirSync(folder);
const written = join(folder, 'written.png');

const run = (name: string, call: (model: Model) => ReturnType<Model['txt2img']>): Trial<unknown> =>
  trial({
    name,
    prepare: open,
    call: async (model) => (await call(model)).images[0]?.data ?? new Uint8Array(),
    end,
  });

export const arrayTrials: readonly Trial<unknown>[] = [
  trial({
    ...nothing,
    name: 'load',
    call: async () => {
      const model = await open();
      const { images } = await model.txt2img(CALL);
      await model.dispose();
      return images[0]?.data ?? new Uint8Array();
    },
  }),
  run('txt2img', (model) => model.txt2img({ ...CALL, batchSize: 2, preview: true })),
  run('img2img of a PNG', (model) => model.img2img({ ...CALL, image: png })),
  run('inpaint', (model) =>
    model.inpaint({ ...CALL, image: jpeg, mask: { width: SIDE, height: SIDE, data: image.data } }),
  ),
  run('a second pass', (model) => model.txt2img({ ...CALL, hires: { upscaler: 'lanczos', steps: 1 } })),
  run('a ControlNet', (model) =>
    model.txt2img({ ...CALL, controls: [{ model: controlNet, image: webp, preprocessor: 'canny' }] }),
  ),
  ...Object.entries({ png, jpeg, webp }).map(([name, bytes]) =>
    trial({ ...nothing, name: `edges of a ${name}`, call: async () => (await canny(bytes)).data }),
  ),
  trial({ ...nothing, name: 'encode png', call: () => image.png() }),
  trial({ ...nothing, name: 'encode jpeg', call: () => image.jpeg() }),
  trial({ ...nothing, name: 'encode webp', call: () => image.webp({ quality: 100 }) }),
  trial({
    ...nothing,
    name: 'save',
    call: async () => {
      try {
        await image.save(written);
        return Float32Array.of(statSync(written).size);
      } finally {
        rmSync(written, { force: true });
        assert.deepEqual(readdirSync(folder), [], 'nothing is left');
      }
    },
  }),
  trial({
    name: 'upscale',
    prepare: () => loadUpscaler(upscalerFile, { threads: 2 }),
    call: async (upscaler: Upscaler) => (await upscaler.upscale(png)).data,
    end,
  }),
  trial({
    name: 'depth',
    prepare: () => loadDepthEstimator(depthFile, { threads: 2 }),
    call: async (estimator: DepthEstimator) => (await estimator.estimate(png)).png(),
    end,
  }),
];
