// Puts the source of ggml that ggml.json pins, with the changes of patches/, into vendor/ggml/. Does nothing where that is
// there already.
//
// The pin is an npm package, so a registry mirror, a proxy and the npm cache serve it as they serve every dependency.
// Inside it the source is a git bundle, hence the need for git. Where only the patches are others than before, the old ones
// are taken back and the new ones applied, without the network.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const pinText = readFileSync(join(here, 'ggml.json'), 'utf8');
const pin = JSON.parse(pinText);
const target = join(here, 'ggml');
// The same, patched, in published packages.
const archive = join(here, 'ggml.tar.gz');
const patchFolder = join(here, 'patches');
// Copies of the pin and of the patches inside the source say what it is.
const pinStamp = 'pin.json';
const patchStamp = 'patches';

/** Fetches and patches where needed; returns the folder with ggml's CMakeLists.txt. */
export function fetchGgml() {
  if (!existsSync(target) && existsSync(archive)) unpackArchive();
  const samePin = existsSync(join(target, pinStamp)) && readFileSync(join(target, pinStamp), 'utf8') === pinText;
  const patches = readPatches(patchFolder);
  const found = existsSync(join(target, patchStamp)) ? readPatches(join(target, patchStamp)) : [];
  if (samePin && JSON.stringify(found) === JSON.stringify(patches)) return target;
  // The new folder is built up beside its place: a rename is atomic only within one file system.
  const fresh = mkdtempSync(join(here, '.ggml-'));
  try {
    if (!samePin || !copyUnpatched(fresh, found)) download(fresh);
    for (const { name } of patches) applyPatch(fresh, join(patchFolder, name));
    cpSync(patchFolder, join(fresh, patchStamp), { recursive: true });
    writeFileSync(join(fresh, pinStamp), pinText);
    chmodSync(fresh, 0o755);
    rmSync(target, { recursive: true, force: true });
    renameSync(fresh, target);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return target;
}

/** The source appears whole or not at all. */
function unpackArchive() {
  const fresh = mkdtempSync(join(here, '.ggml-'));
  try {
    run('tar', ['-xzf', archive, '-C', fresh], { failed: `tar could not unpack ${archive}. Is tar installed?` });
    renameSync(join(fresh, 'ggml'), target);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** The patches of a folder, in the order in which they apply. */
function readPatches(folder) {
  const names = readdirSync(folder).sort();
  return names.map((name) => ({ name, text: readFileSync(join(folder, name), 'utf8') }));
}

/** Puts the source that is there into `folder`, without its patches. False where they cannot be taken back. */
function copyUnpatched(folder, patches) {
  // With their times, files that stay the same are not compiled again.
  cpSync(target, folder, { recursive: true, preserveTimestamps: true });
  try {
    for (const { name } of patches.toReversed()) applyPatch(folder, join(target, patchStamp, name), '--reverse');
  } catch {
    rmSync(folder, { recursive: true });
    mkdirSync(folder);
    return false;
  }
  rmSync(join(folder, patchStamp), { recursive: true, force: true });
  return true;
}

/** Changes the source in `folder`. Throws where it is not what the patch expects, and has changed nothing of it then. */
function applyPatch(folder, patch, ...flags) {
  // Inside a repository git would take the paths for some of that one, and pass over them in silence.
  const env = { GIT_CEILING_DIRECTORIES: dirname(folder) };
  const failed = `${patch} does not fit the source of ggml (or git is not installed).`;
  run('git', ['apply', '--whitespace=nowarn', ...flags, patch], { cwd: folder, env, failed });
}

/** Puts the pinned source into `folder`. */
function download(folder) {
  console.log(`Fetching the source of ggml (${pin.package}@${pin.version}) ...`);
  const work = mkdtempSync(join(tmpdir(), 'node-diffusion-ggml-'));
  try {
    const bundle = unpack(pack(work), work);
    checkOut(bundle, join(work, 'source'));
    for (const [from, to] of Object.entries(pin.paths)) {
      mkdirSync(dirname(join(folder, to)), { recursive: true });
      cpSync(join(work, 'source', from), join(folder, to), { recursive: true });
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Downloads the package (npm's cache first) and checks it against the pin; returns the tarball. */
function pack(work) {
  const spec = `${pin.package}@${pin.version}`;
  run('npm', ['pack', spec, '--prefer-offline', '--ignore-scripts', '--loglevel=error', '--pack-destination', work], {
    failed: `npm could not download ${spec}. Check the network, or npm's registry and proxy settings.`,
  });
  const name = readdirSync(work).find((file) => file.endsWith('.tgz'));
  if (!name) throw new Error(`npm pack ${spec} wrote no tarball into ${work}.`);
  const bytes = readFileSync(join(work, name));
  const integrity = `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
  if (integrity !== pin.integrity) {
    throw new Error(
      `${spec} is not the package that vendor/ggml.json pins: expected ${pin.integrity}, received ${integrity}. ` +
        'Nothing was unpacked. Check the registry that npm uses (npm config get registry).',
    );
  }
  return name;
}

/** Unpacks the git bundle from the tarball; returns its path. */
function unpack(tarball, work) {
  // Relative names: some versions of tar take "C:" in an archive's name for a host.
  run('tar', ['-xzf', tarball, `package/${pin.bundle}`], {
    cwd: work,
    failed: `tar could not unpack package/${pin.bundle}. Is tar installed?`,
  });
  return join(work, 'package', pin.bundle);
}

/** Checks the pinned paths out of the bundle. */
function checkOut(bundle, folder) {
  const failed =
    'git could not read the bundle with the source of ggml. Is git installed (Debian: apt-get install git)?';
  run('git', ['-c', 'core.autocrlf=false', 'clone', '--quiet', '--no-checkout', bundle, folder], { failed });
  const excluded = pin.exclude.map((path) => `:(exclude)${path}`);
  run('git', ['-C', folder, 'checkout', '--quiet', pin.commit, '--', ...Object.keys(pin.paths), ...excluded], {
    failed,
  });
}

function run(command, args, { cwd, env: added, failed }) {
  // A git hook's GIT_DIR and the like would point git at the wrong repository; npm's dry run would pack nothing.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('GIT_') && name !== 'npm_config_dry_run'),
  );
  try {
    // npm is a .cmd file on Windows, which only a shell starts.
    execFileSync(command, args, {
      cwd,
      env: { ...env, ...added },
      stdio: ['ignore', 'ignore', 'inherit'],
      shell: process.platform === 'win32',
    });
  } catch (cause) {
    throw new Error(failed, { cause });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    fetchGgml();
  } catch (error) {
    console.error(`node-diffusion: ${error.message}`);
    if (error.cause) console.error(`  ${error.cause.message}`);
    process.exitCode = 1;
  }
}
