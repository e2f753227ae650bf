// Writes docs/api/*.md from the declarations that the TypeScript build leaves in dist/lib: the pages are the docstrings.
//
// `node scripts/document-api.mjs` writes the pages; with `--check` it fails if they differ from what it would write.

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, 'docs', 'api');

/** The pages: file name, title, and the exports that each explains. Every export must be on one page. */
const PAGES = {
  loading: {
    title: 'Loading a model',
    names: [
      'loadModel',
      'EMBEDDED_MODEL',
      'ModelSource',
      'LoadOptions',
      'ComputeOptions',
      'Residency',
      'LoadProgress',
      'Logger',
    ],
  },
  inspecting: {
    title: 'Devices and inspection',
    names: [
      'listDevices',
      'listGpuLibraries',
      'Device',
      'GpuLibrary',
      'inspectModel',
      'Inspection',
      'NoiseLevels',
      'Component',
    ],
  },
  memory: {
    title: 'Memory',
    names: [
      ...[
        'estimate',
        'WorkloadOptions',
        'MemoryEstimate',
        'StageEstimate',
        'MemoryBudget',
        'MemoryPlan',
        'PlannedMemory',
      ],
      'Peak',
    ],
  },
  converting: {
    title: 'Converting models',
    names: [
      'convert',
      'ConvertOptions',
      'ConversionType',
      'CONVERSION_TYPES',
      'ConversionProgress',
      'Conversion',
      'ConversionReport',
    ],
  },
  model: {
    title: 'The model',
    names: ['Model', 'ModelInfo', 'LoadedModelInfo', 'TextEncoderInfo', 'NativeModelInfo', 'ProfileEntry'],
  },
  generating: {
    title: 'Generating images',
    names: ['GenerationOptions', 'Txt2ImgOptions', 'HiresOptions', 'HiresUpscaler', 'PreviewKind', 'RngName'],
  },
  'image-to-image': {
    title: 'Image to image, inpainting, editing',
    names: [
      'ImageOptions',
      'Img2ImgOptions',
      'InpaintOptions',
      'EditOptions',
      'Depth2ImgOptions',
      'ResizeMode',
      'Convention',
      'MaskedContent',
    ],
  },
  'adding-weights': {
    title: 'LoRAs, embeddings, ControlNets',
    names: [
      'LoraOption',
      'LoraFile',
      'LoraTags',
      'LoraReport',
      'EmbeddingOption',
      'EmbeddingReport',
      'ControlOptions',
      'Preprocessor',
      'CannyOptions',
    ],
  },
  results: {
    title: 'Runs and results',
    names: ['Run', 'GenerationStep', 'TileProgress', 'GenerationResult', 'Timings'],
  },
  images: { title: 'Images', names: ['ImageInput', 'RawImage', 'RgbImage', 'LossyOptions', 'canny'] },
  metadata: {
    title: 'Metadata of images',
    names: ['readMetadata', 'ImageMetadata', 'GenerationParameters', 'OptionParameters', 'ControlParameters'],
  },
  upscaling: {
    title: 'Upscaling',
    names: ['loadUpscaler', 'Upscaler', 'UpscalerInfo', 'ImageNetworkInfo', 'UpscaleOptions', 'UpscaleProgress'],
  },
  depth: {
    title: 'Depth estimation',
    names: [
      'loadDepthEstimator',
      'DepthEstimator',
      'DepthEstimatorInfo',
      'EstimateOptions',
      'estimateDepth',
      'EstimateDepthOptions',
      'DepthMap',
    ],
  },
  samplers: {
    title: 'Samplers',
    names: ['Sampler', 'Denoiser', 'SamplerContext', 'SamplerStep', 'SAMPLERS', 'SamplerEntry', 'SamplerName'],
  },
  schedules: {
    title: 'Schedules',
    names: ['SCHEDULERS', 'SchedulerName', 'Schedule'],
  },
  noise: {
    title: 'Noise models',
    names: [
      'NoiseModel',
      'SigmaLevels',
      'AncestralStep',
      'DiffusionNoise',
      'SigmaTable',
      'stableDiffusionTable',
      'FlowNoise',
      'FlowLevels',
      'FlowOptions',
      'PredictionType',
    ],
  },
  serving: {
    title: 'Serving (`node-diffusion/serve`)',
    names: [
      ...['serve', 'ServeOptions', 'Server', 'createHandler', 'HandlerOptions', 'Handler'],
      ...['ServeLoadOptions', 'ServeLimits', 'ServeLogger', 'LogEntry'],
    ],
  },
  errors: {
    title: 'Errors',
    names: ['DiffusionError', 'DiffusionErrorCode', 'ArgumentError', 'ArgumentErrorCode', 'ArgumentProblem'],
  },
};

const INTRODUCTION = `# API

The package is an ES module:

\`\`\`ts
import { loadModel } from 'node-diffusion';
import { serve } from 'node-diffusion/serve';
\`\`\`

\`npm run docs\` generates these pages from the docstrings: edit those, not the pages.
`;

const pages = buildPages();
if (process.argv.includes('--check')) checkPages();
else writePages();

function writePages() {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  for (const [name, text] of Object.entries(pages)) writeFileSync(join(folder, name), text);
}

function checkPages() {
  const stale = Object.keys(pages).filter((name) => textOf(name) !== pages[name]);
  const unknown = readdirSync(folder).filter((name) => !(name in pages));
  if (stale.length + unknown.length === 0) return;
  console.error(`docs/api: ${[...stale, ...unknown].join(', ')} do not match the docstrings: run \`npm run docs\``);
  process.exitCode = 1;
}

function textOf(name) {
  try {
    return readFileSync(join(folder, name), 'utf8');
  } catch {
    return undefined;
  }
}

/** From the name of each page to its text. */
function buildPages() {
  const entries = ['index.d.ts', join('serve', 'index.d.ts')].map((file) => read(join(root, 'dist', 'lib', file)));
  const exported = new Map(
    entries
      .flatMap(({ reexports }) => reexports)
      .flatMap(({ names, file }) => [...names].map(([name, own]) => [name, { own, file }])),
  );
  const listed = Object.values(PAGES).flatMap(({ names }) => names);
  const unlisted = [...exported.keys()].filter((name) => !listed.includes(name));
  if (unlisted.length > 0) fail(`PAGES of this script lacks ${unlisted.join(', ')}`);

  const texts = { 'index.md': INTRODUCTION };
  for (const [page, { title, names }] of Object.entries(PAGES)) {
    const entries = names.map((name) => ({
      name,
      text: describe(exported.get(name) ?? fail(`${name} is not exported`)),
    }));
    texts[`${page}.md`] = `# ${title}\n\n[API](index.md)\n\n${entries
      .map(({ name, text }) => `## \`${name}\`\n\n${text}`)
      .join('\n')}`;
    texts['index.md'] += `\n## [${title}](${page}.md)\n\n${entries
      .map(({ name, text }) => `- [\`${name}\`](${page}.md#${name.toLowerCase()}): ${firstSentence(text)}\n`)
      .join('')}`;
  }
  // Types go by their public names.
  const renamed = [...exported].filter(([name, { own }]) => name !== own);
  const withPublicNames = (text) =>
    renamed.reduce((text, [name, { own }]) => text.replaceAll(new RegExp(`\\b${own}\\b`, 'g'), name), text);
  return Object.fromEntries(Object.entries(texts).map(([page, text]) => [page, withPublicNames(text)]));
}

/** The first sentence of a description, on one line. */
function firstSentence(text) {
  const [paragraph] = text.split('\n\n');
  const line = paragraph.replace(/\s*\n\s*/g, ' ');
  return /^.*?(?<!\b(?:al|eq))[.:](?= |$)/.exec(line)?.[0].replace(/:$/, '.') ?? line;
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
