// The benchmark's measures of images.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { multiScaleSsim, psnr } from '../bench/similarity.ts';

function image(width: number, height: number, value: (x: number, y: number, channel: number) => number) {
  const data = Uint8Array.from({ length: 3 * width * height }, (_, i) => {
    const pixel = Math.floor(i / 3);
    return value(pixel % width, Math.floor(pixel / width), i % 3);
  });
  return data;
}

const smooth = (x: number, y: number, channel: number) => (3 * x + 2 * channel * y + ((x * y) >> 5)) & 255;
const coarse = (x: number, y: number, channel: number) => (smooth(x, y, channel) & 0xe0) + ((5 * x + 3 * y) % 17);

// pip install pytorch-msssim==1.0.0 torch numpy
// python -c "
// import numpy as np, torch
// from pytorch_msssim import ms_ssim
// y, x, c = np.mgrid[:176, :192, :3]
// a = (3 * x + 2 * c * y + (x * y >> 5)) & 255
// b = (a & 0xe0) + (5 * x + 3 * y) % 17
// plane = lambda i: torch.tensor(i @ [0.299, 0.587, 0.114])[None, None]
// print(ms_ssim(plane(a), plane(b), data_range=255))"
// (whose window is in f32.) At 64x64, which its ms_ssim() refuses, from its _ssim(): contrast and structure of the first scales, SSIM of the third.
test('MS-SSIM is that of the reference implementation, at five scales and at three', () => {
  const five = multiScaleSsim(image(192, 176, smooth), image(192, 176, coarse), 192, 176);
  assert.ok(Math.abs(five - 0.98653753) < 1e-5, `${five}`);
  const three = multiScaleSsim(image(64, 64, smooth), image(64, 64, coarse), 64, 64);
  assert.ok(Math.abs(three - 0.95122082) < 1e-5, `${three}`);
});

test('an image is as near to itself as can be', () => {
  const same = image(64, 48, smooth);
  assert.ok(Math.abs(multiScaleSsim(same, same, 64, 48) - 1) < 1e-12);
  assert.equal(psnr(same, same), Number.POSITIVE_INFINITY);
  assert.equal(psnr(Uint8Array.of(0, 255), Uint8Array.of(255, 255)).toFixed(4), '3.0103');
});
