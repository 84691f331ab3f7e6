/** `mirrorplane console`. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Controller } from './controller.ts';

describe('console', () => {
  const controller = new Controller();
  before(() => controller.start());
  after(() => controller.close());

  it('prints an address with a ticket, and its end as JSON', async () => {
    const at = ['--at', 'https://mirror.example:8443/some/page'];
    const { code, stdout, stderr } = await controller.run(['console', ...at]);
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /^https:\/\/mirror\.example:8443\/#ticket=[\w-]{20,}\n$/);
    const { url, expiresAt } = JSON.parse((await controller.run(['console', ...at, '-o', 'json'])).stdout);
    assert.match(url, /#ticket=/);
    assert.ok(Math.abs(Date.parse(expiresAt) - Date.now() - 300_000) < 60_000);
  });

  it('says what to give where a browser cannot open the address of the controller', async () => {
    for (const args of [[], ['--at', 'mirror.example'], ['--at', 'ftp://mirror.example']]) {
      const { code, stdout, stderr } = await controller.run(['console', ...args]);
      assert.deepEqual([code, stdout], [2, '']);
      assert.match(stderr, /a browser cannot open .*: give --at https:\/\/HOST:PORT/);
    }
  });
});
