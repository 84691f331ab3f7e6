/** The licences of what is shipped: which are allowed, and the list in each package. */
import type { Component } from './components.ts';

/** SPDX names. Each of them lets others ship the code with a note, and asks for nothing more. */
const ALLOWED = new Set(['0BSD', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'CC0-1.0', 'ISC', 'MIT', 'Unlicense']);

/** Whether code under this SPDX expression may be in a package. One choice of several is enough. */
export function isAllowed(licence: string): boolean {
  const either = licence.replaceAll(/[()]/g, '').split(/ OR /);
  return either.some((choice) => choice.split(/ AND /).every((name) => ALLOWED.has(name)));
}

/** @throws Error with all components whose licence is not allowed */
export function requireAllowed(components: readonly Component[]): void {
  const others = components.filter(({ licence }) => !isAllowed(licence));
  if (others.length > 0) {
    const names = others.map(({ name, version, licence }) => `${name} ${version} (${licence})`).join(', ');
    throw new Error(`may not be shipped by its licence: ${names}; leave it out, or allow it in packaging/licences.ts`);
  }
}

/** The file THIRD-PARTY of a package. */
export function thirdParty(components: readonly Component[]): string {
  const lines = components.map(({ name, version, licence, purl }) => `${name} ${version}\n  ${licence}\n  ${purl}\n`);
  return [
    'What others have written in this package: name and version, licence, package URL.',
    'The texts of the licences are in the files whose names begin with "copyright".\n',
    ...lines,
  ].join('\n');
}
