// Electron's main process: it has the model, and the page asks it for images.
//
//   npm install && npm start

import { join } from 'node:path';
import { app, BrowserWindow, ipcMain } from 'electron';
import { loadModel } from 'node-diffusion';

const model = loadModel();
let current = new AbortController();

ipcMain.handle('generate', async ({ sender }, prompt) => {
  current = new AbortController();
  const run = (await model).txt2img({ prompt, steps: 20, signal: current.signal });
  for await (const { index, total } of run) sender.send('step', index + 1, total);
  const { images } = await run;
  return images[0].png();
});
ipcMain.on('cancel', () => current.abort());

await app.whenReady();
const window = new BrowserWindow({ webPreferences: { preload: join(import.meta.dirname, 'preload.cjs') } });
await window.loadFile(join(import.meta.dirname, 'page.html'));

app.on('window-all-closed', async () => {
  current.abort();
  await (await model).dispose();
  app.quit();
});
