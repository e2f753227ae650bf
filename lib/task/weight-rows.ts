// The options that add weights to a model: LoRAs, embeddings and ControlNets.

import { type CheckedControl, type ControlOptions, checkControls } from '../control/options.ts';
import { checkEmbeddings, type EmbeddingFile, type EmbeddingOption } from '../embedding/options.ts';
import { checkLoras, LORA_TAGS, type LoraOption, type LoraRequest, type LoraTags } from '../lora/options.ts';
import { type Checking, flag, hasClip, hasUnet, oneOf, optionalPath, type ReaderModel, row, rule } from './row.ts';

export const WEIGHT_ROWS = {
  loras: row({
    doc: `
      LoRAs to apply, in addition to those that the prompt names; at most 64. Default none. The model's file stays as it
      is, and calls with the same LoRAs share the work of applying them.`,
    rule: rule<readonly LoraOption[], readonly LoraRequest[]>('readonly LoraOption[]', ({ check, of }) =>
      checkLoras(check, of('prompt').loras),
    ),
  }),
  loraDirectory: row({
    doc: `
      Folder of the LoRAs that are given by name, those in subfolders as \`folder/name\`. Default: none; a prompt can
      then name none.`,
    rule: rule<string, string | undefined>('string', checkLoraDirectory),
    flag: {
      name: 'lora-model-dir',
      topic: 'model',
      also: ['serve'],
      description: 'folder of the LoRAs that the prompt names as <lora:name:weight>',
    },
  }),
  loraTags: row({
    doc: `
      What the prompt may name: \`names\` (default) of files that lie in \`loraDirectory\` after links are followed, and
      errors then say nothing of what a file holds; or any \`paths\` too, for prompts of someone who may read every file
      of this process. The same holds for links in \`embeddingDirectory\` that lead out of it.`,
    rule: oneOf<LoraTags>('LoraTags', 'names', LORA_TAGS),
  }),
  strictLoras: row({
    doc: 'Whether a LoRA with tensors that are not applied is an error (`ERR_MODEL_MISMATCH`) rather than a warning. Default false.',
    rule: flag(),
    flag: {
      name: 'strict-loras',
      topic: 'model',
      description: 'refuse LoRAs with tensors that are not applied, instead of a warning',
    },
  }),
  embeddings: row({
    doc: `
      Embeddings of textual inversion, each with the word that stands for it in both prompts; at most 256. Default none.
      A word is found in any case where no letter or digit touches it, and takes the weight that it has in the prompt.
      The words that a file holds stand for their vectors too; a file of several words can be used by these alone.`,
    rule: rule<readonly EmbeddingOption[], readonly EmbeddingFile[]>(
      'readonly EmbeddingOption[]',
      ({ check }) => checkEmbeddings(check),
      { isDefault: (embeddings) => embeddings.length === 0 },
    ),
    reader: { has: hasClip, expected: noClip, received: 'some' },
  }),
  embeddingDirectory: row({
    doc: `
      Folder of embeddings: the name of each file, without its extension, is such a word, and so are the words that
      diffusers saves in it. Default none.`,
    rule: optionalPath(),
    reader: { has: hasClip, expected: noClip },
    flag: {
      name: 'embd-dir',
      topic: 'model',
      also: ['serve'],
      description: 'folder of textual inversions; the names of files and the words in them stand for them in prompts',
    },
  }),
  controls: row({
    doc: 'Control images and their ControlNets, at most 8 together. Default none.',
    rule: rule<readonly ControlOptions[], readonly CheckedControl[]>(
      'readonly ControlOptions[]',
      ({ check, of }) => checkControls(check, of('maxPixels')),
      { isDefault: (controls) => controls.length === 0 },
    ),
    reader: {
      has: hasUnet,
      expected: ({ info }) =>
        `none, since ControlNets are made for UNets and this model (${info.family}) has a transformer,`,
      received: 'some',
    },
  }),
};

function noClip({ info }: ReaderModel): string {
  return `none, since textual inversions are made for CLIP and this model (${info.family}) reads prompts with a language model,`;
}

function checkLoraDirectory({ check, of }: Checking, name: string): string | undefined {
  const directory = check.value(name) === undefined ? undefined : check.path(name);
  if (of('prompt').loras.length > 0 && of('loraTags') === 'names' && directory === undefined) {
    const remedy =
      "Give the LoRAs in the option loras, or set loraTags: 'paths' if the authors of prompts may read any file";
    const expected = 'the folder of the LoRAs named in the prompt';
    check.problem({ name, expected, received: 'undefined', remedy });
  }
  return directory;
}
