/** Connections to a receiver of syslog: datagrams, and streams with or without TLS. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { openUnixDatagrams } from '@mirrorplane/daemon';
import { framed } from './message.ts';
import { type SyslogTarget, syslogText } from './target.ts';

/** An open connection. */
export interface SyslogConnection {
  /** Resolves when the message is handed over. @throws Error if it cannot be */
  send(message: Buffer): Promise<void>;
  close(): void;
}

/** Milliseconds to connect, and to hand over a message. */
const TIMEOUT_MS = 10_000;
/** errno of a path that has a stream socket, and of a receiver whose queue is full. */
const EPROTOTYPE = 91;
const EAGAIN = 11;
/** Milliseconds until a full queue is tried again, and the number of tries. */
const AGAIN_MS = 50;
const TRIES = 100;

/**
 * Connects to a receiver.
 * @param authority file with the certificates that may have signed that of the receiver; default:
 *   those of the system
 * @throws Error if it cannot be reached
 */
export async function connectSyslog(target: SyslogTarget, authority?: string): Promise<SyslogConnection> {
  if (target.kind === 'udp') {
    return connectUdp(target);
  }
  if (target.kind === 'unix') {
    return (await connectUnix(target.path)) ?? streamOf(connect({ path: target.path }), 'connect');
  }
  const { host, port } = target;
  if (target.kind === 'tcp') {
    return streamOf(connect({ host, port }), 'connect');
  }
  const name = isIP(host) === 0 && { servername: host };
  const ca = authority !== undefined && { ca: readFileSync(authority) };
  return streamOf(connectTls({ host, port, ...name, ...ca, minVersion: 'TLSv1.2' }), 'secureConnect');
}

async function connectUdp({ host, port }: { host: string; port: number }): Promise<SyslogConnection> {
  const socket = createSocket(isIP(host) === 6 ? 'udp6' : 'udp4');
  // A receiver that is not there is told by an ICMP message, for an earlier datagram.
  let failure: Error | undefined;
  socket.on('error', (error) => {
    failure = error;
  });
  socket.connect(port, host);
  await Promise.race([once(socket, 'connect'), once(socket, 'error').then(([error]) => Promise.reject(error))]);
  return {
    send: (message) =>
      new Promise((resolve, reject) => {
        const error = failure;
        failure = undefined;
        if (error) {
          reject(error);
        } else {
          socket.send(message, (refusal) => (refusal ? reject(refusal) : resolve()));
        }
      }),
    close: () => socket.close(),
  };
}

/** Undefined: the path has a stream socket. */
async function connectUnix(path: string): Promise<SyslogConnection | undefined> {
  const datagrams = await openUnixDatagrams(path, 'the receiver of syslog');
  // A datagram of no bytes tells what kind of socket it is.
  if (datagrams.send(Buffer.alloc(0)) === EPROTOTYPE) {
    datagrams.close();
    return undefined;
  }
  return {
    async send(message) {
      let errno = datagrams.send(message);
      for (let tries = 0; errno === EAGAIN && tries < TRIES; tries++) {
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
        errno = datagrams.send(message);
      }
      if (errno !== 0) {
        throw new Error(`${syslogText({ kind: 'unix', path })} refuses: errno ${errno}`);
      }
    },
    close: () => datagrams.close(),
  };
}

async function streamOf(socket: Socket, ready: 'connect' | 'secureConnect'): Promise<SyslogConnection> {
  let failure: Error | undefined;
  socket.on('error', (error) => {
    failure ??= error;
  });
  socket.on('close', () => {
    failure ??= new Error('the receiver has ended the connection');
  });
  // What it says is not read, but a connection that is not read is not seen to end.
  socket.resume();
  const within = AbortSignal.timeout(TIMEOUT_MS);
  try {
    await once(socket, ready, { signal: within });
  } catch (error) {
    socket.destroy();
    throw failure ?? error;
  }
  return {
    send: (message) =>
      new Promise((resolve, reject) => {
        if (failure) {
          reject(failure);
          return;
        }
        const timer = setTimeout(() => socket.destroy(new Error('the receiver does not read')), TIMEOUT_MS);
        socket.write(framed(message), (error) => {
          clearTimeout(timer);
          if (error) {
            reject(error);
          } else {
            resolve();
          }
        });
      }),
    close: () => socket.end(),
  };
}
