// npm `ai` with `@ai-sdk/openai-compatible`: images, with options of the provider.

import assert from 'node:assert/strict';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateImage } from 'ai';

const provider = createOpenAICompatible({ name: 'local', apiKey: 'key', baseURL: `${process.argv[2]}/v1` });
const model = provider.imageModel('emoji-64');
const { images } = await generateImage({
  ...{ model, prompt: 'a red apple', n: 2, size: '64x64' },
  providerOptions: { local: { steps: 3, seed: 7, negative_prompt: 'a pear' } },
});
assert.equal(images.length, 2);
for (const { mediaType, uint8Array } of images) {
  assert.equal(mediaType, 'image/png');
  assert.ok(Buffer.from(uint8Array).includes('Negative prompt: a pear\nSteps: 3'));
}
const wrong = generateImage({ model: provider.imageModel('none'), prompt: 'x', size: '64x64', maxRetries: 0 });
await assert.rejects(wrong, /Expected the name of a model of this server/);
