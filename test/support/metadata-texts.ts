// Reading the texts of an image without an image around them.

import assert from 'node:assert/strict';
import { type ImageMetadata, interpret } from '../../lib/metadata/interpret.ts';
import { readStatement } from '../../lib/metadata/texts.ts';

/** What texts say, by their keywords; objects stand for their JSON. */
export function read(texts: Readonly<Record<string, unknown>>): ImageMetadata {
  const entries = Object.entries(texts).map(
    ([key, text]) => [key, typeof text === 'string' ? text : JSON.stringify(text)] as const,
  );
  const statement = readStatement(new Map(entries));
  assert.ok(statement);
  return interpret(statement);
}

export function checkFields(metadata: ImageMetadata, expected: Partial<ImageMetadata>): void {
  for (const [key, value] of Object.entries(expected))
    assert.deepEqual(metadata[key as keyof ImageMetadata], value, key);
}
