// What the command line says of itself: help, completion, and what it takes a wrong word for.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diffuse } from './command.ts';

const COMMANDS = [
  ...[
    'txt2img',
    'img2img',
    'inpaint',
    'edit',
    'depth2img',
    'upscale',
    'depth',
    'inspect',
    'convert',
    'devices',
    'build',
    'metadata',
    'serve',
  ],
];

/** Runs `diffuse` and takes what it printed apart. */
async function lines(...args: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await diffuse(args);
  assert.deepEqual([code, stderr], [0, ''], args.join(' '));
  return stdout.toString().trimEnd().split('\n');
}

test('the help of every command fits a screen', { concurrency: 4 }, async (t) => {
  const whole = [[], ...COMMANDS.map((command) => [command])];
  await Promise.all(
    whole.map((command) =>
      t.test(command.join() || 'diffuse', async () => {
        const page = await lines(...command, '--help');
        assert.ok(page.length <= 40, `${page.length} lines`);
        assert.ok(Math.max(...page.map((line) => line.length)) <= 80);
        assert.match(page[0] as string, /^diffuse /);
        assert.ok(page.some((line) => line.startsWith('  -h, --help')));
      }),
    ),
  );
});

test('the whole help lists commands first and has examples and topics at its end', async () => {
  const page = (await lines('--help')).join('\n');
  const places = ['Commands:', 'Options:', 'Examples:', 'More:'].map((heading) => page.indexOf(heading));
  assert.deepEqual(
    places,
    places.toSorted((a, b) => a - b),
  );
  for (const command of COMMANDS) assert.match(page, new RegExp(`^  diffuse ${command} `, 'm'));
});

test('a topic shows its flags alone, and all shows everything', async () => {
  const [topic, same, all, ofCommand] = await Promise.all([
    lines('--help', 'controls'),
    lines('help', 'controls'),
    lines('--help=all'),
    lines('help', 'img2img'),
  ]);
  assert.deepEqual(topic, same);
  assert.match(topic.join('\n'), /ControlNets:\n +--control-net/);
  assert.doesNotMatch(topic.join('\n'), /Commands:|--steps/);
  for (const flag of ['--control-net', '--hires', '--rng', '--img-cfg-scale', '--json']) {
    assert.ok(
      all.some((line) => line.includes(`${flag} `)),
      flag,
    );
  }
  assert.match(ofCommand.join('\n'), /--strength/);
});

test('no page names a flag that its command does not have', { concurrency: 4 }, async (t) => {
  await Promise.all(
    COMMANDS.map((command) =>
      t.test(command, async () => {
        const page = (await lines(command, '--help', 'all')).join('\n');
        const own = [...page.matchAll(/^ +(?:-\w, )?(--[\w-]+)/gm)].map(([, flag]) => flag);
        const named = [...page.matchAll(/--[a-z][\w-]*/g)].map(([flag]) => flag);
        assert.deepEqual(
          named.filter((flag) => !own.includes(flag)),
          [],
        );
      }),
    ),
  );
});

test('without anything the short help goes to standard error, as an error', async () => {
  const [{ code, stdout, stderr }, help] = await Promise.all([diffuse([]), lines('--help')]);
  assert.deepEqual([code, stdout.length], [2, 0]);
  assert.deepEqual(stderr.trimEnd().split('\n'), help);
});

test('shells complete commands, flags and values', async () => {
  const complete = (...words: string[]) => lines('--get-yargs-completions', 'diffuse', ...words);
  const [script, commands, flags, own, samplers, inside, files] = await Promise.all([
    lines('completion'),
    complete('d'),
    complete('-p', 'x', '--s'),
    complete('inspect', '--'),
    complete('-p', 'x', '--sampling-method', 'dpm++2'),
    complete('img2img', '--resize-mode', ''),
    complete('txt2img', '-m', ''),
  ]);
  assert.match(script.join('\n'), /diffuse --get-yargs-completions/);
  for (const name of ['devices', 'depth']) assert.ok(commands.includes(name), name);
  for (const name of ['--steps', '--strength', '--hires-scale']) assert.ok(flags.includes(name), name);
  assert.ok(own.includes('--clip_l') && !own.includes('--steps') && !own.includes('--m'));
  assert.deepEqual(samplers, ['dpm++2s_a', 'dpm++2m', 'dpm++2mv2', 'dpm++2m_sde']);
  assert.deepEqual(inside, ['fill', 'fit', 'stretch', 'none']);
  assert.deepEqual(files, [''], 'files are left to the shell');
});

/** Flags that do not exist, all given to one command, each with what it is answered with. */
const MEANT: Readonly<Record<string, RegExp>> = {
  '--stepz': /Did you mean --steps\?/,
  '--batch-size': /Did you mean --batch-count\?/,
  '--cfg': /Did you mean --cfg-scale\?/,
  '--guidance_scale': /Did you mean --cfg-scale\?/,
  '--negative': /Did you mean --negative-prompt\?/,
  '--negative_prompt': /Did you mean --negative-prompt\?/,
  '--num_inference_steps': /Did you mean --steps\?/,
  '--sampler-name': /Did you mean --sampling-method\?/,
  '--denoising-strength': /Did you mean --strength\?/,
  '--ckpt': /Did you mean --model\?/,
  '--lora': /Did you mean --lora-model-dir\?/,
  '--vae-tile-overlap': /of sd-cli is not needed here/,
  '--size': /Write --width and --height/,
  '--mode': /The commands are txt2img, img2img/,
  '--frobnicate': /See diffuse txt2img --help/,
  '-W64': /Write -W 64/,
  '--strength':
    /txt2img but received --strength\. It is a flag of img2img \(--init-img\), inpaint \(--init-img and --mask\)/,
  '--upscale-model': /It is a flag of upscale$/,
};

test('all unknown flags are reported together, with suggestions', async () => {
  const { code, stderr } = await diffuse(['-p', 'x', ...Object.keys(MEANT).flatMap((flag) => [flag, '3'])]);
  assert.equal(code, 2);
  for (const [flag, remedy] of Object.entries(MEANT)) {
    const line = stderr
      .split('\n')
      .find((one) => one.includes(`Unknown flag ${flag}.`) || one.includes(`received ${flag}.`));
    assert.match(line ?? `${flag} is not reported`, remedy);
  }
});

test('help is a word like others where it is the value of a flag', async () => {
  const [value, behind, before] = await Promise.all([
    diffuse(['-W', 'help']),
    lines('devices', 'help'),
    lines('help', 'devices'),
  ]);
  assert.match(value.stderr, /for --width but received 'help'/);
  assert.deepEqual(behind, before);
});

const WORDS: Readonly<Record<string, RegExp>> = {
  version: /Did you mean diffuse --version\?/,
  inspct: /Did you mean diffuse inspect\?/,
  'apple.png': /An image is given with -i, a model with -m/,
  'a red apple on a table': /Give the prompt with -p, in quotes/,
};
for (const [word, remedy] of Object.entries(WORDS)) {
  test(`'${word}' where a command would stand`, async () => {
    const { code, stderr } = await diffuse([word]);
    assert.match(stderr, remedy);
    assert.equal(code, 2);
  });
}

test('all problems of flags, values and combinations are reported together, also as JSON', async () => {
  const flags = [
    '-W',
    '0',
    '--steps',
    'many',
    '-t',
    '0',
    '--sigmas',
    '1,0',
    '--scheduler',
    'karras',
    '--hires-scale=3',
  ];
  const { code, stdout, stderr } = await diffuse(['-p', '(x:1.2.3)', ...flags, '-o', '-', '-b', '2', '--json']);
  assert.equal(code, 2);
  const { error } = JSON.parse(stdout.toString());
  assert.equal(error.code, 'ERR_USAGE');
  assert.equal(stderr, `diffuse: ${error.message}\n`);
  const messages = error.problems.map(({ message }: { message: string }) => message).join('\n');
  for (const flag of [
    '--width',
    '--steps',
    '--threads',
    '--sigmas',
    '--hires ',
    '--prompt',
    '--batch-count',
    '--json',
  ]) {
    assert.ok(messages.includes(flag), flag);
  }
  const { name, expected, received } = error.problems.find((problem: { name?: string }) => problem.name === '--width');
  assert.deepEqual([name, expected, received], ['--width', 'an integer from 1 to 16384', '0']);
});
