// Writes docs/api.md from the declarations that the TypeScript build leaves in dist/lib, so that the page is the docstrings.
//
// `node scripts/document-api.mjs` writes the page; with `--check` it fails where the page is not what it would write.

import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const page = join(root, 'docs', 'api.md');

/** Sections of the page, and the exports that each explains; every export must be in one. */
const SECTIONS = {
  'Loading a model': [
    'loadModel',
    'EMBEDDED_MODEL',
    'ModelSource',
    'LoadOptions',
    'ComputeOptions',
    'LoadProgress',
    'Logger',
    'PredictionType',
  ],
  Drawing: [
    'Model',
    'ModelInfo',
    'NativeModelInfo',
    'GenerationOptions',
    'Txt2ImgOptions',
    'HiresOptions',
    'HiresUpscaler',
    'ImageOptions',
    'Img2ImgOptions',
    'InpaintOptions',
    'EditOptions',
    'Depth2ImgOptions',
    'ImageInput',
    'RawImage',
    'ResizeMode',
    'Convention',
    'MaskedContent',
    'PreviewKind',
    'LoraOption',
    'LoraTags',
    'ControlOptions',
    'Preprocessor',
    'CannyOptions',
    'EmbeddingOption',
    'LoraReport',
    'EmbeddingReport',
    'Run',
    'GenerationStep',
    'GenerationResult',
    'Timings',
    'ProfileEntry',
    'RngName',
  ],
  'Enlarging images': ['loadUpscaler', 'Upscaler', 'UpscalerInfo', 'UpscaleOptions', 'UpscaleProgress'],
  Depth: [
    'loadDepthEstimator',
    'DepthEstimator',
    'DepthEstimatorInfo',
    'EstimateOptions',
    'estimateDepth',
    'EstimateDepthOptions',
    'DepthMap',
  ],
  'Images and their metadata': [
    'RgbImage',
    'LossyOptions',
    'canny',
    'readMetadata',
    'ImageMetadata',
    'GenerationParameters',
    'ControlParameters',
  ],
  'Looking before loading': ['listDevices', 'Device', 'inspectModel', 'Inspection', 'NoiseLevels', 'Component'],
  Samplers: ['Sampler', 'Denoiser', 'SamplerContext', 'SamplerStep', 'SAMPLERS', 'SamplerEntry', 'SamplerName'],
  Schedules: ['SCHEDULERS', 'SchedulerName', 'Schedule', 'SigmaTable', 'stableDiffusionTable'],
  Errors: ['DiffusionError', 'DiffusionErrorCode', 'ArgumentError', 'ArgumentErrorCode', 'ArgumentProblem'],
};

const INTRODUCTION = `# API

This page is made from the docstrings by \`npm run docs\`; change them, not it. The package is an ES module:

\`\`\`ts
import { loadModel } from 'node-diffusion';
\`\`\`
`;

const text = buildPage();
if (!process.argv.includes('--check')) writeFileSync(page, text);
else if (readFileSync(page, 'utf8') !== text) {
  console.error('docs/api.md is not what the docstrings say: run `npm run docs`');
  process.exitCode = 1;
}

function buildPage() {
  const index = read(join(root, 'dist', 'lib', 'index.d.ts'));
  const exported = new Map(
    index.reexports.flatMap(({ names, file }) => [...names].map(([name, own]) => [name, { own, file }])),
  );
  const listed = Object.values(SECTIONS).flat();
  const unlisted = [...exported.keys()].filter((name) => !listed.includes(name));
  if (unlisted.length > 0) fail(`SECTIONS of this script lacks ${unlisted.join(', ')}`);
  const sections = Object.entries(SECTIONS).map(([title, names]) => {
    const entries = names.map(
      (name) => `### \`${name}\`\n\n${describe(exported.get(name) ?? fail(`${name} is not exported`))}`,
    );
    return `\n## ${title}\n\n${entries.join('\n')}`;
  });
  // Types go by their public names.
  const renamed = [...exported].filter(([name, { own }]) => name !== own);
  return renamed.reduce(
    (text, [name, { own }]) => text.replaceAll(new RegExp(`\\b${own}\\b`, 'g'), name),
    INTRODUCTION + sections.join(''),
  );
}

/** The lines of a declaration file, and what it passes on from others. */
function read(path) {
  const source = readFileSync(path, 'utf8');
  const reexports = [...source.matchAll(/^export (?:type )?\{([^}]*)\} from '([^']+)';/gm)].map(([, names, from]) => ({
    names: parseNames(names),
    file: join(dirname(path), from.replace(/\.ts$/, '.d.ts')),
  }));
  return { lines: source.split('\n'), reexports };
}

/** From each public name of `a, type b, c as d` to the name it has in its own file. */
function parseNames(list) {
  const names = list
    .replace(/\btype\b/g, '')
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean);
  return new Map(names.map((name) => name.split(' as ')).map(([own, shown = own]) => [shown, own]));
}

/** One export as Markdown: its docstring, then its declaration. */
function describe({ own, file }) {
  const { lines, reexports } = read(file);
  const passedOn = reexports.find(({ names }) => names.has(own));
  if (passedOn) return describe({ own: passedOn.names.get(own), file: passedOn.file });
  const pattern = new RegExp(`^export (declare )?(class|interface|type|function|const) ${own}\\b`);
  const start = lines.findIndex((line) => pattern.test(line));
  if (start < 0) fail(`${file} does not declare ${own}`);
  const end = lines.findIndex(
    (line, i) => i >= start && (/^}/.test(line) || ((i === start || depth(lines, start, i) === 0) && /;$/.test(line))),
  );
  const declaration = lines.slice(start, end + 1);
  declaration[0] = declaration[0].replace(/^export (declare )?/, '');
  return `${docstring(lines, start)}\n\n\`\`\`ts\n${withoutPrivate(declaration)
    .join('\n')
    .replace(/\{@link ([^}]+)\}/g, '$1')}\n\`\`\`\n`;
}

/** How many brackets are open after the lines from `start` to `end`. */
function depth(lines, start, end) {
  const code = lines
    .slice(start, end + 1)
    .join('\n')
    .replace(/=>/g, '');
  return (code.match(/[{[(<]/g) ?? []).length - (code.match(/[}\])>]/g) ?? []).length;
}

/** The docstring above a line, with its tags as a list. */
function docstring(lines, end) {
  let start = end - 1;
  if (!lines[start]?.trimEnd().endsWith('*/')) fail(`no docstring above: ${lines[end]}`);
  while (!lines[start].startsWith('/**')) start--;
  return lines
    .slice(start, end)
    .join('\n')
    .replace(/^\/\*\*\s?|\s*\*\/$/g, '')
    .replace(/^ \* ?/gm, '')
    .trim()
    .replace(/\{@link ([^}]+)\}/g, '`$1`')
    .replace(/^@param (\S+) /gm, '- `$1`: ')
    .replace(/^@returns? /gm, '- Returns ')
    .replace(/^@throws /gm, '- Throws ');
}

/** Leaves out what is no business of a caller: private fields and members marked internal. */
function withoutPrivate(lines) {
  const kept = [];
  for (let i = 0; i < lines.length; i++) {
    if (lines[i].trim() === '#private;') continue;
    if (lines[i].includes('/** @internal')) i++;
    else kept.push(lines[i].replace(/^( {4})+/, (indent) => ' '.repeat(indent.length / 2)));
  }
  return kept;
}

function fail(message) {
  throw new Error(message);
}
