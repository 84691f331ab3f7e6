/** Messages of commands if the controller does not answer, is another program, or refuses. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run } from './run.ts';

/** The next answer of these tests' server. The real controller never gives such answers. */
let answer: (request: IncomingMessage, response: ServerResponse) => void;

describe('a command', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mirrorplane-cli-client-'));
  let server: Server;
  let url: string;

  before(async () => {
    server = createServer((request, response) => answer(request, response));
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => {
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const env = (more: Record<string, string> = {}) => ({ MIRRORPLANE_URL: url, MIRRORPLANE_TOKEN: 'secret', ...more });
  const reply = (status: number, body: string) => {
    answer = (_request, response) => void response.writeHead(status).end(body);
  };

  it('ends with 7 and names the URL where nothing listens', async () => {
    const { code, stderr } = await run(['node', 'list', '--url', 'http://127.0.0.1:1'], { env: env() });
    assert.equal(code, 7);
    assert.match(stderr, /the controller at http:\/\/127\.0\.0\.1:1 cannot be reached: nothing listens there/);
    assert.match(stderr, /mirrorplane up/);
  });

  it('ends with 7 where there is no socket', async () => {
    const { code, stderr } = await run(['node', 'list', '--url', `unix:${folder}/none.sock`], { env: env() });
    assert.equal(code, 7);
    assert.match(stderr, /the socket does not exist/);
  });

  it('sends the token of the file that the option names, before that of the environment', async () => {
    let seen: string | undefined;
    answer = (request, response) => {
      seen = request.headers.authorization;
      response.end('{"items":[],"revision":1}');
    };
    const file = join(folder, 'token');
    writeFileSync(file, 'from-file\n', { mode: 0o600 });
    assert.equal((await run(['node', 'list', '--token-file', file], { env: env() })).code, 0);
    assert.equal(seen, 'Bearer from-file');
    assert.equal((await run(['node', 'list'], { env: env() })).code, 0);
    assert.equal(seen, 'Bearer secret');
    assert.equal(
      (await run(['node', 'list'], { env: { MIRRORPLANE_URL: url, MIRRORPLANE_TOKEN_FILE: file } })).code,
      0,
    );
    assert.equal(seen, 'Bearer from-file');
  });

  it('names MIRRORPLANE_TOKEN where it holds two lines, and sends nothing', async () => {
    answer = () => assert.fail('a request');
    const { code, stderr } = await run(['node', 'list'], { env: env({ MIRRORPLANE_TOKEN: 'one\ntwo' }) });
    assert.equal(code, 6);
    assert.match(stderr, /^error: MIRRORPLANE_TOKEN does not hold a token/);
  });

  it('reads all pages of a list where the controller divides it', async () => {
    const asked: (string | undefined)[] = [];
    answer = ({ url: path }, response) => {
      asked.push(path);
      const last = path?.endsWith('continue=x%3D1');
      const [name, next] = last ? ['node-2', undefined] : ['node-1', 'x=1'];
      response.end(JSON.stringify({ items: [{ name }], revision: last ? 8 : 7, continue: next }));
    };
    const { code, stdout } = await run(['node', 'list', '-o', 'json'], { env: env() });
    assert.equal(code, 0);
    const items = ['node-1', 'node-2'].map((name) => ({ kind: 'Node', name }));
    assert.deepEqual(JSON.parse(stdout), { items, revision: 8 });
    assert.deepEqual(asked, ['/api/v1/nodes', '/api/v1/nodes?continue=x%3D1']);
  });

  it('ends with 6 where other users can read the token file, or the group can write it, and sends nothing', async () => {
    let asked = 0;
    answer = (_request, response) => {
      asked++;
      response.end('{"items":[],"revision":1}');
    };
    const file = join(folder, 'open');
    writeFileSync(file, 'from-file\n');
    const list = () => run(['node', 'list', '--token-file', file], { env: env() });
    for (const mode of [0o644, 0o602, 0o620]) {
      chmodSync(file, mode);
      const { code, stderr } = await list();
      assert.equal(code, 6, stderr);
      assert.match(
        stderr,
        new RegExp(`${file} is too open \\(mode 0${mode.toString(8)}\\): .*run "chmod 600 ${file}"`),
      );
    }
    assert.equal(asked, 0);
    chmodSync(file, 0o640);
    assert.equal((await list()).code, 0, 'a group may share it');
  });

  it('ends with 6 and says which token file is missing, or empty', async () => {
    const missing = await run(['node', 'list', '--token-file', `${folder}/none`], { env: env() });
    assert.equal(missing.code, 6);
    assert.match(missing.stderr, new RegExp(`the token file ${folder}/none does not exist`));
    writeFileSync(join(folder, 'empty'), '\n', { mode: 0o600 });
    const empty = await run(['node', 'list', '--token-file', `${folder}/empty`], { env: env() });
    assert.equal(empty.code, 6);
    assert.match(empty.stderr, /is empty/);
  });

  it('ends with 1 or 7 and says what answered, where that is no controller', async () => {
    reply(500, '<html>');
    const failed = await run(['node', 'list'], { env: env() });
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /answered GET \/nodes with HTTP 500 and no problem document/);
    reply(502, 'bad gateway');
    assert.equal((await run(['node', 'list'], { env: env() })).code, 7);
    reply(200, 'hello');
    const odd = await run(['node', 'list'], { env: env() });
    assert.equal(odd.code, 1);
    assert.match(odd.stderr, /something other than JSON/);
  });

  it('says of a URL with https that the controller does not speak TLS, and what to use', async () => {
    reply(200, '{}');
    const { code, stderr } = await run(['node', 'list', '--url', url.replace('http:', 'https:')], { env: env() });
    assert.equal(code, 7);
    assert.match(stderr, /^error: the controller at https:.* does not speak TLS: its API is plain HTTP$/m);
    assert.match(stderr, /use http:\/\/ or unix:/);
    assert.doesNotMatch(stderr, /SSL|mirrorplane up/);
  });

  it('says in one line that standard output cannot be written, and ends with 1', async () => {
    reply(200, '{"items":[],"revision":1}');
    const script = `exec ${fileURLToPath(new URL('../../../bin/mirrorplane', import.meta.url))} node list > /dev/full`;
    const child = spawn('sh', ['-c', script], { env: { ...process.env, ...env() } });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const [code] = await once(child, 'close');
    assert.deepEqual([code, said], [1, 'error: the command cannot write to standard output (ENOSPC)\n']);
  });

  it('ends with 7 where the connection breaks', async () => {
    answer = (request) => void request.socket.destroy();
    assert.equal((await run(['node', 'list'], { env: env() })).code, 7);
  });

  it('waits while watching for a controller that is not ready, and says so once', async () => {
    let requests = 0;
    answer = (_request, response) => {
      requests += 1;
      const down = requests === 2 || requests === 3;
      response.writeHead(down ? 503 : 200).end(down ? '' : `{"items":[],"revision":${requests}}`);
    };
    const { code, stdout, stderr } = await run(['policy', 'list', '--watch', '--count', '4', '-o', 'json'], {
      env: env(),
    });
    assert.equal(code, 0);
    assert.deepEqual(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).revision),
      [1, 4],
    );
    assert.equal(stderr.match(/unavailable/g)?.length, 1);
  });

  it('prints while watching only what changed, and ends with 0 on SIGINT', async () => {
    let requests = 0;
    answer = (_request, response) => {
      requests += 1;
      response.end(`{"items":[],"revision":${requests < 3 ? 1 : 2}}`);
    };
    const interruptWhen = (stdout: string) => stdout.includes('"revision":2');
    const { code, stdout } = await run(['node', 'list', '--watch', '-o', 'json'], { env: env(), interruptWhen });
    assert.equal(code, 0);
    assert.deepEqual(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).revision),
      [1, 2],
    );
  });
});

describe('usage', () => {
  for (const [args, message] of [
    [['polcy', 'list'], /Did you mean policy/],
    [['policy', 'crate', 'x'], /Did you mean create/],
    [['get', 'policies'], /^did you mean "mirrorplane policy list"\?$/m],
    [['create', 'policy', 'p'], /^did you mean "mirrorplane policy create p"\?$/m],
    [['delete', 'policy', 'p'], /^did you mean "mirrorplane policy delete p"\?$/m],
    [['policy', 'list', '--wach'], /Did you mean --watch/],
    [['policy', 'create', 'p', '--destination', 'b'], /required option '--source <id\.\.\.>'/],
    [['policy', 'create', 'p', '--source', 'a', '--destination', 'b', '--percent', 'many'], /this is not a number/],
    [['policy', 'delete'], /missing required argument/],
    [['policy', 'apply'], /required option '-f, --file <file>'/],
    [['node', 'list', '-o', 'xml'], /Allowed choices are table, wide, json, yaml, name/],
    [['node', 'list', '--url', 'gopher://x'], /is not a URL of a controller/],
    [['interface', 'declare', 'x', '--kind', 'edge', '--device', 'eth1'], /an edge needs --node/],
    [['interface', 'declare', 'x', '--kind', 'edge', '--node', 'n'], /either --device or --mac/],
    [['interface', 'declare', 'x', '--kind', 'vm', '--node', 'n'], /--node is only for --kind edge/],
    [
      ['interface', 'declare', 'x', '--kind', 'edge', '--node', 'n', '--device', 'd', '--allowed-vlans', '5000'],
      /out of range/,
    ],
    [['events', '--limit', '10000'], /use a whole number from 1 to 1000/],
    [['apply', '-f', '/'], /\/ is a folder/],
    [['apply', '-f', '/dev/zero'], /\/dev\/zero has more than 16 MiB/],
    [['apply', '-f', '/nowhere.yaml'], /\/nowhere\.yaml does not exist/],
    [['apply', '-f', '-'], /stdin holds no document/],
    [[], /Usage: mirrorplane/],
  ] as const) {
    it(`that is wrong ends with 2 and says what is: ${args.join(' ') || '(nothing)'}`, async () => {
      const { code, stdout, stderr } = await run(args);
      assert.equal(code, 2);
      assert.equal(stdout, '');
      assert.match(stderr, message);
    });
  }

  it('is shown with exit codes and daemons on --help, and ends with 0', async () => {
    const { code, stdout } = await run(['--help']);
    assert.equal(code, 0);
    for (const text of [/controller {2}the controller daemon/, /^ {3}5 {2}the resource exists already/m]) {
      assert.match(stdout, text);
    }
  });

  it('prints the version in every format', async () => {
    assert.match((await run(['version'])).stdout, /^mirrorplane \d+\.\d+\.\d+ /);
    assert.match(JSON.parse((await run(['version', '-o', 'json'])).stdout).mirrorplane, /^\d+\.\d+\.\d+$/);
    assert.equal((await run(['--version'])).code, 0);
  });
});
