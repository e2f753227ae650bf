// An HTTP server that sends progress and the image as server-sent events, and stops the work when the client leaves.
//
//   node examples/http-server.js [MODEL]
//   curl -N "http://localhost:8080/?prompt=a+red+apple"

import { createServer } from 'node:http';
import { loadModel } from 'node-diffusion';

// Runs of one model queue, so that one is enough for any number of requests.
const model = await loadModel(process.argv[2]);

const server = createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://localhost');
  if (request.method !== 'GET' || pathname !== '/') return response.writeHead(404).end();

  const client = new AbortController();
  response.on('close', () => client.abort());
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  const send = (event, data) => response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  try {
    const run = model.txt2img({
      prompt: searchParams.get('prompt') ?? '',
      steps: Number(searchParams.get('steps') ?? 20),
      signal: client.signal,
    });
    for await (const { index, total } of run) send('step', { index, total });
    const { images, seed } = await run;
    send('image', { seed, png: (await images[0].png()).toString('base64') });
  } catch (error) {
    if (client.signal.aborted) return console.log('The client left.');
    send('error', { code: error.code, message: error.message });
  }
  response.end();
});

const port = Number(process.env.PORT ?? 8080);
server.listen(port, () => console.log(`http://localhost:${port}/`));
process.once('SIGTERM', async () => {
  server.close();
  server.closeAllConnections();
  await model.dispose();
});
