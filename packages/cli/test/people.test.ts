/** `mirrorplane login`, `user` and `token`, against a real controller. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Controller } from './controller.ts';
import { run } from './run.ts';

interface Answer {
  status: number;
  cookie: string;
  // biome-ignore lint/suspicious/noExplicitAny: what a test reads from an answer, it asserts.
  body: any;
}

describe('people', () => {
  const controller = new Controller();
  const home = mkdtempSync(join(tmpdir(), 'mirrorplane-home-'));
  const url = `unix:${controller.socket}`;
  /** A user without any token of the environment. */
  const env = { HOME: home };
  const file = join(home, '.config/mirrorplane/logins.json');
  const mine = (...args: string[]) => run(args, { env });
  before(() => controller.start());
  after(async () => {
    await controller.close();
    rmSync(home, { recursive: true, force: true });
  });

  /** A request of the console. */
  function browse(method: string, path: string, body?: object, headers: Record<string, string> = {}): Promise<Answer> {
    const type = body === undefined ? {} : { 'content-type': 'application/json' };
    return new Promise((resolve, reject) => {
      const call = request(
        {
          socketPath: controller.socket,
          method,
          path: `/api/v1${path}`,
          headers: { ...headers, ...type },
          agent: false,
        },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (part: string) => {
            text += part;
          });
          response.on('end', () => {
            const cookie = String(response.headers['set-cookie'] ?? '').split(';')[0]!;
            resolve({ status: response.statusCode!, cookie, body: text === '' ? undefined : JSON.parse(text) });
          });
        },
      );
      call.on('error', reject);
      call.end(body && JSON.stringify(body));
    });
  }

  /** Signs in, and gives what every change of the console has. */
  async function signIn(user: string, password: string): Promise<Record<string, string>> {
    const { status, cookie, body } = await browse('POST', '/session', { user, password });
    assert.equal(status, 201, JSON.stringify(body));
    return { cookie, 'x-mirrorplane-csrf': body.csrfToken, 'sec-fetch-site': 'same-origin' };
  }

  const password = 'a password of alice alone';

  it('creates a user once, with a password that the user has to change', async () => {
    const made = await controller.run(['user', 'create', 'alice', '--grant', 'operator', '--display-name', 'Alice']);
    assert.deepEqual([made.code, made.stderr], [0, '']);
    const again = await controller.run(['user', 'create', 'alice', '--grant', 'admin']);
    assert.equal(again.code, 5, again.stderr);
    const headers = await signIn('alice', made.stdout.trim());
    const body = { current: made.stdout.trim(), password };
    assert.equal((await browse('POST', '/users/alice/password', body, headers)).status, 200);
    const { stdout } = await controller.run(['user', 'list']);
    assert.match(stdout, /^alice +enabled +local +operator /m);
    assert.match(stdout, /^admin +new password +local +admin /m);
    const wrong = await controller.run(['user', 'create', 'bob', '--grant', 'operator:poll=east']);
    assert.deepEqual([wrong.code, /write ROLE, or ROLE:pool=A,B/.test(wrong.stderr)], [2, true]);
  });

  /** Runs `login`, and decides in the console. Resolves with what the command did. */
  async function login(confirm: boolean) {
    let decided: Promise<unknown> | undefined;
    const outcome = run(['login', url], {
      env,
      sawOnStderr: (text) => {
        const code = /^ {4}([A-Z]{4}-[A-Z]{4})$/m.exec(text)?.[1];
        decided ??= code === undefined ? undefined : decide(code, confirm);
      },
    });
    const result = await outcome;
    await decided;
    return result;
  }

  async function decide(code: string, confirm: boolean): Promise<void> {
    const headers = await signIn('alice', password);
    assert.equal((await browse('GET', '/device-logins/AAAA-AAAA', undefined, headers)).status, 404);
    const asked = await browse('GET', `/device-logins/${code.toLowerCase()}`, undefined, headers);
    assert.deepEqual([asked.status, asked.body.address], [200, 'unix']);
    assert.match(asked.body.host, /./);
    const decided = await browse('POST', `/device-logins/${code}`, { confirm }, headers);
    assert.equal(decided.status, 204, JSON.stringify(decided.body));
    assert.equal((await browse('GET', `/device-logins/${code}`, undefined, headers)).status, 404, 'only once');
  }

  it('logs in by a code that a person confirms, and keeps the token for this user alone', async () => {
    const refused = await login(false);
    assert.deepEqual([refused.code, /refused in the console/.test(refused.stderr)], [6, true], refused.stderr);
    assert.ok(!existsSync(file));
    const done = await login(true);
    assert.equal(done.code, 0, done.stderr);
    assert.match(done.stdout, /^signed in to unix:.* as alice until 20/);
    assert.equal(statSync(file).mode & 0o777, 0o600);

    const who = await mine('auth', 'whoami');
    assert.deepEqual([who.code, /^name: +alice$/m.test(who.stdout)], [0, true], who.stderr + who.stdout);
    assert.equal((await mine('policy', 'list')).code, 0, 'the last login is the controller of other commands');
    assert.equal((await mine('user', 'list')).code, 6, 'with the rights of the person');
    const given = { ...env, MIRRORPLANE_TOKEN_FILE: controller.tokenFile };
    assert.equal((await run(['user', 'list'], { env: given })).code, 0, 'a token of the environment goes first');
  });

  it('makes tokens within the own rights, lists them and revokes them', async () => {
    const unsaid = await mine('token', 'create', 'ci');
    assert.deepEqual([unsaid.code, /give --for TIME, or --never/.test(unsaid.stderr)], [2, true]);
    const more = await mine('token', 'create', 'ci', '--for', '1h', '--grant', 'admin');
    assert.deepEqual([more.code, /more than you may do/.test(more.stderr)], [6, true], more.stderr);
    const { code, stdout: token } = await mine('token', 'create', 'ci', '--for', '1h', '--grant', 'viewer');
    assert.equal(code, 0);
    assert.match(token, /^mpt_[\w-]{43}\n$/);
    const program = { MIRRORPLANE_URL: url, MIRRORPLANE_TOKEN: token.trim() };
    assert.equal((await run(['policy', 'list'], { env: program })).code, 0);
    const self = await run(['token', 'create', 'longer', '--never'], { env: program });
    assert.deepEqual([self.code, /a token cannot make tokens/.test(self.stderr)], [6, true], self.stderr);
    const { stdout } = await mine('token', 'list');
    assert.match(stdout, /^ci +alice +api +viewer +20.* +20.* +unix$/m);
    assert.match(stdout, /^login-\S+ +alice +login +operator /m);
    assert.doesNotMatch(stdout, /^(admin|read) /m);
    assert.equal((await mine('token', 'revoke', 'ci')).code, 0);
    assert.equal((await run(['policy', 'list'], { env: program })).code, 6);
  });

  it('refuses a file of logins that others can read, and says when a login is over', async () => {
    chmodSync(file, 0o644);
    const open = await mine('policy', 'list');
    assert.deepEqual([open.code, /too open \(mode 0644\)/.test(open.stderr)], [6, true], open.stderr);
    chmodSync(file, 0o600);
    const kept = readFileSync(file);
    assert.equal((await mine('logout')).code, 0);
    writeFileSync(file, kept);
    const over = await mine('policy', 'list');
    assert.deepEqual([over.code, /your login at unix:.* is over: run "mirrorplane login/.test(over.stderr)], [6, true]);
    assert.equal((await mine('logout')).code, 0, 'one that is over can be forgotten');
    assert.equal((await mine('logout', url)).code, 4);
  });

  it('revokes the token in a file for good', async () => {
    const read = join(controller.folder, 'data', 'read-token');
    assert.equal((await controller.run(['token', 'revoke', 'read'])).code, 0);
    assert.ok(!existsSync(read));
    await controller.stop();
    await controller.start();
    assert.ok(!existsSync(read), 'it is not made again');
    assert.doesNotMatch((await controller.run(['token', 'list'])).stdout, /^read /m);
  });
});
