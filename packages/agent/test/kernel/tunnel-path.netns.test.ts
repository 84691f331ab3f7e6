/**
 * The path of encrypted copies, on kernels without WireGuard too: TUN devices, which have no Ethernet
 * headers either, with nothing encrypted between them.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { tunnelMtu } from '@mirrorplane/contract';
import { link, run, segmentInSoftware } from './support/namespace.ts';
import { type End, testTunnels } from './support/tunnel-tests.ts';
import { useWorld } from './support/world.ts';

const UNDERLAY_MTU = 1660;
const SHUTTLE = fileURLToPath(new URL('support/shuttle.py', import.meta.url));
const world = await useWorld({ underlayMtu: UNDERLAY_MTU });
const addresses = { ta: '240.1.2.3', tb: '247.255.255.254', tc: '241.0.0.1' };
const shuttle = spawn('/usr/bin/python3', [SHUTTLE, ...Object.entries(addresses).map((pair) => pair.join('='))], {
  stdio: ['ignore', 'pipe', 'inherit'],
});
after(() => shuttle.kill('SIGKILL'));
await once(shuttle.stdout, 'data');

const [sender, receiver, next] = Object.entries(addresses).map(([name, address]): End => {
  run('ip', 'link', 'set', name, 'mtu', String(tunnelMtu(UNDERLAY_MTU)), 'up');
  return { ifindex: link(name).ifindex, address };
}) as [End, End, End];
segmentInSoftware('dst', 'far', 'vm');

const tunnels = {
  ...{ sender, receiver, next, wire: 'tb', mtu: UNDERLAY_MTU },
  assertWire: () => assert.equal(shuttle.exitCode, null),
};
testTunnels(world, () => tunnels, false);
