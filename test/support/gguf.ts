// Writes GGUF files (version 3) for tests, in the types that quantized checkpoints use.

import { writeFileSync } from 'node:fs';
import { type TestTensor, toBytes, toHalf } from './safetensors.ts';

/** Type numbers of ggml. */
const TYPES = { f32: 0, f16: 1, q8_0: 8, bf16: 30 };

export type GgufType = keyof typeof TYPES;

const ENCODERS: Record<GgufType, (values: Float32Array) => Buffer> = {
  f32: toBytes,
  f16: toHalf,
  q8_0: toQ8,
  bf16: toBf16,
};
const ALIGNMENT = 32;

/**
 * Writes `tensors`, each as the type that `typeOf` chooses; those that `inRows` tells in rows of 256, with their shape in the metadata, as
 * ComfyUI-GGUF does.
 */
export function writeGguf(
  path: string,
  tensors: readonly TestTensor[],
  typeOf: (tensor: TestTensor) => GgufType,
  inRows: (tensor: TestTensor) => boolean = () => false,
  architecture?: string,
): void {
  const shapes = tensors.filter(inRows).map(({ name, shape }) => {
    const [array, i32] = [9, 5];
    const sizes = Buffer.from(Int32Array.from(shape).buffer);
    return Buffer.concat([text(`comfy.gguf.orig_shape.${name}`), u32(array), u32(i32), u64(shape.length), sizes]);
  });
  const values =
    architecture === undefined ? [] : [Buffer.concat([text('general.architecture'), u32(8), text(architecture)])];
  const header = [
    Buffer.from('GGUF'),
    u32(3),
    u64(tensors.length),
    u64(shapes.length + values.length),
    ...values,
    ...shapes,
  ];
  const data: Buffer[] = [];
  let offset = 0;
  for (const tensor of tensors) {
    const type = typeOf(tensor);
    const dimensions = inRows(tensor) ? [256, tensor.values.length / 256] : tensor.shape.toReversed();
    header.push(text(tensor.name), u32(dimensions.length), ...dimensions.map(u64), u32(TYPES[type]), u64(offset));
    const bytes = padded(ENCODERS[type](tensor.values));
    data.push(bytes);
    offset += bytes.length;
  }
  writeFileSync(path, Buffer.concat([padded(Buffer.concat(header)), ...data]));
}

/** What converters make of a checkpoint: matrices in blocks of 8 bits, other kernels as halves, the rest as it is. */
export function q8Mix({ shape }: TestTensor): GgufType {
  if (shape.length === 1) return 'f32';
  return shape.length === 2 && (shape.at(-1) as number) % 32 === 0 ? 'q8_0' : 'f16';
}

function u32(value: number): Buffer {
  return Buffer.from(Uint32Array.of(value).buffer);
}

function u64(value: number): Buffer {
  return Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
}

function text(value: string): Buffer {
  return Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((ALIGNMENT - (bytes.length % ALIGNMENT)) % ALIGNMENT)]);
}

/** The upper half of a float32, rounded to nearest even. */
function toBf16(values: Float32Array): Buffer {
  const bits = new Uint32Array(values.slice().buffer);
  return Buffer.from(Uint16Array.from(bits, (single) => (single + 0x7fff + ((single >>> 16) & 1)) >>> 16).buffer);
}

/** Blocks of 32 numbers: a scale as a half, then 8 bits a number. */
function toQ8(values: Float32Array): Buffer {
  const blocks: Buffer[] = [];
  for (let i = 0; i < values.length; i += 32) {
    const block = values.subarray(i, i + 32);
    const scale = block.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0) / 127;
    const numbers = Int8Array.from(block, (value) => (scale === 0 ? 0 : Math.round(value / scale)));
    blocks.push(toHalf(Float32Array.of(scale)), Buffer.from(numbers.buffer));
  }
  return Buffer.concat(blocks);
}
