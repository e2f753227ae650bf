// `diffuse metadata FILE`: shows how a picture was made.

import { readMetadata } from '../image/read-metadata.ts';
import type { CommandLine } from './arguments.ts';
import { print, printJson } from './standard-output.ts';

export async function runMetadata({ file, flags }: CommandLine): Promise<void> {
  const metadata = await readMetadata(file as string);
  await (flags.json ? printJson(metadata) : print(`${metadata.raw}\n`));
}
