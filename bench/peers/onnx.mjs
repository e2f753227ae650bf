// Times onnxruntime-node: a UNet evaluation of both passes, in f32.
//
// usage: node bench/peers/onnx.mjs FOLDER [THREADS] [RUNS]   (in a folder where `npm install onnxruntime-node` was done)
// FOLDER is that of bench/peers/export_onnx.py.

import { createRequire } from 'node:module';
import path from 'node:path';

const ort = createRequire(path.resolve('package.json'))('onnxruntime-node');
const [folder, threads = '2', runs = '3'] = process.argv.slice(2);

const session = await ort.InferenceSession.create(path.join(folder, 'unet.onnx'), {
  intraOpNumThreads: Number(threads),
  interOpNumThreads: 1,
  graphOptimizationLevel: 'all',
});
const shapes = Object.fromEntries(session.inputMetadata.map(({ name, shape }) => [name, shape]));
const floats = (shape) => {
  const values = new Float32Array(shape.reduce((product, side) => product * side, 1)).map((_, i) => Math.sin(i));
  return new ort.Tensor('float32', values, shape);
};
const feeds = {
  latent: floats(shapes.latent),
  timesteps: new ort.Tensor('int64', new BigInt64Array(2).fill(500n), [2]),
  context: floats(shapes.context),
};

const times = [];
for (let i = 0; i <= Number(runs); i++) {
  const start = performance.now();
  await session.run(feeds);
  times.push((performance.now() - start) / 1000);
}
console.log(`onnxruntime-node f32: step ${Math.min(...times.slice(1)).toFixed(2)} s (first ${times[0].toFixed(2)} s)`);
