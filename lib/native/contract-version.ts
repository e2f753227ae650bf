// The version of the native contract. CMake builds it into the addon (`contract`), and `loadAddon` compares the two.

/** Hash of the declarations of the native contract; `npm run api` writes it. */
export const CONTRACT_VERSION = '158f489a';
