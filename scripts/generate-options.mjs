// Writes the interfaces of lib/task/options.ts and lib/image/generation-parameters.ts from the rows of the options (lib/task/*-rows.ts), by the build in dist/lib.
//
// They are written out, not derived by types, so that an editor shows the docstring of each option and errors name the interface.
// `node scripts/generate-options.mjs` builds and writes them; with `--check` it only fails if they differ from what it would write.

import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const checks = process.argv.includes('--check');
const root = fileURLToPath(new URL('..', import.meta.url));
// The compiler may complain of the very interfaces that are stale here, and writes the rows all the same.
if (!checks) spawnSync(process.execPath, [join('node_modules', 'typescript', 'bin', 'tsc'), '-p', '.'], { cwd: root });

const { HIRES_PARTS } = await import('../dist/lib/task/hires-rows.js');
const { ROWS } = await import('../dist/lib/task/rows.js');
const { FROM_IMAGE, TASKS, WITH_STRENGTH } = await import('../dist/lib/task/task.js');

const MARK = '// Generated from here on.\n';

/** The interfaces: each has the options of its tasks that the one before it in the chain has not. */
const INTERFACES = [
  { name: 'GenerationOptions', tasks: TASKS, doc: 'Options of every call that generates images.' },
  { name: 'Txt2ImgOptions', parent: 'GenerationOptions', tasks: ['txt2img'], doc: 'Options of {@link Model.txt2img}.' },
  {
    name: 'ImageOptions',
    parent: 'GenerationOptions',
    tasks: FROM_IMAGE,
    doc: 'Options of every call that starts from an image.',
  },
  { name: 'Img2ImgOptions', parent: 'ImageOptions', tasks: WITH_STRENGTH, doc: 'Options of {@link Model.img2img}.' },
  { name: 'InpaintOptions', parent: 'Img2ImgOptions', tasks: ['inpaint'], doc: 'Options of {@link Model.inpaint}.' },
  {
    name: 'EditOptions',
    parent: 'ImageOptions',
    tasks: ['edit'],
    doc: 'Options of {@link Model.edit}. The prompt is an instruction: `make it winter`.',
  },
  {
    name: 'Depth2ImgOptions',
    parent: 'Img2ImgOptions',
    tasks: ['depth2img'],
    doc: 'Options of {@link Model.depth2img}.',
  },
];

write('lib/task/options.ts', [...INTERFACES.map(taskInterface), hiresInterface()]);
write('lib/image/generation-parameters.ts', [parametersInterface()]);

/** Replaces what follows the mark. */
function write(path, interfaces) {
  const file = join(root, path);
  const current = readFileSync(file, 'utf8');
  const head = current.slice(0, current.indexOf(MARK) + MARK.length);
  const text = `${head}\n${interfaces.join('\n')}`;
  if (!checks) writeFileSync(file, text);
  else if (text !== current) {
    console.error(`${path} does not match the rows of the options: run \`npm run docs\``);
    process.exitCode = 1;
  }
}

function taskInterface({ name, parent, tasks, doc }) {
  const above = INTERFACES.find((one) => one.name === parent);
  const has = (rowTasks = TASKS, wanted) => wanted.every((task) => rowTasks.includes(task));
  const own = Object.entries(ROWS).filter(
    ([, row]) => has(row.tasks, tasks) && !(above && has(row.tasks, above.tasks)),
  );
  return interfaceOf(name, parent, doc, own);
}

function hiresInterface() {
  return interfaceOf(
    'HiresOptions',
    undefined,
    'Options of {@link Txt2ImgOptions.hires}.',
    Object.entries(HIRES_PARTS),
  );
}

/** Options as parameters of an image. Those of all tasks that are written for the default too are always there. */
function parametersInterface() {
  const members = Object.entries(ROWS)
    .filter(([, { metadata }]) => metadata && metadata.type !== '')
    .map(([option, { rule, metadata, tasks = TASKS }]) => {
      const isThere = metadata.always && TASKS.every((task) => tasks.includes(task));
      const type = metadata.type ?? rule.type;
      return `  readonly ${option}${isThere ? `: ${type}` : `?: ${type} | undefined`};\n`;
    });
  const doc =
    'Options among the parameters. Those that may be undefined are so for the default. Sizes are as `1024x768`, a corner as `top, left`.';
  return `/** ${doc} */\nexport interface OptionParameters {\n${members.join('')}}\n`;
}

function interfaceOf(name, parent, doc, rows) {
  const members = rows.map(([option, { doc, rule, required }]) => {
    const type = required ? `: ${rule.type}` : `?: ${rule.type} | undefined`;
    return `${docstring(doc)}  ${option}${type};\n`;
  });
  return `/** ${doc} */\nexport interface ${name}${parent ? ` extends ${parent}` : ''} {\n${members.join('')}}\n`;
}

function docstring(doc) {
  const lines = doc
    .trim()
    .split('\n')
    .map((line) => line.trim());
  if (lines.length === 1 && lines[0].length <= 110) return `  /** ${lines[0]} */\n`;
  return `  /**\n${lines.map((line) => `   * ${line}\n`).join('')}   */\n`;
}
