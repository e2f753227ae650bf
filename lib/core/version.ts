// The version in package.json, repeated here so that importing the package reads no file.

export const PACKAGE_VERSION = '0.1.0';
