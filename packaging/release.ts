/**
 * `make release`: the checksums of all packages in dist/, signed with a key of whoever releases
 * them. Who gets the files checks them with ssh-keygen and sha256sum, which every host has.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { DIST } from './paths.ts';

/** What the signature is for. A signature for something else does not count. */
const NAMESPACE = 'mirrorplane-release';
const SUMS = 'SHA256SUMS';
const RELEASED = /[.](deb|rpm|cdx[.]json)$/;

/**
 * Writes SHA256SUMS and SHA256SUMS.sig into a folder with packages.
 * @param key file of a private key of OpenSSH, or of a public one whose private key an agent of
 *   ssh or a security key has
 * @returns names of the files in SHA256SUMS
 * @throws Error if the folder has no packages, or the key cannot be used
 */
export function signRelease(folder: string, key: string): string[] {
  const names = readdirSync(folder)
    .filter((name) => RELEASED.test(name))
    .sort();
  if (!names.some((name) => !name.endsWith('.json'))) {
    throw new Error(`${folder} has no packages: run "make packages" first`);
  }
  const sums = names.map((name) => `${sha256(join(folder, name))}  ${name}\n`).join('');
  const file = join(folder, SUMS);
  writeFileSync(file, sums);
  rmSync(`${file}.sig`, { force: true });
  execFileSync('ssh-keygen', ['-Y', 'sign', '-q', '-n', NAMESPACE, '-f', key, file], {
    stdio: ['inherit', 'ignore', 'inherit'],
  });
  return names;
}

function sha256(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { key: { type: 'string' }, folder: { type: 'string', default: DIST } } });
  if (values.key === undefined || !existsSync(values.key)) {
    process.stderr.write('error: name the file of your key of OpenSSH: make release KEY=FILE\n');
    process.exit(2);
  }
  const names = signRelease(values.folder, values.key);
  process.stdout.write(`${SUMS} and ${SUMS}.sig are for these files:\n${names.map((name) => `  ${name}\n`).join('')}`);
}
