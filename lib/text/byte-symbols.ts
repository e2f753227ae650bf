// The alphabet of byte-level BPE (GPT-2): a printable character for each byte.

/** The bytes in the order of their symbols: printable Latin-1 bytes stand for themselves and come first. */
export const BYTES_IN_ORDER: readonly number[] = (() => {
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  return [...bytes.filter(isPrintable), ...bytes.filter((byte) => !isPrintable(byte))];
})();

/** The symbols of {@link BYTES_IN_ORDER}: those of bytes that cannot be printed are the characters from U+0100. */
export const SYMBOLS_IN_ORDER: readonly string[] = (() => {
  let next = 256;
  return BYTES_IN_ORDER.map((byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
})();

function isPrintable(byte: number): boolean {
  return (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
}
