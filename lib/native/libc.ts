// The C library of this process, which decides which binaries load.

/** `glibc` or `musl` on Linux; undefined elsewhere. */
export function libcName(): 'glibc' | 'musl' | undefined {
  if (process.platform !== 'linux') return undefined;
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return report.header?.glibcVersionRuntime ? 'glibc' : 'musl';
}
