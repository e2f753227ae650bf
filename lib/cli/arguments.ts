// Parses a command line into a command and the text of its flags, or reports everything that is wrong with it.

import { closest } from '../core/errors.ts';
import type { CommandLine } from './command-line.ts';
import { COMMAND_NAMES, commandOf } from './commands.ts';
import { type CommandName, type GenerationCommand, TOPICS } from './flag.ts';
import { FLAGS } from './flags.ts';
import { nameOf, unknownCommand, unknownFlag, unknownWord } from './hints.ts';
import { buildParser, type Parsed, type Scope } from './parser.ts';
import { UsageError, type UsageProblem } from './usage-error.ts';

/**
 * @param argv without node and script.
 * @returns undefined if help, the version or a completion was requested and printed.
 * @throws UsageError with everything that is wrong.
 */
export async function parseCommandLine(argv: readonly string[]): Promise<CommandLine | undefined> {
  const completing = argv[0] === '--get-yargs-completions';
  const { scope, words } = completing ? { scope: 'all' as const, words: argv } : readScope(argv);
  const given = completing ? words : withCommand(words);
  checkReservedNames(given);
  checkCompletion(given);
  const messages: string[] = [];
  let parsed: Parsed | undefined;
  const named = COMMAND_NAMES.find((name) => name === given[0]);
  const take = (found: Parsed) => {
    parsed = found;
  };
  const parser = buildParser(scope, completing, take, named);
  // This does not throw, so yargs continues and finds all problems.
  parser.fail((message, error) => {
    messages.push(message ?? error.message);
  });
  await parser.parseAsync([...given]);
  const problems = [...explainAll(messages, given, parsed), ...(parsed ? misused(parsed) : [])];
  if (problems.length === 0 && parsed) problems.push(...missingOperand(parsed));
  if (problems.length > 0) throw new UsageError(...problems);
  return parsed && { command: parsed.command, ...readOperand(parsed), ...readFlags(parsed) };
}

/** The short help, which is printed if there are no arguments. */
export function shortHelp(): Promise<string> {
  return buildParser('common', false, () => {}).getHelp();
}

/** Removes a help topic from the words, and rewrites `help X` and `--help X` of a command as `X --help`. */
function readScope(argv: readonly string[]): { scope: Scope; words: readonly string[] } {
  const isSuffix = argv.length === 2 && argv[1] === 'help' && COMMAND_NAMES.some((name) => name === argv[0]);
  const words =
    isSuffix || argv[0] === 'help'
      ? ['--help', ...argv.filter((word) => word !== 'help')]
      : argv.flatMap((word) => (/^--help=/.test(word) ? word.split('=') : [word]));
  const at = words.findIndex((word) => word === '--help' || word === '-h');
  if (at < 0) return { scope: 'none', words };
  const subject = words[at + 1];
  if (subject === undefined || subject.startsWith('-')) return { scope: 'common', words };
  const others = words.filter((_, i) => i !== at + 1);
  if (COMMAND_NAMES.some((name) => name === subject)) return { scope: 'common', words: [subject, ...others] };
  const topics = [...Object.keys(TOPICS), 'all'];
  if (topics.includes(subject)) return { scope: subject as Scope, words: others };
  const near = closest(subject, [...topics, ...COMMAND_NAMES]);
  const remedy = /^\d+$/.test(subject) ? 'The height is -H' : near ? `Did you mean '${near}'?` : 'Leave it out';
  throw new UsageError(`Expected one of ${topics.join(', ')} for --help but received '${subject}'. ${remedy}`);
}

/** As in `sd-cli`, flags without a command determine the task. */
function withCommand(words: readonly string[]): readonly string[] {
  const hasOther = words.some((word) => !['--help', '-h', '--version'].includes(word));
  return words[0]?.startsWith('-') && hasOther ? [inferCommand(words), ...words] : words;
}

function inferCommand(words: readonly string[]): GenerationCommand {
  const has = (...names: string[]) => words.some((word) => word.startsWith('-') && names.includes(nameOf(word)));
  if (has('mask')) return 'inpaint';
  if (has('img-cfg-scale')) return 'edit';
  if (has('depth')) return 'depth2img';
  return has('init-img', 'i') ? 'img2img' : 'txt2img';
}

/** yargs has entries of its own under these names, and fails on the names of properties that every object has. */
function checkReservedNames(words: readonly string[]): void {
  const reserved = ['_', '$0', ...Object.getOwnPropertyNames(Object.prototype)];
  const end = words.indexOf('--');
  const word = words.slice(0, end < 0 ? undefined : end).find((w) => w.startsWith('-') && reserved.includes(nameOf(w)));
  if (word) throw new UsageError(`Unknown flag ${word}. See diffuse --help`);
}

/** yargs prints the script whatever follows `completion`. */
function checkCompletion([name, next]: readonly string[]): void {
  if (name !== 'completion' || next === undefined || next.startsWith('-')) return;
  throw new UsageError(`Expected nothing after diffuse completion but received '${next}'`);
}

/** Rewords the problems that yargs found. */
function explainAll(messages: readonly string[], words: readonly string[], parsed: Parsed | undefined): UsageProblem[] {
  const command = parsed?.command ?? COMMAND_NAMES.find((name) => name === words[0]);
  if (!command) {
    const near = messages.map((message) => /^Did you mean (.+)\?$/.exec(message)?.[1]).find((name) => name);
    return messages.length > 0 ? [unknownCommand(words[0] as string, near)] : [];
  }
  const extra = parsed?.extra ?? [];
  const strangers = messages.flatMap((message) => explain(message, command, words, extra));
  return extra.length > 0 ? [...strangers, unknownWord(extra[0] as string, command)] : strangers;
}

function explain(
  message: string,
  command: CommandName,
  words: readonly string[],
  extra: readonly string[],
): UsageProblem[] {
  const [, unknown] = /^Unknown arguments?: (.+)$/s.exec(message) ?? [];
  if (unknown !== undefined) {
    // yargs writes the empty word in quotes.
    const others = extra.flatMap((word) => (word || '""').split(', '));
    const names = unknown.split(', ').filter((name) => !others.includes(name));
    return names.map((name) => unknownFlag(asWritten(name, words), command));
  }
  const [, short] = /^Not enough arguments following: (.+)$/.exec(message) ?? [];
  if (short !== undefined) {
    const name = `--${FLAGS.find((flag) => flag.name === short || flag.alias === short)?.name ?? short}`;
    return [{ name, message: `Expected a value for ${name}. One that begins with a dash is written ${name}=-value` }];
  }
  const { operand } = commandOf(command);
  const missing = operand && message.startsWith('Not enough non-option arguments');
  return [
    { message: missing ? `Expected an ${operand.slice(1, -1)} after diffuse ${command} but received none` : message },
  ];
}

/** yargs accepts a single dash as the operand, but returns no word for it. */
function missingOperand({ command, file }: Parsed): UsageProblem[] {
  const { operand = '' } = commandOf(command);
  if (!operand.startsWith('<') || file !== undefined) return [];
  return [{ message: `Expected the path of an ${operand.slice(1, -1)} after diffuse ${command} but received '-'` }];
}

function asWritten(name: string, words: readonly string[]): string {
  return words.find((word) => word.startsWith('-') && nameOf(word) === name)?.replace(/=.*$/s, '') ?? `--${name}`;
}

/** Flags given too often, and switches with a value. */
function misused({ values }: Parsed): UsageProblem[] {
  return FLAGS.flatMap(({ name, repeats }) => {
    const value = values[name];
    if (Array.isArray(value) && !repeats) {
      return [{ name: `--${name}`, message: `Expected --${name} once but received it ${value.length} times` }];
    }
    const message = `Expected no value for the switch --${name}`;
    return value === false ? [{ name: `--${name}`, message }] : [];
  });
}

function readFlags({ values }: Parsed): Pick<CommandLine, 'flags' | 'lists'> {
  const flags: Record<string, string | true> = {};
  const lists: Record<string, string[]> = {};
  for (const { name, repeats } of FLAGS) {
    const value = values[name];
    if (value === undefined) continue;
    if (repeats) lists[name] = [value].flat() as string[];
    else flags[name] = value as string | true;
  }
  return { flags, lists };
}

function readOperand({ file }: Parsed): Pick<CommandLine, 'file'> {
  return file === undefined ? {} : { file };
}
