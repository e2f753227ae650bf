// Many byte strings in one array: a vocabulary of 150,000 tokens without as many JavaScript strings.

/** String `i` is `bytes` from `starts[i]` to `ends[i]`, in UTF-8. */
export interface PackedStrings {
  readonly bytes: Uint8Array;
  readonly starts: Uint32Array;
  readonly ends: Uint32Array;
}

/** String `i` as JavaScript has it. */
export function stringAt({ bytes, starts, ends }: PackedStrings, i: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8', starts[i], ends[i]);
}

/** Packs strings. */
export function packStrings(strings: readonly string[]): PackedStrings {
  const starts = new Uint32Array(strings.length);
  const ends = new Uint32Array(strings.length);
  let position = 0;
  for (const [i, text] of strings.entries()) {
    starts[i] = position;
    position += Buffer.byteLength(text);
    ends[i] = position;
  }
  const bytes = Buffer.alloc(position);
  for (const [i, text] of strings.entries()) bytes.write(text, starts[i] as number);
  return { bytes, starts, ends };
}
