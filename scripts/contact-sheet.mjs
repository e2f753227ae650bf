#!/usr/bin/env node
// Draws the pictures of README.md with the command line: a contact sheet of 64 prompts with the seeds 1 to 64, every first
// picture, and a row that shows one prompt after each step, with the noise that is left.
//
//   node scripts/contact-sheet.mjs SHEET.png STEPS.png [MODEL]

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PNG } from 'pngjs';
import { loadModel } from '../dist/lib/index.js';
import { root } from './build.mjs';

const PROMPTS = [
  ...['a red apple', 'a green apple', 'a banana', 'a strawberry', 'grapes', 'a watermelon', 'a lemon', 'a tomato'],
  ...['a red apple, 3d', 'a hamburger, 3d', 'a pizza, flat', 'a doughnut, noto', 'a cookie, twemoji'],
  ...['a hot beverage', 'a birthday cake, 3d', 'an ice cream, gradient'],
  ...['a dog', 'a cat', 'a panda', 'a penguin', 'a frog', 'an octopus', 'a butterfly', 'a whale'],
  ...['a dog face, 3d', 'a cat face, flat', 'a lion, noto', 'a tiger face, twemoji', 'an owl, gradient', 'a fish, 3d'],
  ...['a lady beetle, flat', 'a unicorn, noto'],
  ...['a rose', 'a sunflower', 'a christmas tree', 'a cactus', 'a red heart', 'a blue heart', 'a star', 'a full moon'],
  ...['a racing car', 'a bicycle', 'an airplane', 'a sailboat', 'a rocket', 'a house', 'a castle', 'a locomotive'],
  ...['a grinning face', 'a crying face', 'a robot', 'a ghost', 'a skull', 'a clown face', 'an alien', 'a snowman'],
  ...['a cat next to a dog', 'a banana to the left of a red apple', 'three strawberries', 'two red hearts'],
  ...['a small star', 'a red apple on a blue background', 'a panda on a green background', 'a rose above a lemon'],
];
const COLUMNS = 8;
const STEPS = { prompt: 'a strawberry, 3d', steps: 8, cfgScale: 3, sampler: 'euler', seed: 1 };
const GAP = 4;
const GRAY = [128, 128, 128, 255];

const SETTINGS = ['--cfg-scale', '3', '--sampling-method', 'euler'];

/** The picture that the command line writes to the last of `args`. */
function draw(...args) {
  execFileSync(process.execPath, [join(root, 'dist/lib/cli/main.js'), ...model, ...SETTINGS, ...args]);
  return PNG.sync.read(readFileSync(args.at(-1)));
}

/** Pictures of one size side by side. */
function tile(pictures, columns) {
  const side = pictures[0].width + GAP;
  const sheet = new PNG({ width: columns * side + GAP, height: Math.ceil(pictures.length / columns) * side + GAP });
  for (let i = 0; i < sheet.data.length; i += 4) sheet.data.set(GRAY, i);
  for (const [i, picture] of pictures.entries()) {
    const x = GAP + (i % columns) * side;
    PNG.bitblt(picture, sheet, 0, 0, picture.width, picture.height, x, GAP + Math.floor(i / columns) * side);
  }
  return PNG.sync.write(sheet);
}

/** The latent after each step, decoded with its noise. */
async function drawSteps() {
  const opened = await loadModel(modelPath);
  const pictures = [];
  for await (const { preview } of opened.txt2img({ ...STEPS, preview: 'vae', previewNoisy: true })) {
    pictures.push(PNG.sync.read(Buffer.from(await preview.png())));
  }
  await opened.dispose();
  return pictures;
}

const [sheetPath, stepsPath, modelPath] = process.argv.slice(2);
if (!stepsPath)
  throw new Error('Expected two PNG files to write: node scripts/contact-sheet.mjs SHEET.png STEPS.png [MODEL]');
const model = modelPath ? ['-m', modelPath] : [];
const folder = mkdtempSync(join(tmpdir(), 'contact-sheet-'));
try {
  const path = join(folder, 'picture.png');
  const sheet = PROMPTS.map((prompt, i) => draw('-p', prompt, '-s', String(i + 1), '-o', path));
  writeFileSync(sheetPath, tile(sheet, COLUMNS));
  writeFileSync(stepsPath, tile(await drawSteps(), STEPS.steps));
} finally {
  rmSync(folder, { recursive: true });
}
