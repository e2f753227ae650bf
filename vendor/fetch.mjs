// Puts the source of ggml that ggml.json pins into vendor/ggml/. Does nothing where that version is there already.
//
// The pin is an npm package, so a registry mirror, a proxy and the npm cache serve it as they serve every dependency.
// Inside it the source is a git bundle, hence the need for git.

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
// A copy of the pin inside the fetched source says what was fetched.
const stamp = join(target, 'pin.json');

/** Fetches where needed; returns the folder with ggml's CMakeLists.txt. */
export function fetchGgml() {
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === pinText) return target;
  console.log(`Fetching the source of ggml (${pin.package}@${pin.version}) ...`);
  const work = mkdtempSync(join(tmpdir(), 'node-diffusion-ggml-'));
  // The new folder is built up beside its place: a rename is atomic only within one file system.
  const fresh = mkdtempSync(join(here, '.ggml-'));
  try {
    const bundle = unpack(pack(work), work);
    checkOut(bundle, join(work, 'source'));
    for (const [from, to] of Object.entries(pin.paths)) {
      mkdirSync(dirname(join(fresh, to)), { recursive: true });
      cpSync(join(work, 'source', from), join(fresh, to), { recursive: true });
    }
    writeFileSync(join(fresh, 'pin.json'), pinText);
    chmodSync(fresh, 0o755);
    rmSync(target, { recursive: true, force: true });
    renameSync(fresh, target);
  } finally {
    rmSync(work, { recursive: true, force: true });
    rmSync(fresh, { recursive: true, force: true });
  }
  return target;
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

function run(command, args, { cwd, failed }) {
  // A git hook's GIT_DIR and the like would point git at the wrong repository; npm's dry run would pack nothing.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('GIT_') && name !== 'npm_config_dry_run'),
  );
  try {
    // npm is a .cmd file on Windows, which only a shell starts.
    execFileSync(command, args, {
      cwd,
      env,
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
