/** One connection to a server of a directory, encrypted before anything secret is sent. */
import { once } from 'node:events';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { Client } from 'ldapts';

/** The object identifier of StartTLS (RFC 4511, section 4.14.1). */
const START_TLS = '1.3.6.1.4.1.1466.20037';
/** The most bytes that a server may send in one connection. */
const MAX_RECEIVED = 2 << 20;

export interface LdapTarget {
  /** `ldap://HOST:PORT` or `ldaps://HOST:PORT`. */
  url: string;
  startTls: boolean;
  /** Certificates that are trusted in place of those of the system, as PEM. */
  ca?: string | undefined;
  /** Milliseconds for each step. */
  timeoutMs: number;
}

/**
 * Connects, and hands a client to `work`. The connection ends with it.
 * @throws Error of the network, of TLS, or of `work`
 */
export async function withLdap<T>(target: LdapTarget, work: (client: Client) => Promise<T>): Promise<T> {
  const socket = await connect(target);
  boundReceived(socket);
  try {
    return await work(clientOf(target, socket));
  } finally {
    // A polite end would wait for the server.
    socket.destroy();
  }
}

async function connect(target: LdapTarget): Promise<Socket> {
  const { protocol, hostname, port } = new URL(target.url);
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  const number = Number(port) || (protocol === 'ldaps:' ? 636 : 389);
  const tcp = connectTcp({ host, port: number });
  try {
    await happens(tcp, 'connect', target.timeoutMs);
    if (protocol === 'ldap:' && !target.startTls) {
      return tcp;
    }
    if (protocol === 'ldap:') {
      await startTls(target, tcp);
    }
    return await encrypted(target, tcp, host);
  } catch (error) {
    tcp.destroy();
    throw error;
  }
}

/**
 * Asks for TLS. The client that asks is used for nothing else: an attacker on the way can put bytes
 * behind the server's answer, and a client that went on with them would take a forged answer for
 * one that came by TLS.
 */
async function startTls(target: LdapTarget, tcp: Socket): Promise<void> {
  await clientOf(target, tcp).exop(START_TLS);
  tcp.removeAllListeners('data');
}

/** TLS over a connection, with the certificate of the server checked for `host`. */
async function encrypted({ ca, timeoutMs }: LdapTarget, socket: Socket, host: string): Promise<TLSSocket> {
  const tls = connectTls({
    socket,
    host,
    // Otherwise the certificate would be checked for "localhost".
    ...(isIP(host) === 0 && { servername: host }),
    minVersion: 'TLSv1.2',
    ...(ca !== undefined && { ca }),
  });
  try {
    await happens(tls, 'secureConnect', timeoutMs);
  } catch (error) {
    tls.destroy();
    throw error;
  }
  return tls;
}

/** A client over this connection alone: it never makes another one, which would not be encrypted. */
function clientOf({ url, timeoutMs }: LdapTarget, socket: Socket): Client {
  let taken = false;
  return new Client({
    url: url.replace(/^ldaps:/, 'ldap:'),
    timeout: timeoutMs,
    connectTimeout: timeoutMs,
    createConnection: () => {
      if (taken || socket.destroyed) {
        throw new Error('the server has closed the connection');
      }
      taken = true;
      return socket;
    },
  });
}

async function happens(socket: Socket, event: string, ms: number): Promise<void> {
  // Without a listener, an error after this would end the process.
  socket.on('error', () => undefined);
  await once(socket, event, { signal: AbortSignal.timeout(ms) });
}

function boundReceived(socket: Socket): void {
  socket.on('data', () => {
    if (socket.bytesRead > MAX_RECEIVED) {
      socket.destroy(new Error(`the server has sent more than ${MAX_RECEIVED} bytes`));
    }
  });
}
