// Follows a job for a client that gets server-sent events.

import type { SSEStreamingApi } from 'hono/streaming';
import type { Job } from './job.ts';

/** Milliseconds between signs of life, which keep proxies from closing the connection. */
const HEARTBEAT = 15_000;

/**
 * Calls `look` now and whenever the job has changed, until it is over or the client has gone.
 *
 * @returns whether the client is still there.
 */
export async function followJob(job: Job, stream: SSEStreamingApi, look: () => Promise<void>): Promise<boolean> {
  let wake = () => {};
  const end = job.watch(() => wake());
  stream.onAbort(() => wake());
  const heartbeat = setInterval(() => void stream.write(': \n\n'), HEARTBEAT);
  try {
    while (!job.isOver && !stream.aborted) {
      // A change while `look` works wakes too.
      const changed = new Promise<void>((resolve) => (wake = resolve));
      await look();
      if (!job.isOver && !stream.aborted) await changed;
    }
    return !stream.aborted;
  } finally {
    clearInterval(heartbeat);
    end();
  }
}
