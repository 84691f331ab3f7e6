/** Options of a command that runs a controller: where its store is. */
import { yes } from '@mirrorplane/daemon';
import { type Command, InvalidArgumentError } from 'commander';
import { isLoopback } from '../listen.ts';
import type { EtcdOptions } from './etcd/cluster.ts';
import { checkEtcdFiles, secretOf } from './etcd-files.ts';

/** The values of these options. */
export interface StoreOptions {
  etcd?: string[];
  etcdCa?: string;
  etcdCert?: string;
  etcdKey?: string;
  etcdUser?: string;
  etcdPasswordFile?: string;
  etcdInsecureHttp?: boolean;
}

/** Adds the options. */
export function addStoreOptions(command: Command): Command {
  return command
    .option(
      '--etcd <urls>',
      'members of the etcd cluster that has the store, divided by commas: https://HOST:2379 or http://HOST:2379 ' +
        '(default: a file in the data directory)',
      members,
    )
    .option('--etcd-ca <file>', 'certificates that may have signed those of etcd, PEM (default: those of the system)')
    .option('--etcd-cert <file>', 'certificate of this controller for etcd, PEM')
    .option('--etcd-key <file>', 'key of --etcd-cert, PEM, which others cannot read')
    .option('--etcd-user <name>', 'user of etcd, where it asks for one')
    .option('--etcd-password-file <file>', 'file with the password of --etcd-user, which others cannot read')
    .option(
      '--etcd-insecure-http [yes]',
      'true: http:// is allowed for members on other hosts. The store and the password can be read on the way',
      yes,
      false,
    );
}

/** How to reach etcd. Undefined: the store is a file. @throws Error where one option has no other */
export function etcdOptionsOf(options: StoreOptions): EtcdOptions | undefined {
  const { etcd, etcdInsecureHttp = false, etcdCa: ca, etcdCert: certificate, etcdKey: key } = options;
  const { etcdUser: name, etcdPasswordFile: file } = options;
  together(['--etcd-cert', certificate], ['--etcd-key', key]);
  together(['--etcd-user', name], ['--etcd-password-file', file]);
  if (etcd === undefined) {
    withoutEtcd({
      '--etcd-ca': ca,
      '--etcd-cert': certificate,
      '--etcd-user': name,
      '--etcd-insecure-http': etcdInsecureHttp || undefined,
    });
    return undefined;
  }
  const plain = etcd.find(isPlain);
  if (plain !== undefined && !etcdInsecureHttp) {
    throw new Error(
      `${plain} is not encrypted: others could read and change the store on the way. ` +
        'Use https://, or add --etcd-insecure-http if the network is safe',
    );
  }
  const user =
    name !== undefined && file !== undefined
      ? { name, password: secretOf('--etcd-password-file', file, 'the password of etcd') }
      : undefined;
  const tls = { ca, certificate, key };
  checkEtcdFiles(tls, etcd);
  return { endpoints: etcd, tls, user };
}

/** @throws Error if an option is given that means nothing without etcd */
export function withoutEtcd(options: Record<string, unknown>): void {
  const given = Object.keys(options).find((option) => options[option] !== undefined);
  if (given !== undefined) {
    throw new Error(
      `${given} is given, and --etcd is missing: give the members of etcd too, or leave out ${given} if the store is a file`,
    );
  }
}

function together(...options: [name: string, value: string | undefined][]): void {
  const given = options.find(([, value]) => value !== undefined);
  const missing = options.find(([, value]) => value === undefined);
  if (given && missing) {
    throw new Error(`${given[0]} is given, and ${missing[0]} is missing: give both`);
  }
}

/** Whether what is sent to the member can be read on the way. */
function isPlain(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === 'http:' && !isLoopback(hostname.replace(/^\[(.*)\]$/, '$1'));
}

/** May be given several times, as in a list of a settings file. */
function members(text: string, before: string[] = []): string[] {
  const urls = text.split(',').map((url) => url.trim().replace(/\/$/, ''));
  if (!urls.every((url) => /^https?:\/\/[^/@]+$/.test(url) && URL.canParse(url))) {
    throw new InvalidArgumentError('write https://HOST:2379 for each member, divided by commas.');
  }
  return [...before, ...urls];
}
