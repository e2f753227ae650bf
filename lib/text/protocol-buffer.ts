// Reads messages of Protocol Buffers (https://protobuf.dev/programming-guides/encoding/).

/** A field of a message: a number, or the place of a length-delimited value. */
export interface Field {
  readonly number: number;
  /** Of a varint or a 32-bit float; 0 for others. */
  readonly value: number;
  /** Of a length-delimited value; both are 0 for others. */
  readonly start: number;
  readonly end: number;
}

const VARINT = 0;
const FIXED64 = 1;
const DELIMITED = 2;
const FIXED32 = 5;

/**
 * The fields of the message between two positions.
 *
 * @throws RangeError if they do not fill it exactly, or one has an unknown type.
 */
export function* fieldsOf(bytes: Uint8Array, start: number, end: number): Generator<Field> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let position = start;
  const take = (length: number): number => {
    if (length > end - position) throw new RangeError('a value ends after its message');
    position += length;
    return position - length;
  };
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; factor < 2 ** 64; factor *= 128) {
      const byte = bytes[take(1)] as number;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
    throw new RangeError('an integer has more than 10 bytes');
  };
  while (position < end) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    const type = tag % 8;
    if (type === VARINT) yield { number, value: varint(), start: 0, end: 0 };
    else if (type === FIXED32) yield { number, value: view.getFloat32(take(4), true), start: 0, end: 0 };
    else if (type === FIXED64) take(8);
    else if (type === DELIMITED) {
      const length = varint();
      const first = take(length);
      yield { number, value: 0, start: first, end: first + length };
    } else throw new RangeError(`a field has the type ${type}`);
  }
}
