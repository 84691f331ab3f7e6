/** At most one agent, or one uninstall, per data folder and network namespace. */
import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { createServer } from 'node:net';

/**
 * Takes the lock of a data folder: an abstract Unix socket, which the kernel frees when the process ends, however it
 * ends. Gives the function that frees it. @throws Error where another process has it
 */
export async function holdLock(data: string): Promise<() => Promise<void>> {
  const name = createHash('sha256')
    .update(await realpath(data))
    .digest('hex')
    .slice(0, 32);
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const busy = error.code === 'EADDRINUSE';
      reject(busy ? new Error(`another agent uses ${data}: stop it first`) : error);
    });
    server.listen(`\0mirrorplane-agent-${name}`, resolve);
  });
  server.unref();
  return () => new Promise((resolve) => server.close(() => resolve()));
}
