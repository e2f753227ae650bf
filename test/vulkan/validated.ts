// A program for failures.vulkan.ts, which runs it with Vulkan's validation layer.

import { readFileSync } from 'node:fs';
import { loadModel } from '../../lib/index.ts';
import { tinyModel } from '../support/tiny-model.ts';

const { path } = tinyModel({ vocabulary: 49408, dtype: 'f16' });
await using model = await loadModel(path, { device: 'vulkan' });
await model.txt2img({ prompt: 'a red apple', width: 64, height: 64, steps: 1, seed: 1 });
// The layer says nothing where there is nothing to say.
if (readFileSync('/proc/self/maps', 'latin1').includes('VkLayer_khronos_validation')) console.log('validated');
