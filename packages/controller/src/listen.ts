/** Parses and prints addresses to listen on. */
import { existsSync, lstatSync, rmSync } from 'node:fs';
import { createConnection, isIP } from 'node:net';

/** A TCP address, with or without TLS, or the path of a unix socket. */
export type ListenAddress = TcpAddress | { path: string };

export interface TcpAddress {
  scheme: 'http' | 'https';
  host: string;
  port: number;
}

/**
 * Reads `https://ADDR:PORT`, `http://ADDR:PORT`, `ADDR:PORT` or `unix:PATH`. Without a scheme, a
 * loopback address is without TLS, and any other is with it. @throws Error for any other text
 */
export function parseListen(text: string): ListenAddress {
  if (text.startsWith('unix:') && text.length > 5) {
    return { path: text.slice(5) };
  }
  const [, scheme, rest = ''] = /^(?:(https?):\/\/)?(.*?)\/?$/s.exec(text) ?? [];
  const { host, port } = parseTcp(scheme === undefined ? text : rest);
  return { scheme: (scheme as TcpAddress['scheme']) ?? (isLoopback(host) ? 'http' : 'https'), host, port };
}

/** Whether only this host can reach the address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** Whether others can reach the address, and what is sent there is not encrypted. */
export function isInsecure(address: ListenAddress): boolean {
  return 'scheme' in address && address.scheme === 'http' && !isLoopback(address.host);
}

/** @throws Error with what to do, where an address is not encrypted and others can reach it */
export function requireSecure(addresses: readonly ListenAddress[]): void {
  const insecure = addresses.find(isInsecure);
  if (insecure !== undefined) {
    const where = formatListen(insecure);
    throw new Error(
      `${where} is not encrypted, and others can reach it: tokens, policies and packets could be read on the way. ` +
        `Listen on https://${where.replace('http://', '')}, or add --insecure-http if the network is safe`,
    );
  }
}

/**
 * Reads `ADDR:PORT` or `[V6]:PORT`. Port 0 selects a free port. @throws Error for any other text
 */
export function parseTcp(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65535) {
    throw new Error(`"${text}" is not an address: write ADDR:PORT, [V6ADDR]:PORT, https://ADDR:PORT or unix:PATH`);
  }
  return { host: match[1] ?? match[2]!, port };
}

/**
 * Reads the address at which others reach this host. @throws Error for any other text, and for an
 * address that names no host
 */
export function parseAdvertised(text: string): string {
  const { host, port } = parseTcp(text);
  // As in a URL, one address has one text.
  const { hostname } = new URL(`http://${formatTcp({ host, port })}`);
  if (/^(0[.]0[.]0[.]0|\[::\]|\[::ffff:0:0\])$/.test(hostname) || port === 0) {
    throw new Error(`"${text}" is not an address that others can reach: write HOST:PORT, as in ctl-1:7071`);
  }
  return text;
}

/** The address as text. Only a loopback address without TLS has no scheme. */
export function formatListen(address: ListenAddress): string {
  if ('path' in address) {
    return `unix:${address.path}`;
  }
  const where = formatTcp(address);
  return address.scheme === 'http' && isLoopback(address.host) ? where : `${address.scheme}://${where}`;
}

function formatTcp({ host, port }: { host: string; port: number }): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
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
export function listenError(error: unknown, address: ListenAddress | { host: string; port: number }): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  const where = 'path' in address ? formatListen(address) : formatTcp(address);
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
