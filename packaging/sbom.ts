/** A list of all software in a package for machines: CycloneDX 1.6 in JSON. */
import { createHash } from 'node:crypto';
import type { Component } from './components.ts';

/** The package that the list is of. */
export interface Subject {
  name: string;
  version: string;
  /** Seconds since 1970. */
  epoch: number;
}

/** The text of the list. The same package gives the same bytes. */
export function sbomOf({ name, version, epoch }: Subject, components: readonly Component[]): string {
  const self = {
    type: 'application',
    'bom-ref': `${name}@${version}`,
    name,
    version,
    licenses: licences('Apache-2.0'),
  };
  const content = {
    metadata: { timestamp: new Date(epoch * 1000).toISOString(), component: self },
    components: components.map(rowOf),
    dependencies: [{ ref: self['bom-ref'], dependsOn: components.map(({ purl }) => purl) }],
  };
  const head = { bomFormat: 'CycloneDX', specVersion: '1.6', serialNumber: serialOf(content), version: 1 };
  return `${JSON.stringify({ ...head, ...content }, null, 2)}\n`;
}

function rowOf({ name, version, licence, purl, sha512, parts }: Component) {
  const inside = Object.entries(parts ?? {}).map(([part, one]) => ({
    type: 'library',
    'bom-ref': `${purl}#${part}`,
    name: part,
    version: one,
  }));
  return {
    type: 'library',
    'bom-ref': purl,
    name,
    version,
    licenses: licences(licence),
    purl,
    ...(sha512 && { hashes: [{ alg: 'SHA-512', content: sha512 }] }),
    ...(inside.length > 0 && { components: inside }),
  };
}

function licences(text: string) {
  return [/ (OR|AND|WITH) /.test(text) ? { expression: text } : { license: { id: text } }];
}

/** A UUID (RFC 9562, version 8: of our own making) of the content. */
function serialOf(content: unknown): string {
  const hex = createHash('sha256').update(JSON.stringify(content)).digest('hex');
  return `urn:uuid:${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
