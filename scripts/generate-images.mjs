#!/usr/bin/env node
// Generates the images of README.md and docs/ with the command line: a contact sheet of 64 prompts with seeds 1 to 64, not
// cherry-picked; one prompt after each step, with the remaining noise; and the examples of the guide.
//
//   node scripts/generate-images.mjs FOLDER [MODEL]

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
const EDITS = ['1.0', '0.7', '0.5', '0.3', '0.0'].map((when) => `[a red apple:a lemon:${when}]`);
const MIXTURES = ['[a red apple|a lemon]', '[a red apple|a blueberry]'];

const [out, modelPath] = process.argv.slice(2);
if (!out) throw new Error('Expected a folder to write to: node scripts/generate-images.mjs FOLDER [MODEL]');
const model = modelPath ? ['-m', modelPath] : [];
const folder = mkdtempSync(join(tmpdir(), 'images-'));

/** Generates an image with the command line. */
function generate(prompt, seed, ...flags) {
  const path = join(folder, 'image.png');
  const options = ['-p', prompt, '-s', String(seed), '-o', path];
  execFileSync(process.execPath, [join(root, 'dist/lib/cli/main.js'), ...model, ...SETTINGS, ...options, ...flags]);
  return PNG.sync.read(readFileSync(path));
}

/** Images of one size next to each other, `gap` pixels apart. */
function tile(images, columns, gap = GAP) {
  const { width, height } = images[0];
  const rows = Math.ceil(images.length / columns);
  const sheet = new PNG({ width: columns * (width + gap) + gap, height: rows * (height + gap) + gap });
  for (let i = 0; i < sheet.data.length; i += 4) sheet.data.set(GRAY, i);
  for (const [i, image] of images.entries()) {
    const [x, y] = [gap + (i % columns) * (width + gap), gap + Math.floor(i / columns) * (height + gap)];
    PNG.bitblt(image, sheet, 0, 0, width, height, x, y);
  }
  return sheet;
}

/** The latent after each step, decoded with its noise. */
async function drawSteps() {
  const opened = await loadModel(modelPath);
  const images = [];
  for await (const { preview } of opened.txt2img({ ...STEPS, preview: 'vae', previewNoisy: true })) {
    images.push(PNG.sync.read(Buffer.from(await preview.png())));
  }
  await opened.dispose();
  return images;
}

/** An apple, a lemon from it at four strengths, and a lemon around its middle. */
function drawFromImage() {
  const [image, mask] = [join(folder, 'apple.png'), join(folder, 'mask.png')];
  const apple = generate('a red apple', 1);
  writeFileSync(image, PNG.sync.write(apple));
  const disk = new PNG({ width: apple.width, height: apple.height });
  for (let i = 0; i < apple.width * apple.height; i++) {
    const [x, y] = [(i % apple.width) - apple.width / 2, Math.floor(i / apple.width) - apple.height / 2];
    disk.data.set(Math.hypot(x, y) < apple.width / 4 ? [255, 255, 255, 255] : [0, 0, 0, 255], 4 * i);
  }
  writeFileSync(mask, PNG.sync.write(disk));
  const lemons = ['0.25', '0.5', '0.75', '1'].map((strength) =>
    generate('a lemon', 2, '-i', image, '--strength', strength),
  );
  return [apple, ...lemons, generate('a lemon', 2, '-i', image, '--mask', mask, '--invert-mask')];
}

/** Each of two tileable images, repeated eight times. */
function drawTiles() {
  const seamless = ['two red hearts', 'two grinning faces'].map((prompt) => generate(prompt, 3, '--circular'));
  return seamless.map((image) => tile(Array(8).fill(image), 4, 0));
}

const write = (name, image) => writeFileSync(join(out, name), PNG.sync.write(image));
try {
  const sheet = PROMPTS.map((prompt, i) => generate(prompt, i + 1));
  write('embedded.png', tile(sheet, COLUMNS));
  write('steps.png', tile(await drawSteps(), STEPS.steps));
  write('from-an-image.png', tile(drawFromImage(), 6));
  const edited = [...EDITS, ...MIXTURES].map((prompt) => generate(prompt, 1));
  write('prompt-editing.png', tile(edited, edited.length));
  write('tiles.png', tile(drawTiles(), 2));
} finally {
  rmSync(folder, { recursive: true });
}
