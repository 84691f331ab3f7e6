/** What others have written and the packages ship: with version, licence, and where it is from. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Bundled } from './bundle.ts';
import type { Architecture, Brought } from './fetch.ts';
import { ROOT } from './paths.ts';

/** One piece of software in a package. */
export interface Component {
  name: string;
  version: string;
  /** An SPDX expression. */
  licence: string;
  /** A package URL: where it is from, and which one it is. */
  purl: string;
  /** SHA-512 of the archive that it came in, hexadecimal. Undefined: another system checks it. */
  sha512?: string;
  /** What it contains. Names and versions, as it says itself. */
  parts?: Record<string, string>;
}

/** What others have written in the console, as its build says. */
const HEADING = /^## (\S+) - (\S+) \((.+)\)$/gm;

/** Packages of npm in a bundle. */
export function npmComponents(bundled: readonly Bundled[]): Component[] {
  return bundled.map(({ name, version, licence }) => npmComponent(name, version, licence));
}

/** Packages of npm in the console. @param licences the text that its build has written */
export function consoleComponents(licences: string): Component[] {
  const found = [...licences.matchAll(HEADING)];
  if (found.length === 0) {
    throw new Error('the build of the console lists its packages in another form than it did');
  }
  return found.map(([, name, version, licence]) => npmComponent(name!, version!, licence!));
}

/** Native code of the agent and the controller: the module that calls libraries. */
export function koffiComponent(brought: Brought): Component {
  return npmComponent(brought.koffiPackage, brought.koffiVersion, 'MIT');
}

/** Node.js. Its parts are known where it can be asked: on a machine of its architecture. */
export function nodeComponent(brought: Brought, architecture: Architecture): Component {
  const { nodePackage, nodeVersion } = brought;
  const parts = architecture === (process.arch === 'arm64' ? 'arm64' : 'amd64') ? partsOf(brought.node) : undefined;
  return { ...npmComponent(nodePackage, nodeVersion, 'MIT'), ...(parts && { parts }) };
}

/** libbpf, which Debian has built. */
export function libbpfComponent({ libbpfVersion }: Brought, architecture: Architecture): Component {
  const purl = `pkg:deb/debian/libbpf1@${encodeURIComponent(libbpfVersion)}?arch=${architecture}`;
  return { name: 'libbpf1', version: libbpfVersion, licence: 'LGPL-2.1-only OR BSD-2-Clause', purl };
}

function npmComponent(name: string, version: string, licence: string): Component {
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
  const sha512 = lockedHash(name, version);
  return { name, version, licence: licence.replaceAll(/^\(|\)$/g, ''), purl, ...(sha512 && { sha512 }) };
}

/** The hash that package-lock.json names for a package, hexadecimal. */
function lockedHash(name: string, version: string): string | undefined {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'));
  const rows = Object.entries(lock.packages as Record<string, { version: string; integrity?: string }>);
  const [, row] = rows.find(([path, one]) => path.endsWith(`node_modules/${name}`) && one.version === version) ?? [];
  const [, hash] = /^sha512-(.*)$/.exec(row?.integrity ?? '') ?? [];
  return hash && Buffer.from(hash, 'base64').toString('hex');
}

/** Versions of V8, OpenSSL and others in a Node.js. */
function partsOf(node: string): Record<string, string> {
  const said = execFileSync(node, ['-p', 'JSON.stringify(process.versions)'], { encoding: 'utf8' });
  const { node: _, modules: _1, napi: _2, ...parts } = JSON.parse(said) as Record<string, string>;
  return Object.fromEntries(Object.entries(parts).filter(([, version]) => version !== ''));
}
