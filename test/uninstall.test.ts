/** The node is left as it was found. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { useLab } from './support/lab.ts';
import { activeEventually, createPolicy } from './support/policy.ts';
import { PYTHON, ping } from './support/traffic.ts';

const lab = useLab({ bare: true });
const NODE = 'node-1';
const TCX = join(import.meta.dirname, 'support', 'tcx.py');

interface Link {
  ifname: string;
  [field: string]: unknown;
}

interface Neighbour {
  dev: string;
  dst: string;
  lladdr?: string;
  state: string[];
  [field: string]: unknown;
}

/** All that the kernel of a node says of itself, without what changes by itself. */
async function picture(node: string) {
  const ip = async (...args: string[]) => JSON.parse((await lab().exec(node, ['ip', '-json', ...args])).stdout || '[]');
  const links: Link[] = await ip('-details', 'link', 'show');
  const neighbours: Neighbour[] = await ip('neigh', 'show');
  const text = async (...argv: string[]) => (await lab().exec(node, argv)).stdout.trim().split('\n').sort();
  const folder = lab().state.bpffs.find((path) => path.endsWith(`-${node}`))!;
  return {
    links: links.map(withoutTimers),
    addresses: (await ip('address', 'show')).map(({ ifname, addr_info }: Link) => ({ ifname, addr_info })),
    routes: await ip('route', 'show', 'table', 'all'),
    rules: await ip('rule', 'show'),
    // The kernel resolves by itself whom the node talks to, and forgets it again; entries that somebody made stay.
    neighbours: neighbours.filter((entry) => !isCache(entry)),
    qdiscs: await text('tc', 'qdisc', 'show'),
    ingress: await Promise.all(links.map(({ ifname }) => text('tc', 'filter', 'show', 'dev', ifname, 'ingress'))),
    egress: await Promise.all(links.map(({ ifname }) => text('tc', 'filter', 'show', 'dev', ifname, 'egress'))),
    // `tc` does not show these.
    tcx: JSON.parse((await lab().exec(node, [PYTHON, TCX])).stdout) as Record<
      string,
      { ingress: number; egress: number }
    >,
    ruleset: await text('nft', 'list', 'ruleset').catch(() => 'no nft on this machine'),
    bpffs: existsSync(folder) ? readdirSync(folder) : 'absent',
    data: existsSync(join(lab().runDir, 'agents', node)) ? 'there' : 'absent',
  };
}

/** Bridges tell how long until their timers run out; the promiscuity that tcpdump asks for ends with it. */
function withoutTimers({ linkinfo, ...link }: Link): Link {
  const text = JSON.stringify(linkinfo ?? {}, (key, value) => (key.endsWith('_timer') ? undefined : value));
  return { ...link, linkinfo: JSON.parse(text) };
}

/** An entry that the kernel made for itself: it is neither permanent nor kept by anyone. */
function isCache({ state, ...entry }: Neighbour): boolean {
  const kept = ['extern_learn', 'managed', 'offload', 'proxy', 'router'].some((flag) => flag in entry);
  return !kept && !state.some((word) => word === 'PERMANENT' || word === 'NOARP');
}

test('an agent that ran policies and is uninstalled leaves its node as it found it', async () => {
  const before = await picture(NODE);
  await lab().startController();
  await lab().declare();
  for (const node of ['node-1', 'node-2']) await lab().startAgent(node);
  const policies = [
    { name: 'out', sources: ['web-1/0'], destination: 'ids-1/0' },
    { name: 'in', sources: ['db-1/0'], destination: 'web-2/0' },
    { name: 'edge', sources: ['fw-1/0'], destination: 'edge-1', vlanId: 100 },
  ];
  for (const policy of policies) await createPolicy(lab(), policy);
  for (const { name } of policies) await activeEventually(lab(), name);
  for (const from of ['web-1', 'db-1', 'fw-1']) await ping(lab(), from, 'web-2', 5);

  const during = await picture(NODE);
  const added = during.links.map(({ ifname }) => ifname).filter((name) => !before.links.some((l) => l.ifname === name));
  assert.deepEqual(added.sort(), ['mirror0', 'mirror1']);
  assert.notEqual(during.bpffs, 'absent');
  // On ingress also `arrive`, for unicast towards the mirrored guests of the same bridge: on each of its ports.
  assert.deepEqual(during.tcx['tap-web-1'], { ingress: 2, egress: 1 });
  assert.deepEqual(during.tcx['tap-web-2'], { ingress: 1, egress: 0 }, 'what no source receives is not captured');
  assert.deepEqual(during.tcx.mgmt0, { ingress: 0, egress: 0 }, 'nothing hangs on a device without a part in it');

  await lab().stopAgent(NODE);
  assert.notEqual((await picture(NODE)).bpffs, 'absent', 'a stopped agent leaves the data plane working');
  await lab().uninstallAgent(NODE);
  assert.deepEqual(await picture(NODE), before);
});

test('a second uninstall finds nothing to do', async () => {
  const before = await picture(NODE);
  await lab().uninstallAgent(NODE);
  assert.deepEqual(await picture(NODE), before);
});

test('the traffic of the node passes as before', async () => {
  await ping(lab(), 'web-1', 'app-1', 20);
});
