// The options of a run while it goes on: previews, callback, cancellation.

import type { GenerationStep } from './result.ts';
import { type Checking, flag, row, rule, ruleByModel } from './row.ts';
import type { ModelLimits } from './task.ts';

/** How previews are made: by the linear projection, by the tiny autoencoder, or by the one that decodes the result. */
export type PreviewKind = 'proj' | 'tae' | 'vae';

const PREVIEW_KINDS: readonly PreviewKind[] = ['proj', 'tae', 'vae'];

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

function checkPreview({ check }: Checking, name: string, { tinyAutoencoder }: ModelLimits): PreviewKind | undefined {
  if (typeof check.value(name) !== 'string') return check.boolean(name, false) ? 'proj' : undefined;
  const kind = check.name(name, 'proj', PREVIEW_KINDS);
  if (kind === 'tae' && !tinyAutoencoder) {
    const remedy = 'Load the model with the option `taesd`, or with a tiny autoencoder as the option `vae`';
    check.problem({ name, expected: 'proj, vae or a model with a tiny autoencoder', received: "'tae'", remedy });
  }
  return kind;
}
