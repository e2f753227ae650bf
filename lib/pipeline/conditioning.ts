// What the denoiser is conditioned on: the texts, and what the family adds to them.

import type { TextConditioning } from '../conditioning/text-system.ts';
import type { Family } from '../family/index.ts';
import { embedNumbers } from '../family/sinusoids.ts';
import type { Guided } from '../guidance/index.ts';
import type { Size } from '../image/resize.ts';
import type { Networks } from '../native/networks.ts';
import type { CheckedGenerationOptions } from '../task/check.ts';
import type { Prompts } from './prompts.ts';

/** What the denoiser is conditioned on, for one image. */
export interface Conditioning {
  /** Hidden states that it attends to, `[tokens, width]`. */
  readonly context: Float32Array;
  readonly tokens: number;
  /** The pooled prompt, and what the family adds to it: embedded sizes, corners or scores. */
  readonly vector?: Float32Array;
  /** The embedded guidance scale, for denoisers that take it as an input. */
  readonly guidance?: Float32Array;
  /**
   * The channels that the UNet takes in addition to the latents of all images, `[batch, channels, height, width]`:
   * {@link InitialLatents.concatChannels}.
   */
  readonly concatChannels?: Float32Array;
  /** Whether self-attention in the middle of the UNet is the identity: each pixel attends to itself alone. */
  readonly identityAttention?: boolean;
}

/**
 * Runs the text encoders.
 *
 * @param size of the generated image, in pixels.
 * @returns what the denoiser is conditioned on at an evaluation, counted from 0: the same object as before if it is the
 *   same.
 */
export async function encodePrompts(
  networks: Networks,
  family: Family,
  { ends, texts }: Prompts,
  options: CheckedGenerationOptions,
  size: Size,
): Promise<(evaluation: number) => Guided<Conditioning>> {
  const textAt = await texts.encode(networks);
  const { guidanceSize } = networks.info;
  const numbers = family.vector?.(options, size);
  const embedded = guidanceSize > 0 ? family.embedGuidance?.(options.cfgScale, guidanceSize) : undefined;
  const guidance = embedded ? { guidance: embedded } : {};
  const complete = ({ context, tokens, pooled }: TextConditioning, added: readonly number[] | undefined) => {
    const vector = added ? { vector: Float32Array.of(...pooled, ...embedNumbers(added)) } : {};
    return { context, tokens, ...vector, ...guidance };
  };
  let last: { stage: number; conditions: Guided<Conditioning> } | undefined;
  return (evaluation) => {
    const found = ends.findIndex((end) => evaluation <= end);
    const stage = found < 0 ? ends.length - 1 : found;
    if (last?.stage !== stage) {
      const { conditional, unconditional } = textAt(stage);
      const conditions = {
        conditional: complete(conditional, numbers?.conditional),
        unconditional: complete(unconditional, numbers?.unconditional),
      };
      last = { stage, conditions };
    }
    return last.conditions;
  };
}
