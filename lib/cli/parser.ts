// The commands and flags as yargs is told of them: it parses them, prints their help and completes them in shells.

import yargs, { type Argv, type Options } from 'yargs';
import { PACKAGE_VERSION } from '../core/version.ts';
import type { Topic } from '../task/row.ts';
import { COMMANDS, type Command } from './commands.ts';
import { type CommandName, type Flag, GENERATION_COMMANDS, hasFlag, isDrawing, TOPICS } from './flag.ts';
import { FLAGS } from './flags.ts';

/**
 * What the help shows: the flags of a topic, all flags, or the usual ones; none where it is not asked for, since yargs lays it out with
 * every command.
 */
export type Scope = Topic | 'all' | 'common' | 'none';

/** What yargs made of a command line with a command. */
export interface Parsed {
  readonly command: CommandName;
  /** What stands behind the command, where it takes something. */
  readonly file: string | undefined;
  /** Words behind that. */
  readonly extra: readonly string[];
  /** By the long names of flags: texts, several in an array, or whether a switch is on. */
  readonly values: Readonly<Record<string, unknown>>;
}

/** What the types of yargs lack. */
interface UsageConfiguration {
  usageConfiguration(settings: { 'hide-types': boolean }): Argv;
}

/**
 * @param completing whether a shell asks what a word may become.
 * @param take is given the command that a parsed command line holds.
 * @param named the command that it begins with: what concerns others alone is left out, to keep the start fast.
 */
export function buildParser(
  scope: Scope,
  completing: boolean,
  take: (parsed: Parsed) => void,
  named?: CommandName,
): Argv {
  const parser = (yargs([]) as Argv & UsageConfiguration)
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
    .scriptName('diffuse')
    .demandCommand(1)
    .strict()
    .recommendCommands()
    .version(PACKAGE_VERSION)
    .describe('version', 'print the version')
    .help('help', 'print help; --help all or TOPIC for more')
    .alias('help', 'h')
    .exitProcess(false);
  // Pages about a topic have no list of commands.
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

/** What the parser knows before a command: flags to show and to complete. */
function describeWhole(parser: Argv, scope: Scope, completing: boolean): Argv {
  const flags = FLAGS.filter((flag) => GENERATION_COMMANDS.some((name) => hasFlag(name, flag))).filter(
    (flag) => completing || scope !== 'common' || hasFlag('txt2img', flag) || flag.name === 'init-img',
  );
  const options = flags.map((flag) => [flag.name, { ...toYargs(flag, scope, completing, true), global: false }]);
  parser.usage('diffuse [COMMAND] -p PROMPT [flags]').options(Object.fromEntries(options));
  if (scope !== 'common') return parser;
  return parser
    .example('diffuse -p "a red apple" -o apple.png', 'with the model inside')
    .example('diffuse -i sketch.png -p "a red apple" --strength 0.6', '')
    .epilog(more('COMMAND'));
}

function describeCommand(inner: Argv, command: Command, scope: Scope, completing: boolean): Argv {
  const { name, operand = '', usage = `diffuse ${name} ${operand} [flags]`, summary, examples } = command;
  const flags = FLAGS.filter((flag) => hasFlag(name, flag));
  const options = flags.map((flag) => [flag.name, toYargs(flag, scope, completing, isDrawing(name))]);
  inner
    .usage(`${usage.replace(/ {2,}/, ' ')}\n\n${summary[0]?.toUpperCase()}${summary.slice(1)}.`)
    .options(Object.fromEntries(options));
  if (scope !== 'common') return inner;
  for (const example of examples) inner.example(example, '');
  return isDrawing(name) ? inner.epilog(more(name)) : inner;
}

function more(command: string): string {
  return `More flags: diffuse ${command} --help TOPIC, or --help all.\nTopics: ${Object.keys(TOPICS).join(', ')}`;
}

/** @param selected whether the short help shows the common flags alone, and leaves out what they may be. */
function toYargs(flag: Flag, scope: Scope, completing: boolean, selected: boolean): Options {
  const { alias, kind, topic, choices, common = false } = flag;
  const short = scope === 'common';
  const shown = scope === 'all' || topic === scope || (short && (common || !selected));
  const listed = choices && !(short && selected) ? `: ${choices.join(', ')}` : '';
  return {
    ...(kind === 'switch' ? { type: 'boolean' } : { type: 'string', nargs: 1 }),
    ...(alias ? { alias } : {}),
    // A name may be written otherwise and means the same: what is taken, the option's check says.
    ...(completing && choices ? { choices } : {}),
    group: short ? 'Options:' : TOPICS[topic],
    description: `${flag.description}${listed}`,
    hidden: !shown,
  };
}

/** What a shell offers: what yargs finds, without one-letter names as long flags; files where a flag takes any text. */
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
