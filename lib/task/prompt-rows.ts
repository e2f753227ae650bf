// The options that say what an image shows.

import { describe } from '../core/errors.ts';
import { hasLoraTag } from '../lora/tags.ts';
import { type CheckedPrompt, checkPrompt } from './prompt.ts';
import { type Checking, type Rule, row, rule, ruleByModel } from './row.ts';

export const PROMPT_ROWS = {
  prompt: row({
    doc: `
      What to generate. \`(word:1.3)\`, \`((word))\` and \`[word]\` weigh words as in AUTOMATIC1111's web UI, \`\\(\`
      escapes, \`BREAK\` starts a new chunk of 75 tokens, and so does running over one. At most 65,536 characters and 64
      chunks; may be empty. \`[from:to:when]\` is \`from\` at first and \`to\` after a share of the steps (\`0.5\`) or
      after a number of them (\`5\`), \`[to:when]\` and \`[from::when]\` have nothing before or after; \`[a|b]\` takes
      turns step by step. Steps are counted as in the web UI: those that are taken, from 0, so that the first text holds
      for one more; samplers that evaluate twice a step count twice; shares are of \`steps\`, whatever \`strength\` is.
      \`AND\` composes nothing, as it does in the web UI, and is a word like others; a warning says so.
      \`<lora:name:0.8>\` stands for an entry of \`loras\`, wherever it is, and is no part of the text; without a number
      the weight is 1. \`<lora:name:te=0.5:unet=0.8>\`, or in that order \`<lora:name:0.5:0.8>\`, has one for the text
      encoders and one for the UNet; \`<lyco:...>\` is the same, \`<hypernet:...>\` an error. A name is that of a file
      in \`loraDirectory\`, with or without its extension. A language model (Z-Image) reads brackets of weights as they
      are, and at most 512 tokens.`,
    rule: promptRule(true),
    required: true,
    flag: { name: 'prompt', alias: 'p', topic: 'prompt', common: true, description: 'what to generate' },
  }),
  negativePrompt: row({
    doc: "What to avoid, written like `prompt`. Default `''`. Has no effect at a `cfgScale` of 1.",
    rule: promptRule(false),
    flag: {
      name: 'negative-prompt',
      alias: 'n',
      topic: 'prompt',
      common: true,
      description: 'what to avoid',
    },
  }),
  clipSkip: row({
    doc: `
      Layer of the text encoder whose output is used: 1 is the last, 2 the one before, up to the number of layers.
      Default: the one that the model was trained with, 1 for SD 1.x and 2 for SD 2.x and XL (1 for SD 2.x saved by
      diffusers, which leaves the last layer out). Not for Z-Image, whose text encoder is a language model.`,
    rule: ruleByModel<number, number>(
      'number',
      ({ check }, name, { clipSkip, textLayers }) => {
        if (textLayers > 0) return check.number(name, clipSkip, { min: 1, max: textLayers, integer: true });
        // Images say 1, and are made again from what they say.
        const given = check.value(name);
        const expected =
          'none, since the text encoder of this model is a language model, which has one layer for this,';
        if (given !== undefined && given !== clipSkip) check.problem({ name, expected, received: describe(given) });
        return clipSkip;
      },
      { kind: 'number' },
    ),
    flag: {
      name: 'clip-skip',
      topic: 'prompt',
      description: 'layer of the text encoder counted from the last (default: that of the model)',
    },
    metadata: {
      key: 'Clip skip',
      always: true,
      // A1111 writes it only if it is not the last layer, and its readers expect that.
      write: ({ clipSkip }) => ({ 'Clip skip': clipSkip === 1 ? undefined : String(clipSkip) }),
      // So do this package's own images, whatever the default of the model is.
      read: ({ 'Clip skip': stated, Version: version }) => ({
        clipSkip: stated ?? (version?.startsWith('node-diffusion') ? 1 : undefined),
      }),
    },
  }),
};

/** @param tags whether the prompt may name LoRAs. */
function promptRule(tags: boolean): Rule<string, CheckedPrompt> {
  return rule('string', ({ check, of }: Checking, name) => {
    if (tags && check.value(name) === undefined) {
      check.problem({ name, expected: 'a string', received: 'undefined', code: 'ERR_INVALID_ARG_TYPE' });
    }
    const prompt = checkPrompt(check, name, tags, of('steps') * of('sampler').evaluationsPerStep);
    if (!tags && hasLoraTag(prompt.raw)) {
      const remedy = 'A LoRA holds for both prompts: name it in the option `prompt`';
      check.problem({ name, expected: 'a text without <lora:...>', received: 'one with it', remedy });
    }
    return prompt;
  });
}
