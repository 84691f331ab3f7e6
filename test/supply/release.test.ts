/** The signature of a release: ssh-keygen and sha256sum, which we did not write, judge it. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ROOT } from '../../packaging/paths.ts';
import { signRelease } from '../../packaging/release.ts';

const DOC = readFileSync(join(ROOT, 'docs/install.md'), 'utf8');
/** The command of the documentation, so that it is tried, too. */
const [, VERIFY] = /^(ssh-keygen -Y verify .*\n\s*sha256sum .*)$/m.exec(DOC) ?? [];

interface Release {
  folder: string;
  /** Exit status of the command that an operator runs. */
  verify(): number | null;
  newKey(name: string): string;
}

/** A folder with a release, signed by a key whose public half the operator has. */
function release(t: TestContext): Release {
  const folder = mkdtempSync(join(tmpdir(), 'mirrorplane-release-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const newKey = (name: string) => {
    const file = join(folder, name);
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', file]);
    return file;
  };
  writeFileSync(join(folder, 'mirrorplane_0.2.0_amd64.deb'), 'a package');
  writeFileSync(join(folder, 'mirrorplane_0.2.0_amd64.cdx.json'), '{}');
  const key = newKey('key');
  writeFileSync(join(folder, 'mirrorplane.signers'), `release ${readFileSync(`${key}.pub`, 'utf8')}`);
  assert.deepEqual(signRelease(folder, key), ['mirrorplane_0.2.0_amd64.cdx.json', 'mirrorplane_0.2.0_amd64.deb']);
  const verify = () => spawnSync('sh', ['-c', VERIFY!], { cwd: folder, stdio: 'ignore' }).status;
  return { folder, verify, newKey };
}

test('the command of the documentation accepts a release as it was signed', (t) => {
  assert.ok(VERIFY, 'docs/install.md has the command');
  assert.equal(release(t).verify(), 0);
});

test('a changed byte of a package, of a list of components or of the checksums is refused', (t) => {
  for (const file of ['mirrorplane_0.2.0_amd64.deb', 'mirrorplane_0.2.0_amd64.cdx.json', 'SHA256SUMS']) {
    const { folder, verify } = release(t);
    appendFileSync(join(folder, file), ' ');
    assert.notEqual(verify(), 0, file);
  }
});

test('a release that another key has signed, or the same key for something else, is refused', (t) => {
  const { folder, verify, newKey } = release(t);
  signRelease(folder, newKey('stranger'));
  assert.notEqual(verify(), 0);
  signRelease(folder, join(folder, 'key'));
  assert.equal(verify(), 0);
  rmSync(join(folder, 'SHA256SUMS.sig'));
  execFileSync('ssh-keygen', ['-Y', 'sign', '-q', '-n', 'file', '-f', join(folder, 'key'), join(folder, 'SHA256SUMS')]);
  assert.notEqual(verify(), 0);
});

test('a folder without packages is not signed', (t) => {
  const { folder } = release(t);
  rmSync(join(folder, 'mirrorplane_0.2.0_amd64.deb'));
  assert.throws(() => signRelease(folder, join(folder, 'key')), /run "make packages" first/);
});
