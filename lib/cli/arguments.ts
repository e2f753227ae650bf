// Parses the command line with yargs: which command, and the text of each of its flags.

import yargs, { type Argv, type Options } from 'yargs';
import { closest } from '../errors.ts';
import { PACKAGE_VERSION } from '../version.ts';
import { DRAWING_COMMANDS, type DrawingCommand, type Flag, OWN_FLAGS } from './flag.ts';
import { FLAGS } from './flags.ts';
import { UsageError } from './usage-error.ts';

/** A command line, understood. */
export interface CommandLine {
  readonly command: (typeof COMMANDS)[number];
  /** The operand of `inspect`, `metadata` and `depth`. */
  readonly file?: string;
  /** Value of each flag that was given, by its long name: text as typed, true for a switch. */
  readonly flags: Readonly<Record<string, string | true>>;
  /** The values of each flag that may be given several times, in their order. */
  readonly lists: Readonly<Record<string, readonly string[]>>;
}

const COMMANDS = [...DRAWING_COMMANDS, 'upscale', 'depth', 'inspect', 'devices', 'metadata'] as const;

/**
 * @param argv without node and script.
 * @returns undefined where help or the version was asked for and printed.
 * @throws UsageError naming the closest known flag or command.
 */
export async function parseCommandLine(argv: readonly string[]): Promise<CommandLine | undefined> {
  const [first = ''] = argv;
  if (first === 'help') return parseCommandLine([...argv.slice(1), '--help']);
  const named = COMMANDS.find((name) => name === first);
  const rest = named ? argv.slice(1) : argv;
  const command = named ?? drawingCommand(rest);
  const known = FLAGS.filter(({ name, only }) =>
    isDrawing(command) ? only === undefined || only.includes(command) : OWN_FLAGS[command].some((own) => own === name),
  );
  checkReservedNames(rest);
  const parser = describeCommand(buildParser(known), command);
  const parsed = await parser.parse(rest);
  if (parsed.help || parsed.version) return undefined;
  return { command, ...operand(command, parsed._.map(String)), ...readFlags(parsed, known, rest) };
}

/** Whether a command draws. */
export function isDrawing(command: CommandLine['command']): command is DrawingCommand {
  return DRAWING_COMMANDS.some((name) => name === command);
}

/** What a command line without a command asks for: as in `sd-cli`, a picture or a mask to start from says it. */
function drawingCommand(words: readonly string[]): DrawingCommand {
  const has = (...names: string[]) => words.some((word) => word.startsWith('-') && names.includes(nameOf(word)));
  if (has('mask')) return 'inpaint';
  if (has('img-cfg-scale')) return 'edit';
  if (has('depth')) return 'depth2img';
  return has('init-img', 'i') ? 'img2img' : 'txt2img';
}

/** What the types of yargs lack. */
interface UsageConfiguration {
  usageConfiguration(settings: { 'hide-types': boolean }): Argv;
}

function buildParser(known: readonly Flag[]): Argv {
  const options = Object.fromEntries(known.map((flag) => [flag.name, toYargs(flag)]));
  return (
    (yargs([]) as Argv & UsageConfiguration)
      // All flags but switches take a text as far as the parser knows, so the types that it would show say nothing.
      .usageConfiguration({ 'hide-types': true })
      .parserConfiguration({
        'camel-case-expansion': false,
        'dot-notation': false,
        'boolean-negation': false,
        'parse-numbers': false,
        'parse-positional-numbers': false,
        'short-option-groups': false,
        'strip-aliased': true,
      })
      .locale('en')
      .options(options)
      .help('help')
      .alias('help', 'h')
      .version(PACKAGE_VERSION)
      .exitProcess(false)
      .fail((message, error) => {
        throw new UsageError(parserMessage(message ?? error.message));
      })
  );
}

/** The parser's own heading comes first only where flags name it. */
function toYargs({ alias, kind, description, group = 'Options:' }: Flag): Options {
  const value: Options = kind === 'switch' ? { type: 'boolean' } : { type: 'string', nargs: 1 };
  return { ...value, ...(alias ? { alias } : {}), group, description };
}

function describeCommand(parser: Argv, command: CommandLine['command']): Argv {
  if (command === 'inspect')
    return parser.usage('diffuse inspect FILE\n\nShow what a model file holds; reads its headers only.');
  if (command === 'devices') return parser.usage('diffuse devices\n\nList the devices that models can run on.');
  if (command === 'metadata') return parser.usage('diffuse metadata FILE\n\nShow how a PNG picture was made.');
  if (command === 'depth')
    return parser
      .usage('diffuse depth PICTURE --depth-model FILE [flags]\n\nEstimate how near everything in a picture is.')
      .example('diffuse depth room.png --depth-model dpt_hybrid-midas-501f0c75.pt -o depth.png', 'white is near');
  if (command === 'upscale')
    return parser
      .usage('diffuse upscale -i PICTURE --upscale-model FILE [flags]\n\nEnlarge a picture.')
      .example('diffuse upscale -i apple.png --upscale-model RealESRGAN_x4plus.pth -o large.png', '');
  if (command === 'img2img')
    return parser
      .usage('diffuse [img2img] -i PICTURE -p PROMPT [flags]\n\nDraw a picture from a picture and text.')
      .example('diffuse -i sketch.png -p "a red apple" --strength 0.6 -o apple.png', '');
  if (command === 'inpaint')
    return parser
      .usage('diffuse [inpaint] -i PICTURE --mask MASK -p PROMPT [flags]\n\nDraw a part of a picture anew.')
      .example('diffuse -i fruit.png --mask pear.png -p "a red apple" -o apple.png', '');
  if (command === 'edit')
    return parser
      .usage('diffuse edit -i PICTURE -p INSTRUCTION [flags]\n\nChange a picture as an instruction says.')
      .example('diffuse edit -m instruct-pix2pix.safetensors -i harbour.png -p "make it winter"', '');
  if (command === 'depth2img')
    return parser
      .usage('diffuse depth2img -i PICTURE -p PROMPT [flags]\n\nDraw a picture anew with its depth kept.')
      .example('diffuse depth2img -m 512-depth-ema.safetensors -i room.png --depth depth.png -p "a room of ice"', '');
  return parser
    .usage('diffuse [txt2img] -p PROMPT [flags]\n\nDraw a picture from text.')
    .epilog(
      'Other commands: diffuse img2img, diffuse inpaint, diffuse edit, diffuse depth2img, diffuse upscale, diffuse depth PICTURE, diffuse inspect FILE, diffuse devices, diffuse metadata FILE',
    )
    .example('diffuse -p "a red apple" -o apple.png', 'with the small model that comes along')
    .example('diffuse -m sd-v1-5.safetensors -p "a red apple" -W 512 -H 512 --steps 25 -s 42', '');
}

/** The parser keeps its own entries under these names, and stumbles over those that every object has. */
function checkReservedNames(words: readonly string[]): void {
  const reserved = ['_', '$0', ...Object.getOwnPropertyNames(Object.prototype)];
  const end = words.indexOf('--');
  const word = words.slice(0, end < 0 ? undefined : end).find((w) => w.startsWith('-') && reserved.includes(nameOf(w)));
  if (word) throw new UsageError(`Expected a flag that exists but received ${word}. See diffuse --help`);
}

/** The name in a flag as it was written, `steps` in `--steps=3`. */
function nameOf(word: string): string {
  return word.replace(/^--?/, '').replace(/=.*$/s, '');
}

function readFlags(
  parsed: Readonly<Record<string, unknown>>,
  known: readonly Flag[],
  words: readonly string[],
): Pick<CommandLine, 'flags' | 'lists'> {
  const flags: Record<string, string | true> = {};
  const lists: Record<string, string[]> = {};
  for (const [key, value] of Object.entries(parsed)) {
    if (['_', '$0', 'help', 'version'].includes(key) || value === undefined) continue;
    const flag = known.find(({ name }) => name === key);
    if (!flag) throw new UsageError(unknownFlag(key, known, words));
    if (flag.repeats) lists[key] = [value].flat() as string[];
    else if (Array.isArray(value)) throw new UsageError(`Expected --${key} once but received it ${value.length} times`);
    else if (value === false) throw new UsageError(`Expected no value for the switch --${key}`);
    else flags[key] = value as string | true;
  }
  return { flags, lists };
}

/** The one complaint of the parser itself is of a missing value. */
function parserMessage(message: string): string {
  const name = /^Not enough arguments following: (.+)$/.exec(message)?.[1];
  if (!name) return `${message}. See diffuse --help`;
  const flag = FLAGS.find((known) => known.name === name || known.alias === name)?.name ?? name;
  return `Expected a value for --${flag}. One that begins with a dash is written --${flag}=-value`;
}

function unknownFlag(key: string, known: readonly Flag[], words: readonly string[]): string {
  const written =
    words.find((word) => word.startsWith('-') && nameOf(word) === key)?.replace(/=.*$/s, '') ?? `--${key}`;
  const short = key.length > 1 && !written.startsWith('--') && known.find(({ alias }) => alias === key[0]);
  const names = known.map(({ name }) => name);
  const near = key.length > 1 && closest(key, names);
  const remedy = short ? `Write -${key[0]} ${key.slice(1)}` : near ? `Did you mean --${near}?` : 'See diffuse --help';
  return `Expected a flag that exists but received ${written}. ${remedy}`;
}

function operand(command: CommandLine['command'], words: readonly string[]): { file?: string } {
  const takesFile = command === 'inspect' || command === 'metadata' || command === 'depth';
  if (takesFile && words.length !== 1) {
    throw new UsageError(`Expected one file for diffuse ${command} but received ${words.length}`);
  }
  if (takesFile) return { file: words[0] as string };
  const [word] = words;
  if (word === undefined) return {};
  const near = isDrawing(command) && closest(word, COMMANDS);
  const remedy = near ? `Did you mean diffuse ${near}?` : 'Give the prompt with -p, in quotes';
  throw new UsageError(`Expected a command or flags but received '${word}'. ${remedy}`);
}
