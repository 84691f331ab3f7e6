/** Each piece of software of others that is shipped is listed, with a licence that allows it. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type Bundled, bundle } from '../../packaging/bundle.ts';
import { type Component, consoleComponents, npmComponents } from '../../packaging/components.ts';
import { standardText } from '../../packaging/licence-text.ts';
import { isAllowed, requireAllowed, thirdParty } from '../../packaging/licences.ts';
import { ROOT } from '../../packaging/paths.ts';
import { sbomOf } from '../../packaging/sbom.ts';

const SUBJECT = { name: 'mirrorplane', version: '0.2.0', epoch: 1_700_000_000 };

/** Names of the packages of npm that a bundle says it is made of, in its own comments. */
function namedIn(folder: string): Set<string> {
  const texts = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'));
  const names = texts.flatMap((text) => [...text.matchAll(/^ *\/\/ node_modules\/((?:@[^/\n]+\/)?[^/\n]+)\//gm)]);
  return new Set(names.map(([, name]) => name!).filter((name) => !name.startsWith('@mirrorplane/')));
}

for (const program of ['cli', 'agent', 'controller'] as const) {
  test(`every npm package in the bundle of the ${program} is listed with its licence and its text`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'mirrorplane-bundle-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const bundled: Bundled[] = await bundle(program, folder, '0.2.0');
    const components = npmComponents(bundled);
    requireAllowed(components);
    const list = thirdParty(components);
    const named = [...namedIn(folder)];
    assert.ok(named.length >= 2, `${named}`);
    for (const name of named) {
      assert.match(list, new RegExp(`^${name} [0-9.]+$`, 'm'));
    }
    assert.deepEqual(
      bundled.filter(({ text }) => text.trim() === '').map(({ name }) => name),
      [],
      'a licence without its text',
    );
    assert.deepEqual(
      components.filter(({ sha512 }) => sha512 === undefined).map(({ name }) => name),
      [],
      'a package that package-lock.json does not name',
    );
  });
}

test('every npm package in the console is listed, with a licence that allows it', () => {
  const licences = readFileSync(join(ROOT, 'packages/console/dist/licences.md'), 'utf8');
  const components = consoleComponents(licences);
  requireAllowed(components);
  assert.ok(components.some(({ name }) => name === 'react'));
  assert.equal(components.length, [...licences.matchAll(/^## /gm)].length, 'no heading is passed over');
  assert.throws(() => consoleComponents('# Licences\n'), /another form/);
});

describe('licences', () => {
  test('one allowed choice is enough, and all parts must be allowed', () => {
    for (const licence of ['MIT', '(MIT OR CC0-1.0)', 'GPL-2.0-only OR MIT', 'MIT AND ISC']) {
      assert.ok(isAllowed(licence), licence);
    }
    for (const licence of ['GPL-3.0-only', 'MPL-2.0', 'MIT AND GPL-2.0-only', 'undefined', 'UNLICENSED', '']) {
      assert.ok(!isAllowed(licence), licence);
    }
  });

  test('a package without a file of its licence gets the text of the one that it names, with its author', () => {
    assert.match(standardText('MIT', 'A. Author'), /^Copyright \(c\) A\. Author\n\nPermission is hereby granted/);
    assert.throws(() => standardText('ISC', 'A. Author'), /brings no text/);
    assert.throws(() => standardText('MIT', ''), /brings no text/);
  });

  test('a component that may not be shipped is named with its licence', () => {
    const component: Component = { name: 'copyleft', version: '1.0.0', licence: 'GPL-3.0-only', purl: 'pkg:npm/c@1' };
    assert.throws(() => requireAllowed([component]), /copyleft 1\.0\.0 \(GPL-3\.0-only\)/);
  });
});

describe('the list for machines', () => {
  const components: Component[] = [
    { name: '@a/b', version: '1.0.0', licence: 'MIT', purl: 'pkg:npm/%40a/b@1.0.0', sha512: 'ab'.repeat(64) },
    { name: 'n', version: '2', licence: 'MIT OR ISC', purl: 'pkg:npm/n@2', parts: { openssl: '3.5.8' } },
  ];

  test('is CycloneDX 1.6 with a hash, a licence and a package URL of each component', () => {
    const list = JSON.parse(sbomOf(SUBJECT, components));
    assert.equal(`${list.bomFormat} ${list.specVersion}`, 'CycloneDX 1.6');
    assert.match(list.serialNumber, /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.equal(list.metadata.timestamp, '2023-11-14T22:13:20.000Z');
    assert.deepEqual(
      list.components.map((row: { purl: string }) => row.purl),
      components.map(({ purl }) => purl),
    );
    assert.deepEqual(list.components[0].hashes, [{ alg: 'SHA-512', content: 'ab'.repeat(64) }]);
    assert.deepEqual(list.components[1].licenses, [{ expression: 'MIT OR ISC' }]);
    assert.equal(list.components[1].components[0].version, '3.5.8');
  });

  test('has the same bytes each time, and another number for other content', () => {
    assert.equal(sbomOf(SUBJECT, components), sbomOf(SUBJECT, components));
    const serial = (list: Component[]) => JSON.parse(sbomOf(SUBJECT, list)).serialNumber;
    assert.notEqual(serial(components), serial(components.slice(1)));
  });
});
