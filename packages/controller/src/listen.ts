/** Parses and prints addresses to listen on. */
import { existsSync, lstatSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';

/** A TCP address or the path of a unix socket. */
export type ListenAddress = { host: string; port: number } | { path: string };

/** Reads `ADDR:PORT`, `[V6]:PORT` or `unix:PATH`. @throws Error for any other text */
export function parseListen(text: string): ListenAddress {
  if (text.startsWith('unix:') && text.length > 5) {
    return { path: text.slice(5) };
  }
  return parseTcp(text);
}

/**
 * Reads `ADDR:PORT` or `[V6]:PORT`. Port 0 selects a free port. @throws Error for any other text
 */
export function parseTcp(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65535) {
    throw new Error(`"${text}" is not an address: write ADDR:PORT, [V6ADDR]:PORT or unix:PATH`);
  }
  return { host: match[1] ?? match[2]!, port };
}

/** The address as text. */
export function formatListen(address: ListenAddress): string {
  if ('path' in address) {
    return `unix:${address.path}`;
  }
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
}

/**
 * Removes the socket of a killed process. @throws Error if a process listens on it, or it is no
 * socket
 */
export async function clearSocket(path: string): Promise<void> {
  if (!existsSync(path)) {
    return;
  }
  if (!lstatSync(path).isSocket()) {
    throw new Error(`${path} exists and is not a socket; remove it or choose another path`);
  }
  if (await answers(path)) {
    throw new Error(`another process listens on unix:${path}; stop it or choose another path`);
  }
  rmSync(path, { force: true });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** The error, with a remedy, for an address that cannot be used. */
export function listenError(error: unknown, address: ListenAddress): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  const where = formatListen(address);
  switch (code) {
    case 'EADDRINUSE':
      return new Error(`cannot listen on ${where}: another process uses it; stop it or choose another address`);
    case 'EADDRNOTAVAIL':
      return new Error(`cannot listen on ${where}: this host has no such address`);
    case 'EACCES':
      return new Error(`cannot listen on ${where}: permission denied; choose a port above 1023 or another folder`);
    default:
      return new Error(`cannot listen on ${where}: ${message}`);
  }
}
