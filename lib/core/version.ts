// The version of this package: that of package.json, written here too so that nothing is read when the package is imported.

export const PACKAGE_VERSION = '0.1.0';
