// When the VAE of a model works in tiles, and how large they are.

import { DiffusionError } from '../core/errors.ts';
import type { NativeMemoryEstimate, NativeSignature } from './contract.ts';

/** How a run evaluates its VAE. */
export interface VaeTiling {
  /** `auto`: in tiles if one piece would take much memory. */
  readonly when: 'always' | 'never' | 'auto';
  /** Side of a tile in latent cells. */
  readonly side: number;
  /** Bytes for a tile and what is kept between tiles, of images of up to {@link LARGE} cells; more of larger ones. */
  readonly memory: number;
}

/** Side of a tile in latent cells, unless another is chosen. */
export const TILE_SIDE = 32;
/** With these bytes, 1024x1024 pixels take as long in tiles as in one piece, and 4096x4096 fit into 2 GB. */
export const TILE_MEMORY = 1344 * 2 ** 20;
/** Cells of 4096x4096 pixels. With memory in proportion, the tiles of larger images take no more operations. */
const LARGE = 512 * 512;
/** Bytes of one piece up to which `auto` does without tiles: 1310x1310 pixels of Stable Diffusion. */
const MOST_IN_ONE_PIECE = 4 * 2 ** 30;

export const AUTO_TILING: VaeTiling = { when: 'auto', side: TILE_SIDE, memory: TILE_MEMORY };

/** An evaluation of a VAE that may be done in tiles. */
export interface VaeCall {
  readonly signature: NativeSignature;
  /** In latent cells. */
  readonly width: number;
  readonly height: number;
  /** What it takes in one piece, or with settings for tiles. */
  estimate(settings?: Readonly<Record<string, number>>): Promise<NativeMemoryEstimate>;
}

/** The settings of a call: those of tiles, or none. A tiny autoencoder has no tiles. */
export async function tileSettings(
  { when, side, memory }: VaeTiling,
  call: VaeCall,
): Promise<Readonly<Record<string, number>>> {
  const { signature, width, height } = call;
  if (when === 'never' || !('tileSide' in signature.settings) || Math.max(width, height) <= side) return {};
  if (when === 'auto' && (await bytesInOnePiece(call)) <= MOST_IN_ONE_PIECE) return {};
  const tiled = {
    tileSide: side,
    tileMemory: Math.ceil((memory * Math.max(1, (width * height) / LARGE)) / 2 ** 20),
  };
  if (when === 'auto' && !(await canBeTiled(call, tiled))) return {};
  return tiled;
}

async function bytesInOnePiece(call: VaeCall): Promise<number> {
  try {
    return (await call.estimate()).computeBytes;
  } catch (error) {
    // Some images are too large for tensors in one piece.
    if (error instanceof DiffusionError && error.code === 'ERR_OUT_OF_MEMORY') return Number.POSITIVE_INFINITY;
    throw error;
  }
}

async function canBeTiled(call: VaeCall, settings: Readonly<Record<string, number>>): Promise<boolean> {
  try {
    await call.estimate(settings);
    return true;
  } catch (error) {
    if (hasNoTiles(error)) return false;
    throw error;
  }
}

/** Whether an evaluation failed because so large an image, with so little memory, or this device, has no tiles. */
export function hasNoTiles(error: unknown): boolean {
  return error instanceof DiffusionError && error.code === 'ERR_MODEL_UNSUPPORTED';
}
