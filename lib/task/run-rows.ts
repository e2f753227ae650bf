// The options of a run while it goes on: previews, callback, cancellation.

import type { TileProgress } from '../native/networks.ts';
import { TILE_SIDE } from '../native/vae-tiling.ts';
import type { GenerationStep } from './result.ts';
import { type Checking, flag, number, row, rule, ruleByModel } from './row.ts';
import type { ModelLimits } from './task.ts';

/** How previews are made: by the linear projection, by the tiny autoencoder, or by the one that decodes the result. */
export type PreviewKind = 'proj' | 'tae' | 'vae';

const PREVIEW_KINDS: readonly PreviewKind[] = ['proj', 'tae', 'vae'];

type OnTile = (progress: TileProgress) => void;
type OnStep = (step: GenerationStep) => void | Promise<void>;

export const RUN_ROWS = {
  signal: row({
    doc: 'Cancels the run, at any moment: it rejects with `signal.reason`.',
    rule: rule<AbortSignal, AbortSignal | undefined>('AbortSignal', ({ check }) => check.signal()),
  }),
  onStep: row({
    doc: 'Called after each step and awaited. What it throws ends the run.',
    rule: rule<OnStep, OnStep | undefined>('((step: GenerationStep) => void | Promise<void>)', ({ check }, name) =>
      check.callback<OnStep>(name),
    ),
  }),
  onTile: row({
    doc: `
      Called while the VAE works in tiles, after a tile, at most every 20 ms. What it throws ends the run.`,
    rule: rule<OnTile, OnTile | undefined>('((progress: TileProgress) => void)', ({ check }, name) =>
      check.callback<OnTile>(name),
    ),
  }),
  vaeTiling: row({
    doc: `
      Whether the VAE works in tiles, in a fraction of the memory. There are no seams, because tiles see their neighbors
      and share the statistics of the whole image; pixels differ by rounding. \`auto\` (default): if one piece would take
      more than 4 GiB, or more than the budget that the model was loaded with (\`memory\`). A tiny autoencoder has no
      tiles.`,
    rule: rule<boolean | 'auto', boolean | 'auto'>("boolean | 'auto'", checkTiling, {
      isDefault: (value) => value === 'auto',
    }),
    flag: [
      {
        name: 'vae-tiling',
        topic: 'compute',
        also: ['inspect'],
        kind: 'switch',
        value: true,
        description: 'let the VAE work in tiles: less memory (default: if one piece would take more than 4 GiB)',
      },
      {
        name: 'no-vae-tiling',
        topic: 'compute',
        also: ['inspect'],
        kind: 'switch',
        value: false,
        description: 'let the VAE work in one piece, whatever memory that takes',
      },
    ],
  }),
  vaeTileSize: row({
    doc: `
      Side of such a tile in latent cells of 8 pixels, 8 to 512, rounded up to a multiple of 8. Default 32. Large tiles
      take more memory; where there would be more than 256 tiles, they are larger.`,
    rule: number(TILE_SIDE, { min: 8, max: 512, integer: true }),
    flag: {
      name: 'vae-tile-size',
      topic: 'compute',
      also: ['inspect'],
      kind: 'side',
      description: 'side of a tile in latent cells of 8 pixels: 32 or 32x32 (default: 32)',
    },
  }),
  preview: row({
    doc: `
      Whether steps carry a preview image: \`proj\` (or true) a small one by a linear projection, which costs nothing;
      \`tae\` one of the whole size by the tiny autoencoder that the model was loaded with ({@link ModelSource}),
      \`vae\` one by that which decodes the result. Default false.`,
    rule: ruleByModel<boolean | PreviewKind, PreviewKind | undefined>('boolean | PreviewKind', checkPreview, {
      choices: PREVIEW_KINDS,
    }),
    flag: {
      name: 'preview',
      topic: 'output',
      description:
        'what makes previews: a projection (proj, small, the default), --taesd (tae) or the VAE (vae), of the whole size',
    },
  }),
  previewNoisy: row({
    doc: `
      Whether previews show the latent with the noise that it has after the step, scaled to unit variance, instead of
      what the network takes the image to be. Default false.`,
    rule: flag(),
    flag: { name: 'preview-noisy', topic: 'output', description: 'let previews show the noise, too' },
  }),
};

function checkTiling({ check }: Checking, name: string): boolean | 'auto' {
  const value = check.value(name);
  if (value === undefined || value === 'auto') return 'auto';
  if (typeof value === 'string') return check.name<'auto'>(name, 'auto', ['auto']);
  return check.boolean(name, false);
}

function checkPreview({ check }: Checking, name: string, { tinyAutoencoder }: ModelLimits): PreviewKind | undefined {
  if (typeof check.value(name) !== 'string') return check.boolean(name, false) ? 'proj' : undefined;
  const kind = check.name(name, 'proj', PREVIEW_KINDS);
  if (kind === 'tae' && !tinyAutoencoder) {
    const remedy = 'Load the model with the option `taesd`, or with a tiny autoencoder as the option `vae`';
    check.problem({ name, expected: 'proj, vae or a model with a tiny autoencoder', received: "'tae'", remedy });
  }
  return kind;
}
