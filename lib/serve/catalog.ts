// Finds files by the names that clients give: only those that lie in the folders of the server.

import { readdir, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { isInside } from '../files/inside.ts';

/** What a folder holds. */
export type CatalogKind = 'model' | 'vae' | 'lora' | 'embedding' | 'control' | 'upscaler';

export type Directories = Readonly<Partial<Record<CatalogKind, string>>>;

/** A file or folder that clients may name. */
export interface CatalogEntry {
  /** Its path in the folder with `/`, without its extension. */
  readonly name: string;
  /** The same with its extension. */
  readonly file: string;
  readonly path: string;
}

const WEIGHTS = ['.safetensors', '.sft', '.gguf', '.ckpt', '.pt', '.pth', '.bin'];
/** The file that makes a folder one model. */
const FOLDER_MARKS: Readonly<Partial<Record<CatalogKind, readonly string[]>>> = {
  model: ['model_index.json'],
  lora: ['adapter_config.json'],
  control: ['config.json'],
  vae: ['config.json'],
};
/** Folders in folders that are looked into. */
const MAX_DEPTH = 4;
const MAX_ENTRIES = 10_000;

/** The folders of a server. Names are compared with what they hold, and never become part of a path. */
export class Catalog {
  readonly directories: Directories;

  constructor(directories: Directories) {
    this.directories = directories;
  }

  /** All entries of a kind by name; none without a folder. */
  async list(kind: CatalogKind): Promise<CatalogEntry[]> {
    const directory = this.directories[kind];
    if (directory === undefined) return [];
    const entries: CatalogEntry[] = [];
    await scan(directory, directory, '', FOLDER_MARKS[kind] ?? [], MAX_DEPTH, entries);
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async find(kind: CatalogKind, name: string): Promise<CatalogEntry | undefined> {
    return findIn(await this.list(kind), name);
  }
}

/** The entry with a name, with or without its extension, or in another case. */
export function findIn<Entry extends Pick<CatalogEntry, 'name' | 'file'>>(
  entries: readonly Entry[],
  name: string,
): Entry | undefined {
  const isCalled = (same: (a: string) => boolean) => entries.find((entry) => same(entry.file) || same(entry.name));
  const lower = name.toLowerCase();
  return isCalled((own) => own === name) ?? isCalled((own) => own.toLowerCase() === lower);
}

async function scan(
  root: string,
  directory: string,
  prefix: string,
  marks: readonly string[],
  depth: number,
  entries: CatalogEntry[],
): Promise<void> {
  const found = await readdir(directory, { withFileTypes: true }).catch(() => []);
  for (const one of found) {
    if (entries.length >= MAX_ENTRIES || one.name.startsWith('.')) continue;
    const path = join(directory, one.name);
    const file = prefix + one.name;
    // A link may lead to another file of the folder, but not out of it.
    if (one.isSymbolicLink() && !(await isInside(root, path))) continue;
    const isFolder = one.isSymbolicLink() ? await isDirectory(path) : one.isDirectory();
    if (isFolder && (await isMarked(path, marks))) entries.push({ name: file, file, path });
    else if (isFolder && depth > 1 && !one.isSymbolicLink()) {
      await scan(root, path, `${file}/`, marks, depth - 1, entries);
    } else if (!isFolder && WEIGHTS.includes(extname(file).toLowerCase())) {
      entries.push({ name: file.slice(0, -extname(file).length), file, path });
    }
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}

async function isMarked(path: string, marks: readonly string[]): Promise<boolean> {
  for (const mark of marks) if (await stat(join(path, mark)).catch(() => undefined)) return true;
  return false;
}
