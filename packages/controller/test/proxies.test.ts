/** Whose address a request has: headers of proxies are believed from trusted proxies alone. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { type ForwardedHeaders, type ProxyHeader, TrustedProxies } from '../src/auth/proxies.ts';

/** The sender of a request from `from`, as one line: address, whether by TLS, host. */
function senderOf(nets: string[], from: string | undefined, headers: ForwardedHeaders, header?: ProxyHeader): string {
  const { address, byTls, host } = new TrustedProxies(nets, header).senderOf({ remoteAddress: from }, headers);
  return [address, byTls ? 'tls' : 'plain', host].filter(Boolean).join(' ');
}

const spoofed = { 'x-forwarded-for': '203.0.113.9', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'evil.example' };

test('nothing that a stranger says about itself is believed', () => {
  assert.equal(senderOf([], '198.51.100.7', spoofed), '198.51.100.7 plain');
  assert.equal(senderOf(['10.0.0.0/8'], '198.51.100.7', spoofed), '198.51.100.7 plain');
  assert.equal(senderOf(['10.0.0.0/8'], undefined, spoofed), 'unix plain');
  assert.equal(senderOf(['10.0.0.1'], '10.0.0.2', { forwarded: 'for=203.0.113.9' }, 'forwarded'), '10.0.0.2 plain');
});

test('behind trusted proxies, the nearest address that is none of them counts', () => {
  const nets = ['10.0.0.0/8', 'fd00::/8'];
  const cases: [list: string, address: string][] = [
    ['198.51.100.7', '198.51.100.7'],
    ['203.0.113.9, 198.51.100.7', '198.51.100.7'],
    ['203.0.113.9, 198.51.100.7, 10.9.9.9, fd00::5', '198.51.100.7'],
    ['127.0.0.1, 198.51.100.7:4711', '198.51.100.7'],
    ['203.0.113.9,[2001:db8::1]:4711', '2001:db8::1'],
    ['203.0.113.9,2001:db8::1', '2001:db8::1'],
    ['203.0.113.9, ::ffff:198.51.100.7', '198.51.100.7'],
    // All of them are ours: the first one is where it began.
    ['10.1.1.1, 10.2.2.2', '10.1.1.1'],
    // Whoever is behind what cannot be read is not known: the proxy that says so stands for it.
    ['203.0.113.9, unknown, 10.2.2.2', '10.2.2.2'],
    ['203.0.113.9, <script>', '10.0.0.1'],
    ['', '10.0.0.1'],
  ];
  for (const [list, address] of cases) {
    assert.equal(senderOf(nets, '10.0.0.1', { 'x-forwarded-for': list }), `${address} plain`, list);
    assert.equal(senderOf(nets, '::ffff:10.0.0.1', { 'x-forwarded-for': list }), `${address} plain`, list);
  }
});

test('the protocol and the host are those of the address that counts', () => {
  const via = (headers: ForwardedHeaders) => senderOf(['10.0.0.0/8'], '10.0.0.1', headers);
  const lists = { 'x-forwarded-for': '203.0.113.9, 198.51.100.7, 10.0.0.2' };
  assert.equal(via({ ...lists, 'x-forwarded-proto': 'http, https, http' }), '198.51.100.7 tls');
  assert.equal(via({ ...lists, 'x-forwarded-proto': 'https, http, https' }), '198.51.100.7 plain');
  assert.equal(
    via({ ...lists, 'x-forwarded-proto': 'https', 'x-forwarded-host': 'a.example' }),
    '198.51.100.7 tls a.example',
  );
  assert.equal(via({ 'x-forwarded-proto': 'https', 'x-forwarded-host': 'a.example' }), '10.0.0.1 tls a.example');
});

test('a proxy on a unix socket is named as unix', () => {
  assert.equal(senderOf(['unix'], undefined, spoofed), '203.0.113.9 tls evil.example');
  assert.equal(senderOf(['unix'], '10.0.0.1', spoofed), '10.0.0.1 plain');
});

test('of the two kinds of headers only the one that the proxies set is read', () => {
  const nets = ['10.0.0.0/8'];
  const forwarded = 'for=203.0.113.9, for="[2001:db8::1]:4711";proto=HTTPS;host="a.example:8443" , For=10.0.0.2';
  const both = { ...spoofed, forwarded };
  assert.equal(senderOf(nets, '10.0.0.1', both, 'forwarded'), '2001:db8::1 tls a.example:8443');
  assert.equal(senderOf(nets, '10.0.0.1', both), '203.0.113.9 tls evil.example');
  for (const unread of ['for=_hidden', 'for="10.0.0', 'for=203.0.113.9 for=10.0.0.3', '"', '']) {
    assert.equal(senderOf(nets, '10.0.0.1', { forwarded: unread }, 'forwarded'), '10.0.0.1 plain', unread);
  }
  const long = `for=203.0.113.9${', for=10.0.0.2'.repeat(1000)}${' '.repeat(10_000)}`;
  assert.equal(senderOf(nets, '10.0.0.1', { forwarded: long }, 'forwarded'), '203.0.113.9 plain');
});

test('a text that names no network is refused', () => {
  for (const text of ['', 'proxy.example', '10.0.0.0/33', '10.0.0.0/', 'fd00::/129', '10.0.0.0/8/8', '10.0.0.0/-1']) {
    assert.throws(() => new TrustedProxies([text]), /is no address or network: write one as 10\.0\.0\.5/, text);
  }
});

test('spaces in `Forwarded` cost no more than other letters', () => {
  const via = (forwarded: string) => senderOf(['10.0.0.1'], '10.0.0.1', { forwarded }, 'forwarded');
  assert.equal(via('for=203.0.113.9 , for = 1'), '10.0.0.1 plain', 'no spaces around =');
  assert.equal(via(' for=203.0.113.9\t ; proto=https '), '203.0.113.9 tls');
  // A parser that tries each way to divide the spaces would need minutes.
  for (let at = 0; at < 500; at++) {
    assert.equal(via(`for=203.0.113.9,${' '.repeat(15_500)}"`), '10.0.0.1 plain');
  }
});
