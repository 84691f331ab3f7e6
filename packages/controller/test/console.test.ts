/** Serving the console: its page, its files, and nothing else. */
import assert from 'node:assert/strict';
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { Bench, temporaryFolder } from './harness.ts';

const nobody = { token: undefined };
const html = { ...nobody, headers: { accept: 'text/html,*/*;q=0.8' } };

function build(folder: string, name: string): void {
  mkdirSync(path.join(folder, 'assets'), { recursive: true });
  const nonce = '<meta property="csp-nonce" nonce="__NONCE__" />';
  writeFileSync(path.join(folder, 'index.html'), `<!doctype html>${nonce}<script src="/assets/${name}.js"></script>`);
  writeFileSync(path.join(folder, 'assets', `${name}.js`), `console.log("${name}");`.repeat(100));
  writeFileSync(path.join(folder, 'favicon.svg'), '<svg/>');
}

async function start(t: TestContext): Promise<{ bench: Bench; folder: string }> {
  const folder = path.join(temporaryFolder(t), 'dist');
  build(folder, 'index-B1xY');
  writeFileSync(path.join(folder, '../secret.txt'), 'secret');
  return { folder, bench: await Bench.start(t, 0, { console: folder }) };
}

test('the page is never kept, and may load only what comes from here', async (t) => {
  const { bench } = await start(t);
  const nonces = new Set<string>();
  for (const url of ['/', '/policies/ids-all?tab=history', '/interfaces/web-1%2F0', '/index.html']) {
    const { status, headers, text } = await bench.request('GET', url, undefined, html);
    assert.equal(status, 200, url);
    assert.match(text, /^<!doctype html>/);
    assert.equal(headers['content-type'], 'text/html; charset=utf-8');
    assert.equal(headers['cache-control'], 'no-store');
    const policy = String(headers['content-security-policy']);
    assert.match(policy, /default-src 'none'; script-src 'self'; .*connect-src 'self'; .*frame-ancestors 'none'$/);
    assert.ok(!policy.includes('unsafe'), policy);
    const [, nonce] = /style-src 'self' 'nonce-([\w-]{22})';/.exec(policy) ?? [];
    assert.ok(text.includes(`nonce="${nonce}"`) && !nonces.has(nonce!), 'the page has the nonce of its policy, once');
    nonces.add(nonce!);
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['referrer-policy'], 'no-referrer');
    assert.equal(headers['x-frame-options'], 'DENY');
    assert.equal(headers['cross-origin-opener-policy'], 'same-origin');
    assert.match(String(headers['permissions-policy']), /camera=\(\), .*usb=\(\)$/);
    assert.equal(headers['strict-transport-security'], undefined, 'without TLS');
  }
});

test('assets are kept for ever, compressed where that is asked for, and one that is missing is 404', async (t) => {
  const { bench } = await start(t);
  const url = '/assets/index-B1xY.js';
  const plain = await bench.request('GET', url, undefined, nobody);
  assert.equal(plain.headers['cache-control'], 'public, max-age=31536000, immutable');
  assert.equal(plain.headers['content-type'], 'text/javascript; charset=utf-8');
  assert.match(plain.text, /^console\.log/);
  const host = `http://${bench.controller.addresses[0]}`;
  const gzipped = await fetch(host + url, { headers: { 'accept-encoding': 'gzip' } });
  assert.equal(gzipped.headers.get('content-encoding'), 'gzip');
  assert.equal(await gzipped.text(), plain.text);
  const known = { ...nobody, headers: { 'if-none-match': String(plain.headers.etag) } };
  assert.equal((await bench.request('GET', url, undefined, known)).status, 304);
  assert.equal((await bench.request('HEAD', url, undefined, nobody)).status, 200);
  const icon = await bench.request('GET', '/favicon.svg', undefined, nobody);
  assert.deepEqual([icon.text, icon.headers['cache-control']], ['<svg/>', 'no-cache']);
  for (const missing of ['/assets/index-old.js', '/assets/', '/assets/index.html']) {
    const { status, text } = await bench.request('GET', missing, undefined, html);
    assert.equal(status, 404, missing);
    assert.ok(!text.includes('doctype'));
  }
});

test('no path leads out of the folder, or from the API to the page', async (t) => {
  const { bench } = await start(t);
  const ways = ['../secret.txt', '..%2fsecret.txt', '%2e%2e/secret.txt', '..%5csecret.txt', '....//secret.txt'];
  for (const way of ways) {
    for (const url of [`/${way}`, `/assets/${way}`, `/assets/../${way}`, `//${way}`]) {
      const { status, text } = await bench.request('GET', url, undefined, nobody);
      assert.ok(status === 404 || status === 400, `${url}: ${status}`);
      assert.ok(!text.includes('secret.txt') || !text.startsWith('secret'), url);
    }
  }
  for (const url of ['/api/v1/none', '/api', '/metrics/none']) {
    const { status, body } = await bench.request('GET', url, undefined, html);
    assert.deepEqual([status, body.code], [404, 'NOT_FOUND'], url);
  }
  const policies = await bench.request('GET', '/api/v1/policies', undefined, html);
  assert.equal(policies.status, 401);
  assert.equal(policies.headers['cache-control'], 'no-store');
  assert.equal(policies.headers['x-content-type-options'], 'nosniff');
  assert.equal((await bench.request('POST', '/policies', {}, html)).status, 404);
  assert.equal((await bench.request('GET', '/none.js', undefined, nobody)).status, 404);
});

test('a console that is built again is served at once, and one that is not built says how to build it', async (t) => {
  const { bench, folder } = await start(t);
  assert.match((await bench.request('GET', '/', undefined, html)).text, /index-B1xY/);
  build(folder, 'index-C2zZ');
  utimesSync(path.join(folder, 'index.html'), new Date(), new Date(Date.now() + 5000));
  assert.match((await bench.request('GET', '/', undefined, html)).text, /index-C2zZ/);
  assert.equal((await bench.request('GET', '/assets/index-C2zZ.js', undefined, nobody)).status, 200);

  const none = await Bench.start(t, 0, { console: path.join(folder, 'none') });
  const { status, headers, text } = await none.request('GET', '/', undefined, html);
  assert.deepEqual([status, headers['content-type']], [404, 'text/plain; charset=utf-8']);
  assert.match(text, /the console is not built[\s\S]*make console[\s\S]*--console FOLDER/);
  assert.equal((await none.request('GET', '/policies', undefined, html)).status, 404);
});
