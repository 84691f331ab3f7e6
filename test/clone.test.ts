/**
 * Two hosts have a guest of one id, as after a test of a backup: who has it keeps it, and both are
 * named.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { identityAlias } from '@mirrorplane/lab';
import { useLab } from './support/lab.ts';
import { activeEventually, statusEventually, withPolicy } from './support/policy.ts';
import { watch } from './support/taps.ts';
import { ping } from './support/traffic.ts';

const lab = useLab();
const PINGS = 40;
/** One frame, of an EtherType for experiments (RFC 5342, appendix B.2). */
const SEND = [
  'import socket, sys',
  's = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)',
  's.bind((sys.argv[1], 0))',
  "s.send(b'\\xff' * 6 + bytes([2, 0, 0, 0, 0, 99]) + b'\\x88\\xb5' + bytes(46))",
].join('\n');
const ip = (...args: string[]) => lab().exec('node-1', ['ip', ...args]);

test('a clone of a destination that speaks up gets no copy, and the policy names both nodes', async () => {
  const taps = {
    original: { host: 'ids-1', filter: 'icmp', direction: 'in' },
    clone: { host: 'node-1', device: 'clone0', filter: 'icmp', direction: 'in' },
  } as const;
  await withPolicy(lab(), { name: 'cloned', sources: ['web-1/0'], destination: 'ids-1/0' }, async () => {
    await ip('link', 'add', 'tap-clone', 'type', 'veth', 'peer', 'name', 'clone0');
    try {
      await ip('link', 'set', 'tap-clone', 'alias', identityAlias(lab().vm('ids-1')));
      await ip('link', 'set', 'tap-clone', 'master', 'br0', 'up');
      await ip('link', 'set', 'clone0', 'up');
      await lab().exec('node-1', ['python3', '-c', SEND, 'clone0']);
      const told = statusEventually(lab(), 'cloned', 'both nodes named', ({ reasons }) =>
        reasons.some(
          ({ code, message }) =>
            code === 'INTERFACE_DUPLICATE' && /"node-2" has it .*"node-1" also claims it/.test(message),
        ),
      );
      const seen = await watch(lab(), taps, async (captures) => {
        await ping(lab(), 'web-1', 'db-1', PINGS);
        await told;
        await ping(lab(), 'web-1', 'db-1', PINGS);
        await captures.original.waitFor(4 * PINGS);
      });
      assert.deepEqual([seen.original.packets, seen.clone.packets], [4 * PINGS, 0]);
    } finally {
      await ip('link', 'delete', 'tap-clone');
    }
    await activeEventually(lab(), 'cloned');
  });
});
