// Writes checkpoints as PyTorch's torch.save does: a zip archive of one pickle and of the bytes of each tensor.

import { writeFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { type TestTensor, toBytes, toHalf } from './safetensors.ts';

/** A value as opcodes of the pickle protocol 2. */
export type Opcodes = Buffer;

const ascii = (text: string): Buffer => Buffer.from(text, 'latin1');

const u16 = (value: number): Buffer => Buffer.from(Uint16Array.of(value).buffer);
const u32 = (value: number): Buffer => Buffer.from(Uint32Array.of(value).buffer);

export const pickled = {
  text: (text: string): Opcodes => Buffer.concat([ascii('X'), u32(Buffer.byteLength(text)), Buffer.from(text)]),
  number: (value: number): Opcodes => Buffer.concat([ascii('J'), u32(value >>> 0)]),
  tuple: (items: readonly Opcodes[]): Opcodes => Buffer.concat([ascii('('), ...items, ascii('t')]),
  list: (items: readonly Opcodes[]): Opcodes => Buffer.concat([ascii(']('), ...items, ascii('e')]),
  dict: (entries: readonly (readonly [key: string, value: Opcodes])[]): Opcodes =>
    Buffer.concat([ascii('}('), ...entries.flatMap(([key, value]) => [pickled.text(key), value]), ascii('u')]),
  /** A class or function by its name. */
  class: (module: string, name: string): Opcodes => ascii(`c${module}\n${name}\n`),
  call: (module: string, name: string, items: readonly Opcodes[]): Opcodes =>
    Buffer.concat([pickled.class(module, name), pickled.tuple(items), ascii('R')]),
};

/** Tensor number `index` of the file, contiguous and with a storage of its own, on the device that it was saved from. */
function tensor({ dtype, shape, values }: TestTensor, index: number, device = 'cpu'): Opcodes {
  const { text, number, tuple, call } = pickled;
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
  const type = pickled.class('torch', dtype === 'f16' ? 'HalfStorage' : 'FloatStorage');
  const id = tuple([text('storage'), type, text(String(index)), text(device), number(values.length)]);
  return call('torch._utils', '_rebuild_tensor_v2', [
    Buffer.concat([id, ascii('Q')]),
    ...[number(0), tuple(shape.map(number)), tuple(strides.map(number))],
    ...[ascii('\x89'), call('collections', 'OrderedDict', [])],
  ]);
}

/** Writes `tensors` under `key`, or as they are where that is empty, and `others` beside it. */
export function writeCheckpoint(
  path: string,
  tensors: readonly TestTensor[],
  others: readonly (readonly [key: string, value: Opcodes])[] = [],
  key = 'state_dict',
): void {
  const state = tensors.map((each, i) => [each.name, tensor(each, i)] as const);
  const root = key === '' ? state : [[key, pickled.dict(state)] as const];
  writeArchive(path, pickled.dict([...others, ...root]), tensors);
}

/** Writes a tensor by itself. */
export function writeTensor(path: string, only: TestTensor, device?: string): void {
  writeArchive(path, tensor(only, 0, device), [only]);
}

function writeArchive(path: string, root: Opcodes, tensors: readonly TestTensor[]): void {
  writeFileSync(
    path,
    zip([
      ['archive/data.pkl', Buffer.concat([ascii('\x80\x02'), root, ascii('.')])],
      ['archive/byteorder', ascii('little')],
      ...tensors.map(({ dtype, values }, i): [string, Buffer] => [
        `archive/data/${i}`,
        dtype === 'f16' ? toHalf(values) : toBytes(values),
      ]),
      ['archive/version', ascii('3\n')],
    ]),
  );
}

/** A zip archive of stored entries; as in PyTorch's, the data of each begins at a multiple of 64. */
function zip(entries: readonly [name: string, content: Buffer][]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, content] of entries) {
    const sizes = Buffer.concat([u32(crc32(content)), u32(content.length), u32(content.length), u16(name.length)]);
    const padding = (64 - ((offset + 30 + name.length + 4) % 64)) % 64;
    const version = Buffer.concat([u16(20), u16(0), u16(0), u32(0)]);
    const extra = Buffer.concat([ascii('FB'), u16(padding), Buffer.alloc(padding)]);
    const local = Buffer.concat([ascii('PK\x03\x04'), version, sizes, u16(extra.length), ascii(name), extra, content]);
    const rest = Buffer.concat([u16(0), u16(0), u16(0), u16(0), u32(0), u32(offset), ascii(name)]);
    directory.push(Buffer.concat([ascii('PK\x01\x02'), u16(20), version, sizes, rest]));
    parts.push(local);
    offset += local.length;
  }
  const size = directory.reduce((sum, { length }) => sum + length, 0);
  const count = u16(entries.length);
  const end = Buffer.concat([ascii('PK\x05\x06'), u32(0), count, count, u32(size), u32(offset), u16(0)]);
  return Buffer.concat([...parts, ...directory, end]);
}
