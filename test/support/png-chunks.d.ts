// Types of png-chunks-encode and png-chunks-extract, which come without.

interface PngChunk {
  /** Four letters. */
  readonly name: string;
  readonly data: Uint8Array;
}

declare module 'png-chunks-encode' {
  /** A PNG file, signature included, of these chunks. */
  export default function encodeChunks(chunks: readonly PngChunk[]): Uint8Array;
}

declare module 'png-chunks-extract' {
  /** The chunks of a PNG file up to IEND; throws where the signature or a checksum is wrong. */
  export default function extractChunks(png: Uint8Array): PngChunk[];
}
