// The bridge between the page and the main process. A sandboxed preload script is CommonJS.

const { contextBridge, ipcRenderer } = require('electron');

contextBridge.exposeInMainWorld('diffusion', {
  /** Resolves with the bytes of a PNG file. */
  generate: (prompt) => ipcRenderer.invoke('generate', prompt),
  cancel: () => ipcRenderer.send('cancel'),
  onStep: (listener) => ipcRenderer.on('step', (_, step, total) => listener(step, total)),
});
