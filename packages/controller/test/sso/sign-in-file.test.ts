/** The file of `--sign-in`: what it may hold, and what it says of what is wrong. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import * as z from 'zod';
import { escapeInDn, escapeInFilter } from '../../src/sso/ldap-escape.ts';
import { userName } from '../../src/sso/proven-person.ts';
import { Sealer } from '../../src/sso/sealed.ts';
import { readSignInFile } from '../../src/sso/sign-in-file.ts';
import { temporaryFolder } from '../harness.ts';

const PROVIDER = `
address: https://mirror.example.com/
openid:
  - name: keycloak
    title: Example Corp
    issuer: https://id.example.com/realms/corp
    clientId: mirrorplane
    clientSecretFile: secret
    grants:
      mirror-admins: [{ role: admin }]
      netops: [{ role: operator, scope: { pools: [east] } }]
`;
const DIRECTORY = `
ldap:
  - name: corp
    title: Example directory
    servers: [ldaps://ldap.example.com]
    account: { dn: "cn=mirrorplane,dc=example,dc=com", passwordFile: secret }
    users: { base: "ou=people,dc=example,dc=com", filter: "(uid={user})" }
    groups: { attribute: memberOf }
    grants: { "cn=netops,dc=example,dc=com": [{ role: viewer }] }
`;

/** Writes a file and its secret, and returns its path. */
function write(t: TestContext, text: string, secret = 'very secret\n'): string {
  const folder = temporaryFolder(t);
  writeFileSync(path.join(folder, 'secret'), secret, { mode: 0o600 });
  const file = path.join(folder, 'sign-in.yaml');
  writeFileSync(file, text);
  return file;
}

test('a file has providers and directories, with their secrets from files beside it', (t) => {
  const { address, openid, ldap } = readSignInFile(write(t, PROVIDER + DIRECTORY));
  assert.equal(address, 'https://mirror.example.com');
  const [provider] = openid;
  assert.deepEqual(
    [provider!.clientSecret, provider!.scopes, provider!.nameClaim, provider!.clockToleranceSeconds],
    ['very secret', ['openid', 'profile'], 'preferred_username', 30],
  );
  assert.deepEqual(provider!.grants.netops, [{ role: 'operator', scope: { pools: ['east'] } }]);
  assert.deepEqual([ldap[0]!.accountPassword, ldap[0]!.nameAttribute], ['very secret', 'uid']);
  assert.deepEqual(readSignInFile(write(t, '')), { openid: [], ldap: [] });
});

test('each wrong field is named, with what to do', (t) => {
  const cases: [from: string, to: string, said: RegExp][] = [
    ['https://id.example.com', 'http://id.example.com', /openid\[0\]\.issuer.*with https:\/\//],
    ['https://id.example.com/realms/corp', 'https://login.microsoftonline.com/common/v2.0', /issuer.*your own tenant/],
    ['https://mirror.example.com/', 'http://mirror.example.com', /address.*https:\/\/NAME/],
    ['https://mirror.example.com/', 'https://mirror.example.com/console', /address.*no path/],
    ['address: https://mirror.example.com/', '', /address.*it is missing: .*for example/],
    ['name: keycloak', 'name: Key Cloak', /openid\[0\]\.name.*lower-case letter/],
    ['name: keycloak', 'name: corp', /ldap\[0\]\.name.*"corp" is used twice/],
    ['clientId: mirrorplane', '', /openid\[0\]\.clientId" is missing/],
    ['clientId: mirrorplane', 'clientID: mirrorplane', /"clientID" is not known: did you mean "clientId"/],
    ['role: admin', 'role: root', /mirror-admins\[0\]\.role.*use .*viewer/],
    [
      '      mirror-admins: [{ role: admin }]\n      netops: [{ role: operator, scope: { pools: [east] } }]',
      '      {}',
      /grants.*name at least one group/,
    ],
    ['    title: Example Corp', '    title: Example Corp\n    scopes: [profile]', /scopes.*add "openid"/],
    [
      '    title: Example Corp',
      '    title: Example Corp\n    timeoutSeconds: 900',
      /timeoutSeconds.*whole number of 1 to 30/,
    ],
    [
      '    title: Example Corp',
      '    title: Example Corp\n    timeoutSeconds: soon',
      /timeoutSeconds.*whole number of 1 to 30/,
    ],
    ['ldaps://ldap.example.com', 'ldap://ldap.example.com', /ldap\[0\]\.servers\[0\].*unencrypted: use ldaps:\/\//],
    ['ldaps://ldap.example.com', 'http://ldap.example.com', /servers\[0\].*use ldaps:\/\/HOST/],
    ['(uid={user})', '(uid=anna)', /users\.filter.*write \{user\}/],
    ['    groups: { attribute: memberOf }', '    groups: { base: "dc=x" }', /ldap\[0\]\.groups.*either attribute/],
    ['    users:', '    userDn: "uid={user},dc=x"\n    users:', /ldap\[0\]\.users.*not both/],
    [
      'clientSecretFile: secret',
      'clientSecretFile: nowhere',
      /openid\[0\]\.clientSecretFile: .*nowhere does not exist/,
    ],
    ['passwordFile: secret', 'passwordFile: nowhere', /ldap\[0\]\.account\.passwordFile: .*nowhere does not exist/],
    [
      '    groups: { attribute: memberOf }',
      '    groups: { attribute: memberOf }\n    caFile: secret',
      /ldap\[0\]\.caFile: .* has no certificate/,
    ],
  ];
  for (const [from, to, said] of cases) {
    const text = PROVIDER + DIRECTORY;
    assert.ok(text.includes(from), from);
    const file = write(t, text.replace(from, to));
    assert.throws(
      () => readSignInFile(file),
      (error: Error) => {
        assert.ok(error.message.startsWith(file), error.message);
        assert.match(error.message, said);
        return true;
      },
    );
  }
  // All of them at once.
  const both = write(t, (PROVIDER + DIRECTORY).replace('role: admin', 'role: root').replace('clientId', 'client'));
  assert.throws(() => readSignInFile(both), /clientId[\s\S]*root|admin[\s\S]*clientId/);
});

test('passwords may cross the network unencrypted only on loopback, by StartTLS, or where the file allows it', (t) => {
  for (const [server, more] of [
    ['ldap://127.0.0.1:389', ''],
    ['"ldap://[::1]"', ''],
    ['ldap://localhost', ''],
    ['ldap://ldap.example.com', '    startTls: true\n'],
    ['ldap://ldap.example.com', '    allowPlain: true\n'],
  ] as const) {
    readSignInFile(write(t, DIRECTORY.replace('ldaps://ldap.example.com', server) + more));
  }
});

test('a secret that others can read, or that is empty, is refused', (t) => {
  const file = write(t, PROVIDER);
  chmodSync(path.join(path.dirname(file), 'secret'), 0o644);
  assert.throws(() => readSignInFile(file), /clientSecretFile: .* is too open .* run "chmod 600/);
  assert.throws(() => readSignInFile(write(t, PROVIDER, '\n')), /clientSecretFile: .* is empty/);
});

test('the controller does not start with a file that is wrong, and says why', (t) => {
  const file = write(t, PROVIDER.replace('clientId: mirrorplane', ''));
  const main = path.join(import.meta.dirname, '../../src/main.ts');
  const words = [main, '--data', temporaryFolder(t), '--sign-in', file];
  assert.throws(
    () => execFileSync(process.execPath, words, { stdio: 'pipe', encoding: 'utf8' }),
    (error: { stderr: string }) => error.stderr.includes(`${file}: "openid[0].clientId" is missing`),
  );
});

test('values within filters and distinguished names are escaped', () => {
  assert.equal(escapeInFilter('a*(b)\\c\0é'), 'a\\2a\\28b\\29\\5cc\\00é');
  assert.equal(escapeInDn(' #a,b+c"d\\e<f>g;h=i\0 '), '\\20\\23a\\2cb\\2bc\\22d\\5ce\\3cf\\3eg\\3bh\\3di\\00\\20');
});

test('names of people cannot be names of local users or tokens', () => {
  assert.equal(userName('corp', 'Anna@Example.org', 'Example'), 'corp:anna@example.org');
  for (const name of [undefined, 7, '', 'two words', 'a:b', '-a', 'a\n', 'ä', 'a'.repeat(97), ['anna']]) {
    assert.throws(() => userName('corp', name, 'Example'), /no name that can be used here/);
  }
});

test('what was sealed is opened only here, for the same purpose, unchanged, and in time', () => {
  let now = 0;
  const clock = () => now;
  const sealer = new Sealer(clock);
  const sealed = sealer.seal('begun', 'text', 1000);
  assert.equal(sealer.open('begun', z.string(), sealed), 'text');
  assert.equal(sealer.open('other', z.string(), sealed), undefined);
  assert.equal(sealer.open('begun', z.number(), sealed), undefined);
  assert.equal(new Sealer(clock).open('begun', z.string(), sealed), undefined);
  for (let at = 0; at < sealed.length; at += 7) {
    const changed = sealed.slice(0, at) + (sealed[at] === 'A' ? 'B' : 'A') + sealed.slice(at + 1);
    assert.equal(sealer.open('begun', z.string(), changed), undefined);
  }
  for (const bad of ['', 'x', sealed.slice(0, 30), 'A'.repeat(5000)]) {
    assert.equal(sealer.open('begun', z.string(), bad), undefined);
  }
  now = 1000;
  assert.equal(sealer.open('begun', z.string(), sealed), undefined);
});
