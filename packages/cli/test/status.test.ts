/** `mirrorplane status`. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Controller } from './controller.ts';

describe('the state of the cluster', () => {
  const controller = new Controller();
  before(() => controller.start());
  after(() => controller.close());

  it('is shown in one view, with an exit code where there is a problem', async () => {
    const empty = await controller.run(['status', '--exit-code']);
    assert.equal(empty.code, 0, empty.stderr);
    assert.match(empty.stdout, /^controller: +\S+, version 0\.1\.0, started .*, leads$/m);
    assert.match(empty.stdout, /^store: +a file on that host, revision \d+$/m);
    assert.match(empty.stdout, /^problems: +0$/m);
    for (const text of ['domain create blue', 'pool create rack-1 --domain blue', 'node create node-1 --pool rack-1']) {
      assert.equal((await controller.run(text.split(' '))).code, 0);
    }
    const { code, stdout } = await controller.run(['status', '--exit-code']);
    assert.equal(code, 10);
    assert.match(stdout, /^nodes: +1: 1 disconnected$/m);
    assert.match(stdout, /^node +node-1 +NODE_DISCONNECTED +its agent is not connected$/m);
    const json = await controller.json<{ nodes: { total: number } }>('status');
    assert.equal(json.nodes.total, 1);
  });
});
