/** A directory that others wrote, and what strangers and a bad server could try. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import test, { type TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import { Client } from 'ldapts';
import { LdapDirectory } from '../../src/sso/ldap-directory.ts';
import { LdapSettings } from '../../src/sso/sign-in-settings.ts';
import { ACCOUNT, BASE, DirectoryServer, passwordOf } from './directory-server.ts';
import { refusal } from './refusal.ts';

const GRANTS = {
  'Mirror-Admins': [{ role: 'admin' }],
  'Net Ops (East)': [{ role: 'operator', scope: { pools: ['east'] } }],
};
const SEARCH = {
  account: { dn: ACCOUNT.dn, passwordFile: 'unused' },
  users: { base: `ou=people,${BASE}`, filter: '(&(objectClass=inetOrgPerson)(uid={user}))' },
  groups: { base: `ou=groups,${BASE}`, filter: '(&(objectClass=groupOfNames)(member={dn}))' },
};
/** Without an account: people read their own entry. */
const TEMPLATE = { userDn: `uid={user},ou=people,${BASE}`, groups: { attribute: 'memberOf' } };

interface Setting {
  servers: string[];
  ca?: string;
  [field: string]: unknown;
}

function directory({ ca, ...settings }: Setting, failed: (server: string, reason: string) => void = () => undefined) {
  const parsed = LdapSettings.parse({
    name: 'corp',
    title: 'Example directory',
    timeoutSeconds: '2',
    grants: GRANTS,
    ...settings,
  });
  const way = { ...parsed, accountPassword: ACCOUNT.password, ...(ca !== undefined && { ca }) };
  return new LdapDirectory(way, { failed });
}

/** A server of the test. */
async function listen(t: TestContext, serve: (socket: Socket) => void): Promise<string> {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket.on('error', () => undefined));
    serve(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of open) {
      socket.destroy();
    }
    server.close();
  });
  return `ldap://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('LDAP against slapd', async (t) => {
  const slapd = await DirectoryServer.start(t);
  const byTls = { servers: [slapd.tls], ca: slapd.ca };

  await t.test('a person has the grants of the groups that a search finds, and the name of the entry', async () => {
    const { subject, ...person } = await directory({ ...byTls, ...SEARCH }).prove('ANNA', passwordOf('anna'));
    assert.deepEqual(person, {
      name: 'corp:anna',
      displayName: 'The anna',
      source: 'ldap',
      grants: [{ role: 'admin' }],
    });
    assert.match(subject, /^[0-9a-f-]{36}$/);
    const { grants } = await directory({ ...byTls, ...SEARCH }).prove('otto', passwordOf('otto'));
    assert.deepEqual(grants, [{ role: 'operator', scope: { pools: ['east'] } }]);
  });

  await t.test('a person is found by a template, and has the groups of the own entry', async () => {
    const grants = { [`cn=mirror-admins,ou=groups,${BASE}`]: [{ role: 'viewer' }] };
    for (const tls of [byTls, { servers: [slapd.plain], ca: slapd.ca, startTls: true }]) {
      const person = await directory({ ...tls, ...TEMPLATE, grants }).prove('Anna', passwordOf('anna'));
      assert.deepEqual([person.name, person.grants], ['corp:anna', [{ role: 'viewer' }]]);
    }
  });

  await t.test('a person without a group of the file is told so', async () => {
    const staff = await refusal(directory({ ...byTls, ...SEARCH }).prove('nobody', passwordOf('nobody')));
    assert.deepEqual(
      [staff.code, /knows you, but none of your groups has rights here: "staff"/.test(staff.message)],
      ['SIGN_IN_REFUSED', true],
    );
    const lonely = await refusal(directory({ ...byTls, ...SEARCH }).prove('lonely', passwordOf('lonely')));
    assert.match(lonely.message, /names no group of yours/);
  });

  await t.test(
    'a wrong, an empty and a foreign password are refused with the same words as an unknown person',
    async () => {
      // slapd itself confirms a name without a password.
      const naive = new Client({ url: slapd.plain, timeout: 2000 });
      await naive.bind(`uid=anna,ou=people,${BASE}`, '');
      await naive.unbind();
      const tries = [
        ['anna', ''],
        ['anna', '\0'],
        ['anna', `${passwordOf('anna')}\0`],
        ['anna', passwordOf('otto')],
        ['anna', passwordOf('anna').toUpperCase()],
        ['', passwordOf('anna')],
        ['unknown', passwordOf('anna')],
        ['a'.repeat(300), passwordOf('anna')],
      ] as const;
      for (const way of [SEARCH, TEMPLATE]) {
        for (const [name, password] of tries) {
          const { code, message } = await refusal(directory({ ...byTls, ...way }).prove(name, password));
          assert.deepEqual(
            [code, message],
            ['UNAUTHENTICATED', 'the name or the password is wrong: check them, and try again'],
            `${name} ${password}`,
          );
        }
      }
    },
  );

  await t.test('a name is compared as it is, whatever filter or distinguished name it holds', async () => {
    const names = [
      '*',
      'ann*',
      '*)(uid=*',
      'anna)(|(uid=*',
      '*)(objectClass=*))(|(uid=*',
      'otto)(uid=anna',
      '\\61nna',
      'anna\0',
      `anna,ou=people,${BASE}`,
      'anna+cn=anna',
      'anna"',
      `#0404616e6e61`,
      'dn:anna',
    ];
    for (const way of [SEARCH, TEMPLATE]) {
      for (const name of names) {
        const { code } = await refusal(directory({ ...byTls, ...way }).prove(name, passwordOf('anna')));
        assert.equal(code, 'UNAUTHENTICATED', name);
      }
    }
    // A person whose name has a star is found, and nobody else by it.
    const { message } = await refusal(directory({ ...byTls, ...SEARCH }).prove('o*o', passwordOf('o*o')));
    assert.match(message, /gives you no name that can be used here/);
    assert.equal(
      (await refusal(directory({ ...byTls, ...SEARCH }).prove('o*o', passwordOf('otto')))).code,
      'UNAUTHENTICATED',
    );
  });

  await t.test('a name that two people have signs nobody in', async () => {
    const users = { base: BASE, filter: '(employeeType={user})' };
    const both = directory({ ...byTls, ...SEARCH, users });
    for (const uid of ['anna', 'otto']) {
      assert.match((await refusal(both.prove('same', passwordOf(uid)))).reason, /more than one person/);
    }
  });

  await t.test('no password is sent before the certificate is proven', async () => {
    const reasons: string[] = [];
    const localhost = slapd.tls.replace('127.0.0.1', 'localhost');
    const bad: Setting[] = [
      // The authorities of the system do not know it.
      { servers: [slapd.tls] },
      { servers: [slapd.plain], startTls: true },
      // The certificate is of 127.0.0.1.
      { servers: [localhost], ca: slapd.ca },
      {
        servers: [localhost.replace(/^ldaps(.*):\d+$/, `ldap$1:${new URL(slapd.plain).port}`)],
        ca: slapd.ca,
        startTls: true,
      },
    ];
    for (const setting of bad) {
      const asked = directory({ ...setting, ...TEMPLATE }, (_server, reason) => reasons.push(reason));
      assert.equal((await refusal(asked.prove('anna', passwordOf('anna')))).code, 'SIGN_IN_AWAY');
    }
    assert.equal(reasons.length, 4);
    assert.match(
      reasons.join('\n'),
      /(certificate|Hostname)[\s\S]*(certificate|Hostname)[\s\S]*altnames[\s\S]*altnames/i,
    );
    assert.equal((await directory({ ...byTls, ...SEARCH }).prove('anna', passwordOf('anna'))).name, 'corp:anna');
    const binds = (uid: string) => slapd.log.match(new RegExp(`BIND dn="uid=${uid}`, 'g'))?.length ?? 0;
    await until('slapd to log the sign-in', () => binds('anna') > 0);
    assert.equal(binds('careful'), 0);
  });

  await t.test(
    'an answer that somebody put behind that to StartTLS is not taken for one that came by TLS',
    async () => {
      // A bind response for the next message, without its last byte: the first byte of the true answer
      // would complete it.
      const forged = (id: number) =>
        Buffer.from([0x30, 0x0d, 0x02, 0x01, id, 0x61, 0x08, 0x0a, 0x01, 0x00, 0x04, 0x00, 0x04, 0x01]);
      const { hostname, port } = new URL(slapd.plain);
      for (const id of [2, 3, 4]) {
        const between = await listen(t, (socket) => {
          const server = connect(Number(port), hostname).on('error', () => undefined);
          socket.pipe(server);
          server.once('data', (answer) => {
            socket.write(Buffer.concat([answer, forged(id)]));
            server.pipe(socket);
          });
        });
        const asked = directory({ servers: [between], ca: slapd.ca, startTls: true, ...TEMPLATE });
        await refusal(asked.prove('anna', 'a wrong password'));
      }
    },
  );

  await t.test('servers are asked in order, and one that failed is asked last for a while', async () => {
    const failed: string[] = [];
    const dead = 'ldaps://127.0.0.1:1';
    const both = directory({ ...SEARCH, servers: [dead, slapd.tls], ca: slapd.ca }, (server) => failed.push(server));
    assert.equal((await both.prove('anna', passwordOf('anna'))).name, 'corp:anna');
    assert.equal((await both.prove('anna', passwordOf('anna'))).name, 'corp:anna');
    assert.deepEqual(failed, [dead]);
    // The answer of a server counts: no other one is asked.
    assert.equal((await refusal(both.prove('anna', 'wrong'))).code, 'UNAUTHENTICATED');
  });

  await t.test('an account with a wrong password is a fault of the file, and is said so', async () => {
    const wrong = new LdapDirectory(
      { ...directory({ ...byTls, ...SEARCH }).way, accountPassword: 'wrong' },
      { failed: () => undefined },
    );
    const { code, message } = await refusal(wrong.prove('anna', passwordOf('anna')));
    assert.deepEqual([code, /does not let this controller search/.test(message)], ['SIGN_IN_AWAY', true]);
  });
});

test('a server that is mute, or sends without end, costs its timeout and no memory', async (t) => {
  const mute = await listen(t, () => undefined);
  const reasons: string[] = [];
  const failed = (_server: string, reason: string) => reasons.push(reason);
  for (const startTls of [false, true]) {
    const asked = directory({ servers: [mute], ...TEMPLATE, startTls, timeoutSeconds: '1' }, failed);
    const { code, message } = await refusal(asked.prove('anna', passwordOf('anna')));
    assert.deepEqual([code, /does not answer: try again later/.test(message)], ['SIGN_IN_AWAY', true]);
  }
  const flood = await listen(t, (socket) => {
    const more = () => {
      while (!socket.destroyed && socket.write(Buffer.alloc(65_536, 0x30))) {}
    };
    socket.on('drain', more);
    socket.once('data', more);
  });
  const asked = directory({ servers: [flood], ...TEMPLATE, timeoutSeconds: '10' }, failed);
  assert.equal((await refusal(asked.prove('anna', passwordOf('anna')))).code, 'SIGN_IN_AWAY');
  assert.equal(reasons.length, 3);
});
