/** The names and addresses that a certificate of the API is for. Pure. */
import { isIP } from 'node:net';
import type { NetworkInterfaceInfo } from 'node:os';
import { isLoopback, type ListenAddress } from '../listen.ts';

/** The most addresses of a host in its certificate. A browser reads them at each connection. */
const MAX_ADDRESSES = 128;

/** What a host is called. */
export interface HostNames {
  hostname: string;
  /** As `os.networkInterfaces` lists them. */
  interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>;
}

/** A name of DNS (RFC 1123): what a certificate and a browser can have. */
export function isDnsName(text: string): boolean {
  return text.length <= 253 && /^(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*$/i.test(text);
}

/**
 * Names and addresses, each once and sorted.
 * @param listen where the API listens; only addresses with TLS count
 * @param more names and addresses by which clients reach it too
 */
export function apiNames(listen: readonly ListenAddress[], more: readonly string[], host: HostNames): string[] {
  const names = new Set(['localhost', '127.0.0.1', '::1', host.hostname, ...more]);
  for (const address of listen) {
    if ('path' in address || address.scheme === 'http') {
      continue;
    }
    if (isWildcard(address.host)) {
      for (const own of addressesOf(host)) {
        names.add(own);
      }
    } else {
      names.add(address.host);
    }
  }
  const usable = [...names].filter((name) => isIP(name) !== 0 || isDnsName(name));
  return [...new Set(usable.map(canonicalName))].sort();
}

/** A name in small letters, and an IPv6 address in its shortest form. */
export function canonicalName(name: string): string {
  return isIP(name) === 6 ? new URL(`http://[${name}]`).hostname.slice(1, -1) : name.toLowerCase();
}

function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

/** Addresses of the host without those that are good on one link alone: a URL cannot have them. */
function addressesOf({ interfaces }: HostNames): string[] {
  return Object.values(interfaces)
    .flatMap((infos) => infos ?? [])
    .map(({ address }) => address)
    .filter((address) => !/^fe[89ab]/i.test(address) && !isLoopback(address))
    .slice(0, MAX_ADDRESSES);
}
