/** Options of a command that runs a controller: how its API listens, and whom it believes. */

import { isIP } from 'node:net';
import { yes } from '@mirrorplane/daemon';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { PROXY_HEADERS, type ProxyHeader, TrustedProxies } from './auth/proxies.ts';
import type { ControllerOptions } from './controller.ts';
import { parseListen } from './listen.ts';
import { isDnsName } from './tls/names.ts';

/** The values of these options. */
export interface ApiOptions {
  listen?: string[];
  insecureHttp: boolean;
  tlsName?: string[];
  tlsCertificate?: string;
  tlsKey?: string;
  trustedProxy?: string[];
  proxyHeader: ProxyHeader;
  signIn?: string;
}

/** Adds the options. */
export function addApiOptions(command: Command): Command {
  return command
    .option(
      '--listen <address>',
      'address of the API: https://ADDR:PORT, ADDR:PORT or unix:PATH; may be repeated. Without a scheme, a loopback ' +
        'address is plain HTTP, and any other is HTTPS (default: 127.0.0.1:7070)',
      each(parseListen, 'write ADDR:PORT, [V6ADDR]:PORT, https://ADDR:PORT or unix:PATH.'),
    )
    .option(
      '--insecure-http [yes]',
      'true: http://ADDR:PORT is allowed where others can reach it. Tokens and packets can be read on the way',
      yes,
      false,
    )
    .option(
      '--tls-name <name>',
      'name or address in the certificate of the API, besides those of this host; may be repeated',
      each(tlsName, 'write a name of DNS or an IP address.'),
    )
    .option(
      '--tls-certificate <file>',
      'certificate of the API, followed by those that signed it, in PEM; read again when it changes (default: one of the own authority)',
    )
    .option('--tls-key <file>', 'key of --tls-certificate, in PEM')
    .option(
      '--trusted-proxy <net>',
      'proxy in front of the API whose headers are accepted: an address, a network as 10.0.0.0/24, or unix for the ' +
        'unix socket; may be repeated (default: none)',
      each((net) => new TrustedProxies([net]), 'write 10.0.0.5, 10.0.0.0/24, fd00::/64 or unix.'),
    )
    .addOption(
      new Option(
        '--proxy-header <kind>',
        'headers that trusted proxies set: X-Forwarded-For, -Proto and -Host, or Forwarded',
      )
        .choices(PROXY_HEADERS)
        .default('x-forwarded'),
    )
    .option(
      '--sign-in <file>',
      'file that names providers (OpenID Connect) and directories (LDAP) by which people sign in',
    );
}

/** The values as options of the controller. @throws Error where one file has no other */
export function controllerOptionsOf(options: ApiOptions): Partial<ControllerOptions> {
  const { listen, insecureHttp, tlsName: names, tlsCertificate, tlsKey, trustedProxy, proxyHeader, signIn } = options;
  if ((tlsCertificate === undefined) !== (tlsKey === undefined)) {
    const [given, missing] = tlsKey === undefined ? ['certificate', 'key'] : ['key', 'certificate'];
    throw new Error(`--tls-${given} is given, and --tls-${missing} is missing: give both`);
  }
  const files = tlsCertificate !== undefined && tlsKey !== undefined && { certificate: tlsCertificate, key: tlsKey };
  return {
    insecureHttp,
    proxyHeader,
    tls: { ...(names && { names }), ...(files && { files }) },
    ...(listen && { listen }),
    ...(trustedProxy && { trustedProxies: trustedProxy }),
    ...(signIn !== undefined && { signIn }),
  };
}

/** Collects values, each of which `parse` accepts. */
function each(parse: (value: string) => unknown, remedy: string) {
  return (value: string, before: string[] | undefined): string[] => [...(before ?? []), checked(value, parse, remedy)];
}

/** Checks a value and returns it unchanged. The error names the option, or the file and key. */
export function checked(value: string, parse: (value: string) => unknown, remedy: string): string {
  try {
    parse(value);
  } catch {
    throw new InvalidArgumentError(remedy);
  }
  return value;
}

function tlsName(value: string): void {
  if (isIP(value) === 0 && !isDnsName(value)) {
    throw new Error('no name');
  }
}
