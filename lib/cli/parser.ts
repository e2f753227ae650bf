// Defines the commands and flags for yargs, which parses them, prints help and completes them in shells.

import yargs, { type Argv, type Options } from 'yargs';
import { PACKAGE_VERSION } from '../core/version.ts';
import type { Topic } from '../task/row.ts';
import { COMMANDS, type Command } from './commands.ts';
import { type CommandName, type Flag, GENERATION_COMMANDS, hasFlag, hasTopics, TOPICS } from './flag.ts';
import { FLAGS } from './flags.ts';

/**
 * The flags in the help: those of a topic, all, or the common ones; `none` if no help is requested, because yargs
 * formats the help with every command.
 */
export type Scope = Topic | 'all' | 'common' | 'none';

/** A command line with a command, parsed by yargs. */
export interface Parsed {
  readonly command: CommandName;
  /** The operand after the command. */
  readonly file: string | undefined;
  /** Words after the operand. */
  readonly extra: readonly string[];
  /** Values by the long names of flags: a text, an array of texts, or whether a switch is on. */
  readonly values: Readonly<Record<string, unknown>>;
}

/** Missing in the types of yargs. */
interface UsageConfiguration {
  usageConfiguration(settings: { 'hide-types': boolean }): Argv;
}

/**
 * @param completing whether a shell requests completions.
 * @param take receives the parsed command line.
 * @param named the command that it begins with. Everything for other commands is left out, to start fast.
 */
export function buildParser(
  scope: Scope,
  completing: boolean,
  take: (parsed: Parsed) => void,
  named?: CommandName,
): Argv {
  const parser = (yargs([]) as Argv & UsageConfiguration)
    // For yargs all flags except switches are text, so the types that it would show are of no use.
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
    .scriptName('diffuse')
    .demandCommand(1)
    .strict()
    .recommendCommands()
    .version(PACKAGE_VERSION)
    .describe('version', 'print the version')
    .help('help', 'print help; --help all or TOPIC for more')
    .alias('help', 'h')
    .exitProcess(false);
  // The help of a topic does not list commands.
  const listed = completing || scope === 'common';
  for (const command of COMMANDS.filter(({ name }) => !named || name === named)) {
    const { name, operand = '', summary } = command;
    parser.command({
      command: `${name} ${operand}`.trim(),
      describe: listed && summary,
      builder: (inner) => describeCommand(inner, command, scope, completing),
      handler: ({ _: [, ...extra], ...values }) => {
        const file = operand && values[operand.slice(1, -1)];
        take({ command: name, file: typeof file === 'string' ? file : undefined, extra: extra.map(String), values });
      },
    });
  }
  const completion = 'print a script that completes in bash or zsh';
  parser.completion('completion', listed && completion, complete);
  return named ? parser : describeWhole(parser, scope, completing);
}

/** The help and completions without a command. */
function describeWhole(parser: Argv, scope: Scope, completing: boolean): Argv {
  const flags = FLAGS.filter((flag) => GENERATION_COMMANDS.some((name) => hasFlag(name, flag))).filter(
    (flag) => completing || scope !== 'common' || hasFlag('txt2img', flag) || flag.name === 'init-img',
  );
  const options = flags.map((flag) => [flag.name, { ...toYargs(flag, scope, completing, true), global: false }]);
  parser.usage('diffuse [COMMAND] -p PROMPT [flags]').options(Object.fromEntries(options));
  if (scope !== 'common') return parser;
  return parser
    .example('diffuse -p "a red apple" -o apple.png', 'with the model inside')
    .epilog(more('COMMAND', flags));
}

function describeCommand(inner: Argv, command: Command, scope: Scope, completing: boolean): Argv {
  const { name, operand = '', usage = `diffuse ${name} ${operand} [flags]`, summary, examples } = command;
  const flags = FLAGS.filter((flag) => hasFlag(name, flag));
  const options = flags.map((flag) => [flag.name, toYargs(flag, scope, completing, hasTopics(name))]);
  inner
    .usage(`${usage.replace(/ {2,}/, ' ')}\n\n${summary[0]?.toUpperCase()}${summary.slice(1)}.`)
    .options(Object.fromEntries(options));
  if (scope !== 'common') return inner;
  for (const example of examples) inner.example(example, '');
  return hasTopics(name) ? inner.epilog(more(name, flags)) : inner;
}

function more(command: string, flags: readonly Flag[]): string {
  const topics = Object.keys(TOPICS).filter((topic) => flags.some((flag) => flag.topic === topic));
  return `More: diffuse ${command} --help all, or TOPIC: ${topics.join(', ')}`;
}

/** @param selected whether the short help shows only the common flags, without their choices. */
function toYargs(flag: Flag, scope: Scope, completing: boolean, selected: boolean): Options {
  const { alias, kind, topic, choices, common = false } = flag;
  const short = scope === 'common';
  const shown = scope === 'all' || topic === scope || (short && (common || !selected));
  const listed = choices && !(short && selected) ? `: ${choices.join(', ')}` : '';
  return {
    ...(kind === 'switch' ? { type: 'boolean' } : { type: 'string', nargs: 1 }),
    ...(alias ? { alias } : {}),
    // Other spellings of a name may be valid too; the check of the option decides.
    ...(completing && choices ? { choices } : {}),
    group: short ? 'Options:' : TOPICS[topic],
    description: `${flag.description}${listed}`,
    hidden: !shown,
  };
}

/** Completions: those of yargs, without one-letter names as long flags, and files for flags that take any text. */
function complete(
  _current: string,
  _argv: unknown,
  filter: (onCompleted: (error: Error | null, found: string[] | undefined) => void) => void,
  done: (found: string[]) => void,
): void {
  const before = process.argv.at(-2) ?? '';
  const flag = FLAGS.find(({ name, alias }) => [`--${name}`, `-${alias}`].includes(before));
  if (before === '--help') done([...Object.keys(TOPICS), 'all']);
  else if (flag && flag.kind !== 'switch' && !flag.choices) done([]);
  else
    filter((error, found = []) => {
      if (error) throw error;
      done(found.filter((word) => !/^--.(:|$)/.test(word)));
    });
}
