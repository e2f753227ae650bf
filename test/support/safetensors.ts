// Writes safetensors files for tests: names, types, shapes and values as given, right or wrong. Reads sound ones.

import { readFileSync, writeFileSync } from 'node:fs';

export interface TestTensor {
  name: string;
  dtype: 'f32' | 'f16';
  /** In safetensors order: the last axis is contiguous. */
  shape: number[];
  /** As many as the product of `shape`, unless a test wants a broken file. */
  values: Float32Array;
}

/** Writes `tensors` one after another, in order. */
export function writeSafetensors(
  path: string,
  tensors: readonly TestTensor[],
  metadata?: Record<string, string>,
): void {
  const stored = tensors.map(({ name, dtype, shape, values }) => {
    const data = dtype === 'f16' ? toHalf(values) : toBytes(values);
    return { name, dtype: dtype.toUpperCase(), shape, data };
  });
  writeStored(path, stored, metadata);
}

/** A tensor in any type of the format. */
export interface StoredTensor {
  name: string;
  dtype: string;
  shape: number[];
  data: Buffer;
}

export function writeStored(path: string, tensors: readonly StoredTensor[], metadata?: Record<string, string>): void {
  const header: Record<string, unknown> = metadata ? { __metadata__: metadata } : {};
  let offset = 0;
  for (const { name, dtype, shape, data } of tensors) {
    const end = offset + data.length;
    header[name] = { dtype, shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([json, Buffer.alloc((8 - (json.length % 8)) % 8, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  writeFileSync(path, Buffer.concat([length, padded, ...tensors.map(({ data }) => data)]));
}

/** The tensors of a sound file of float32 and int32 numbers, by name. */
export function readSafetensors(path: string): Map<string, { shape: number[]; values: Float32Array | Int32Array }> {
  const file = readFileSync(path);
  const start = 8 + Number(file.readBigUInt64LE());
  type Entry = { dtype: string; shape: number[]; data_offsets: [number, number] };
  const { __metadata__, ...entries } = JSON.parse(file.toString('utf8', 8, start)) as Record<string, Entry>;
  const read = ({ dtype, shape, data_offsets: [begin, end] }: Entry) => {
    const { buffer } = new Uint8Array(file.subarray(start + begin, start + end)); // a copy, and so aligned
    return { shape, values: dtype === 'I32' ? new Int32Array(buffer) : new Float32Array(buffer) };
  };
  return new Map(Object.entries(entries).map(([name, entry]) => [name, read(entry)]));
}

export function toBytes(values: Float32Array): Buffer {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength);
}

/** IEEE 754 binary16, rounded to nearest even. */
export function toHalf(values: Float32Array): Buffer {
  const bits = new Uint32Array(values.slice().buffer);
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) halves[i] = halfBits(bits[i] as number);
  return Buffer.from(halves.buffer);
}

function halfBits(single: number): number {
  const sign = (single >>> 16) & 0x8000;
  const exponent = ((single >>> 23) & 0xff) - 127;
  const mantissa = single & 0x7fffff;
  if (exponent === 128) return sign | 0x7c00 | (mantissa ? 0x200 : 0);
  if (exponent > 15) return sign | 0x7c00;
  if (exponent < -25) return sign;
  // Below 2^-14 a half is subnormal: the implicit one becomes explicit and the whole shifts right.
  const shift = exponent < -14 ? -1 - exponent : 13;
  const whole = exponent < -14 ? mantissa | 0x800000 : ((exponent + 15) << 23) | mantissa;
  const kept = whole >>> shift;
  const rest = whole - (kept << shift);
  const half = 1 << (shift - 1);
  // A carry out of the mantissa raises the exponent, as it should.
  return sign | (kept + (rest > half || (rest === half && kept % 2 === 1) ? 1 : 0));
}
