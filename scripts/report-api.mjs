// The API reports: all exported declarations of each entry point on one page, docs/*.api.md, so that a change to them is seen. With them goes the
// hash of the native contract (lib/native/contract-version.ts). Both are made from what `npm run build:ts` leaves in dist/lib.
//
// `node scripts/report-api.mjs` writes them; with `--check` it fails where they differ from what it would write.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Extractor, ExtractorConfig } from '@microsoft/api-extractor';

const root = fileURLToPath(new URL('..', import.meta.url));
const declarations = join(root, 'dist', 'lib');
/** Each report, and the declarations that it is of. */
const reports = { 'node-diffusion': 'index.d.ts', 'node-diffusion-serve': join('serve', 'index.d.ts') };
const pageOf = (name) => join(root, 'docs', `${name}.api.md`);
const version = join(root, 'lib', 'native', 'contract-version.ts');

/** Writes a report into a folder; returns its path. */
function makeReport(name, folder) {
  const entry = join(declarations, reports[name]);
  const none = { default: { logLevel: 'none' } };
  const configObject = {
    projectFolder: root,
    mainEntryPointFilePath: entry,
    compiler: {
      overrideTsconfig: {
        compilerOptions: {
          module: 'nodenext',
          target: 'es2022',
          lib: ['es2023', 'esnext.disposable'],
          types: ['node'],
        },
        files: [entry],
      },
    },
    apiReport: {
      enabled: true,
      reportFileName: name,
      reportFolder: folder,
      reportTempFolder: folder,
      // Types that exported ones refer to are a part of the API without being exported.
      includeForgottenExports: true,
    },
    docModel: { enabled: false },
    dtsRollup: { enabled: false },
    tsdocMetadata: { enabled: false },
    // Docstrings are those of docs/api, not in the syntax of TSDoc.
    messages: { compilerMessageReporting: none, extractorMessageReporting: none, tsdocMessageReporting: none },
  };
  const config = ExtractorConfig.prepare({ configObject, packageJsonFullPath: join(root, 'package.json') });
  Extractor.invoke(config, {
    localBuild: true,
    messageCallback: (message) => {
      message.handled = true;
    },
  });
  return config.reportFilePath;
}

/** Hash of what the native contract declares, in whatever files it does. Comments do not count. */
function contractHash() {
  const files = new Set(['contract.d.ts']);
  const hash = createHash('sha256');
  for (const file of files) {
    const text = readFileSync(join(declarations, 'native', file), 'utf8');
    for (const [, other] of text.matchAll(/from '\.\/([\w-]+)\.ts'/g)) files.add(`${other}.d.ts`);
    hash.update(text.replace(/\/\*.*?\*\/|\/\/.*$/gms, '').replace(/\s+/g, ' '));
  }
  return hash.digest('hex').slice(0, 8);
}

const folder = mkdtempSync(join(tmpdir(), 'node-diffusion-api-'));
try {
  const text = readFileSync(version, 'utf8');
  const versionText = text.replace(/'.*'/, `'${contractHash()}'`);
  for (const name of Object.keys(reports)) {
    const made = makeReport(name, folder);
    const page = pageOf(name);
    if (!process.argv.includes('--check')) copyFileSync(made, page);
    else if (spawnSync('git', ['diff', '--no-index', page, made], { stdio: 'inherit' }).status !== 0) {
      fail(`${page} is not what the sources export`);
    }
  }
  if (process.argv.includes('--check')) {
    if (text !== versionText) fail(`${version} is not the hash of the native contract`);
  } else {
    writeFileSync(version, versionText);
    if (text !== versionText) console.log('The native contract is another one now: npm run build');
  }
} finally {
  rmSync(folder, { recursive: true });
}

function fail(what) {
  console.error(`${what}. Where that is meant: npm run api, and look at the difference.`);
  process.exitCode = 1;
}
