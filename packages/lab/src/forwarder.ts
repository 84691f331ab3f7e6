/**
 * `node forwarder.ts SOCKET PORT-FILE`: listens on a free port of 127.0.0.1, writes the port to the
 * file, and pipes every connection to the unix socket, so that a browser outside the lab reaches
 * the API inside.
 */
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { dirname } from 'node:path';

const [socketPath, portFile] = process.argv.slice(2);
if (socketPath === undefined || portFile === undefined) {
  console.error('usage: forwarder.ts SOCKET PORT-FILE');
  process.exit(2);
}

const server = createServer((client) => {
  const upstream = connect(socketPath);
  const tie = (from: Socket, to: Socket) => {
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
    from.pipe(to);
  };
  tie(client, upstream);
  tie(upstream, client);
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address === null || typeof address === 'string') {
    throw new Error('no port');
  }
  writeFileSync(`${portFile}.new`, String(address.port));
  renameSync(`${portFile}.new`, portFile);
});

// It runs outside every namespace of the lab, so it checks itself whether the lab still exists.
setInterval(() => {
  if (!existsSync(dirname(portFile))) {
    process.exit(0);
  }
}, 1000);
