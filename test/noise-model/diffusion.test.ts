// The noise of diffusion models as callers make it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DiffusionNoise, type SigmaTable, stableDiffusionTable } from '../../lib/index.ts';

for (const prediction of ['x0', 'flow', 'constructor', '', null, undefined, 1, Symbol('v')]) {
  test(`a prediction of ${String(prediction)} is refused`, () => {
    const make = () => new DiffusionNoise(prediction as 'v', stableDiffusionTable());
    assert.throws(make, { code: /^ERR_INVALID_ARG_(TYPE|VALUE)$/, message: /one of epsilon, v for prediction/ });
  });
}

for (const levels of [null, undefined, [0.9, 0.1], {}, Object.create(stableDiffusionTable())]) {
  test(`levels that are no SigmaTable are refused: ${JSON.stringify(levels)}`, () => {
    const make = () => new DiffusionNoise('v', levels as SigmaTable);
    assert.throws(make, { code: 'ERR_INVALID_ARG_TYPE', message: /a SigmaTable for levels/ });
  });
}
