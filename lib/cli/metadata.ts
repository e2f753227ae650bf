// `diffuse metadata`: shows how an image was generated, and the command that reproduces it.

import { quote } from '../core/errors.ts';
import { EMBEDDED_MODEL } from '../core/package-files.ts';
import { modelName } from '../loading/source.ts';
import { readMetadata } from '../metadata/read-metadata.ts';
import type { CommandLine } from './command-line.ts';
import { formatCommand } from './from.ts';
import { inFlags } from './problems.ts';
import { print, printJson } from './standard-output.ts';
import { CommandWarnings } from './warnings.ts';

export async function runMetadata({ file, flags }: CommandLine): Promise<void> {
  const metadata = await readMetadata(file as string);
  if (flags.json) return printJson(metadata);
  await print(`${metadata.raw}\n\n${formatCommand(metadata.options)}\n`);
  const { model, warnings } = metadata;
  const other = model !== undefined && model !== modelName({ model: EMBEDDED_MODEL });
  const all = other
    ? [`The image was generated with the model ${quote(model)}. Give its path with -m`, ...warnings]
    : warnings;
  const { tell } = new CommandWarnings();
  for (const warning of all) tell(inFlags(warning, undefined));
}
