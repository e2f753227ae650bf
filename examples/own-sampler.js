// A sampler of your own: Heun's method (Karras et al. 2022, arXiv:2206.00364, algorithm 1 without noise).
//
//   node examples/own-sampler.js [MODEL]

import { loadModel } from 'node-diffusion';

/** @type {import('node-diffusion').Sampler} */
async function heun(denoise, x, sigmas, { onStep }) {
  const total = sigmas.length - 1;
  for (let index = 0; index < total; index++) {
    const [sigma, next] = [sigmas[index], sigmas[index + 1]];
    const denoised = await denoise(x, sigma);
    const slope = x.map((value, i) => (value - denoised[i]) / sigma);
    let latent = x.map((value, i) => value + (next - sigma) * slope[i]);
    if (next > 0) {
      // The mean of the slopes at both ends of the step.
      const corrected = await denoise(latent, next);
      const slopeThere = latent.map((value, i) => (value - corrected[i]) / next);
      latent = x.map((value, i) => value + ((next - sigma) * (slope[i] + slopeThere[i])) / 2);
    }
    await onStep?.({ index, total, sigma, latent, denoised });
    x = latent;
  }
  return x;
}

const model = await loadModel(process.argv[2]);
try {
  const { images } = await model.txt2img({ prompt: 'a red apple', seed: 1, steps: 8, cfgScale: 3, sampler: heun });
  await images[0].save('apple.png');
} finally {
  await model.dispose();
}
