// The ways in which converters store the layers that are a matrix or, just as well, a 1x1 convolution.

import type { TestTensor } from './safetensors.ts';

type Edit = (tensors: TestTensor[]) => TestTensor[];

const isMatrix = ({ name, shape }: TestTensor) =>
  /^(model\.diffusion_model|control_model)\..*\.weight$/.test(name) && shape.length === 2;
const isKernel = ({ shape: [, , height, width] }: TestTensor) => height === 1 && width === 1;

const asKernel = (tensor: TestTensor): TestTensor =>
  isMatrix(tensor) ? { ...tensor, shape: [...tensor.shape, 1, 1] } : tensor;
const asMatrix = (tensor: TestTensor): TestTensor =>
  isKernel(tensor) ? { ...tensor, shape: tensor.shape.slice(0, 2) } : tensor;

/** What a UNet or ControlNet goes through, by what it is called. */
export const STORED = {
  original: (tensors) => tensors,
  'all as kernels': (tensors) => tensors.map(asKernel),
  'all as matrices': (tensors) => tensors.map(asMatrix),
  'some so, some so': (tensors) => tensors.map((tensor, i) => (i % 3 === 0 ? asKernel : asMatrix)(tensor)),
} satisfies Record<string, Edit>;
