/** Ids of the parts of a node program: what is made can be taken apart, and nothing else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  captureId,
  captureOfHook,
  earlierDeliveryId,
  edgeDeliveryId,
  erspanDeliveryId,
  hookCaptureId,
  localDeliveryId,
  parseDeliveryId,
  policyOfId,
  terminationId,
} from '@mirrorplane/contract';
import fc from 'fast-check';

const UID = 'b3f0c5a6-0000-4000-8000-000000000001';

test('one direction of a capture leads back to the capture, also for an interface with slashes', () => {
  for (const source of ['web-1/0', 'web-1', 'pod/default/web/eth0', 'to/node-1', 'edge']) {
    const capture = captureId(UID, source);
    for (const direction of ['inbound', 'outbound'] as const) {
      assert.equal(captureOfHook(hookCaptureId(capture, direction)), capture);
    }
    assert.equal(policyOfId(capture), UID);
  }
});

test('two interfaces with ids of the same beginning have different captures', () => {
  assert.notEqual(captureOfHook(hookCaptureId(captureId(UID, 'web-1/0'), 'inbound')), captureId(UID, 'web-1'));
});

test('the id of a delivery says its policy, its kind and, for ERSPAN, the node', () => {
  assert.deepEqual(parseDeliveryId(localDeliveryId(UID)), { policy: UID, kind: 'local' });
  assert.deepEqual(parseDeliveryId(edgeDeliveryId(UID)), { policy: UID, kind: 'edge' });
  assert.deepEqual(parseDeliveryId(erspanDeliveryId(UID, 'edge')), { policy: UID, kind: 'erspan', node: 'edge' });
});

test('a former delivery is of the kind that it was', () => {
  assert.deepEqual(parseDeliveryId(earlierDeliveryId(edgeDeliveryId(UID))), { policy: UID, kind: 'edge' });
  assert.notEqual(earlierDeliveryId(edgeDeliveryId(UID)), edgeDeliveryId(UID));
});

test('text that is not the id of a delivery is not taken apart', () => {
  for (const id of ['', UID, `${UID}/`, `${UID}/to/`, `${UID}/to/a/b`, `${UID}/from/node-1`, '/edge', `${UID}/edge/`]) {
    assert.equal(parseDeliveryId(id), undefined, id);
  }
  assert.equal(policyOfId(terminationId(UID, 'node-1')), UID);
  assert.equal(policyOfId('no-slash'), undefined);
});

test('the id of a delivery is read as a pattern would read it', () => {
  const word = fc.constantFrom('', '/', 'to', 'local', 'edge', 'before', 'node-1', UID, ' ', '\n');
  let known = 0;
  fc.assert(
    fc.property(fc.array(word, { maxLength: 7 }), fc.boolean(), (words, isJoined) => {
      const id = words.join(isJoined ? '/' : '');
      const [, policy, kind, node] = /^([^/]+)\/(?:(local|edge)(?:\/before){0,8}|to\/([^/]+))$/.exec(id) ?? [];
      const parts = node === undefined ? { policy, kind } : { policy, kind: 'erspan', node };
      assert.deepEqual(parseDeliveryId(id), policy === undefined ? undefined : parts);
      known += policy === undefined ? 0 : 1;
    }),
    { numRuns: 20_000 },
  );
  assert.ok(known > 100, `${known} ids`);
});
