// EXIF orientation: how to rotate and mirror an image to make it upright (EXIF 2.3, tag 0x0112).

import { eachRow } from '../async/slices.ts';
import type { Pixels } from './pixels.ts';

const ORIENTATION_TAG = 0x0112;
const SHORT = 3;
const ENTRY_BYTES = 12;

/** The orientation in EXIF data, 1 to 8: from the first directory of its TIFF structure, or 1 if it has none. */
export function orientationOf(exif: Uint8Array): number {
  if (exif.length < 8) return 1;
  const view = new DataView(exif.buffer, exif.byteOffset, exif.byteLength);
  const littleEndian = view.getUint16(0) === 0x4949;
  const directory = view.getUint32(4, littleEndian);
  if (directory + 2 > exif.length) return 1;
  const entries = view.getUint16(directory, littleEndian);
  for (let i = 0; i < entries; i++) {
    const entry = directory + 2 + i * ENTRY_BYTES;
    if (entry + ENTRY_BYTES > exif.length) return 1;
    if (view.getUint16(entry, littleEndian) !== ORIENTATION_TAG) continue;
    const value = view.getUint16(entry + 8, littleEndian);
    return view.getUint16(entry + 2, littleEndian) === SHORT && value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

/** Rotates and mirrors RGBA to make it upright. */
export async function orient(image: Pixels, orientation: number): Promise<Pixels> {
  if (orientation === 1) return image;
  const { width, height, channels } = image;
  const turned = orientation > 4;
  const mirroredX = [2, 3, 7, 8].includes(orientation);
  const mirroredY = [3, 4, 6, 7].includes(orientation);
  const size = turned ? { width: height, height: width } : { width, height };
  const from = new Uint32Array(image.data.buffer, image.data.byteOffset, width * height);
  const upright = new Uint32Array(width * height);
  await eachRow(size.height, (row) => {
    for (let column = 0; column < size.width; column++) {
      const [x, y] = turned ? [row, column] : [column, row];
      const source = (mirroredY ? height - 1 - y : y) * width + (mirroredX ? width - 1 - x : x);
      upright[row * size.width + column] = from[source] as number;
    }
  });
  return { ...size, channels, data: new Uint8Array(upright.buffer) };
}
