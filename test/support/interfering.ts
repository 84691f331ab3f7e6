/** Interfering with a node as others do, under numbered traffic, and looking at what is theirs. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import type { Event } from '@mirrorplane/contract';
import type { Lab } from '@mirrorplane/lab';
import { type FlowGap, Numbered, repairLimit, shown } from './numbered.ts';
import { activeEventually, createPolicy } from './policy.ts';
import { PYTHON, python } from './traffic.ts';

const TCX = join(import.meta.dirname, 'tcx.py');

/**
 * Flows of sources on node-1 that are copied in ERSPAN to another node, to a device of the same
 * node, and out of an edge with a tag. For a lab with `vmsPerNode: 1`.
 */
export const FLOWS = {
  remoteOut: { from: 'web-1', to: 'app-1', port: 7001, copies: 'ids-1' },
  remoteIn: { from: 'app-1', to: 'web-1', port: 7002, copies: 'ids-1' },
  localOut: { from: 'web-2', to: 'app-1', port: 7003, copies: 'vm-1-1' },
  localIn: { from: 'app-1', to: 'web-2', port: 7004, copies: 'vm-1-1' },
  edgeOut: { from: 'fw-1', to: 'app-1', port: 7005, copies: 'mon-sw' },
  edgeIn: { from: 'app-1', to: 'fw-1', port: 7006, copies: 'mon-sw' },
};

/** Creates the policies `remote`, `local` and `edge`, and starts their flows. */
export async function startFlows(lab: Lab): Promise<Numbered> {
  const policies = [
    { name: 'remote', sources: ['web-1/0'], destination: 'ids-1/0' },
    { name: 'local', sources: ['web-2/0'], destination: 'vm-1-1/0' },
    { name: 'edge', sources: ['fw-1/0'], destination: 'edge-1', vlanId: 100 },
  ];
  for (const policy of policies) {
    await createPolicy(lab, policy);
  }
  for (const { name } of policies) {
    await activeEventually(lab, name);
  }
  const traffic = new Numbered(lab, FLOWS);
  await traffic.start();
  return traffic;
}

/** The folder that a node's agent pins in. */
export function bpffsOf(lab: Lab, node: string): string {
  return lab.state.bpffs.find((path) => path.endsWith(`-${node}`))!;
}

/**
 * Every pinned link of a node: its name, and the number that the kernel gave the link. A new link
 * has a new one.
 */
export async function pinnedLinkIds(lab: Lab, node: string): Promise<Record<string, number>> {
  const folder = join(bpffsOf(lab, node), 'links');
  const names = readdirSync(folder).sort();
  const ids = await python<number[]>(
    'link_ids.py',
    names.map((name) => join(folder, name)),
  );
  return Object.fromEntries(names.map((name, i) => [name, ids[i]!]));
}

/** Paths of the pinned links of a node, of programs with this end of their name. */
export function pinnedLinks(lab: Lab, node: string, suffix = ''): string[] {
  const folder = join(bpffsOf(lab, node), 'links');
  return readdirSync(folder)
    .filter((name) => name.endsWith(suffix))
    .map((name) => join(folder, name));
}

/** A device of a node, as `ip` shows it. */
export interface IpLink {
  ifname: string;
  ifindex: number;
  address: string;
  mtu: number;
  flags: string[];
  ifalias?: string;
}

/** A device of a host by its name; undefined where there is none. */
export async function ipLink(lab: Lab, host: string, name: string): Promise<IpLink | undefined> {
  const { stdout } = await lab.exec(host, ['ip', '-json', 'link', 'show', 'dev', name], { check: false });
  return stdout.trim() === '' ? undefined : JSON.parse(stdout)[0];
}

/** Runs `ip` with these words in a host. */
export async function ip(lab: Lab, host: string, ...words: string[]): Promise<string> {
  return (await lab.exec(host, ['ip', ...words])).stdout;
}

/** Numbers of the programs at the tcx hooks of all devices of a node, in their order. */
export async function tcxPrograms(
  lab: Lab,
  node: string,
): Promise<Record<string, { ingress: number[]; egress: number[] }>> {
  return JSON.parse((await lab.exec(node, [PYTHON, TCX, 'ids'])).stdout);
}

/** The same without the order: which of two programs of ours comes first changes nothing. */
export async function tcxProgramSets(lab: Lab, node: string): Promise<Record<string, number[][]>> {
  const sets = Object.entries(await tcxPrograms(lab, node)).map(([device, { ingress, egress }]) => {
    return [device, [ingress, egress].map((ids) => ids.toSorted((a, b) => a - b))] as const;
  });
  return Object.fromEntries(sets);
}

/**
 * Qdiscs, filters and firewall rules of a node. None of them is ours, because `tc` shows no tcx.
 */
export async function foreignState(lab: Lab, node: string): Promise<string> {
  const script = `tc qdisc show
    for dev in $(ls /proc/sys/net/ipv4/conf | grep -v -e all -e default -e mirror); do
      for hook in ingress egress; do echo "$dev $hook"; tc filter show dev $dev $hook; done
    done
    nft list ruleset`;
  const { stdout } = await lab.exec(node, ['sh', '-c', script]);
  return stdout.replaceAll(/^qdisc .* dev mirror[01] .*\n/gm, '');
}

/** Id of the newest event. */
export async function newestEvent(lab: Lab): Promise<number> {
  return (await lab.api('GET', '/api/v1/events?limit=1')).body.last;
}

/** Events of repairs on a node after this id. */
export async function repairsAfter(lab: Lab, node: string, id: number): Promise<Event[]> {
  const { body } = await lab.api('GET', `/api/v1/events?after=${id}&kind=repaired&object=node/${node}`);
  return body.items;
}

/** Waits until a repair is reported in these words. */
export async function toldOf(lab: Lab, node: string, after: number, words: RegExp): Promise<void> {
  let told: Event[] = [];
  await until(`an event that says ${words}`, async () => {
    told = await repairsAfter(lab, node, after);
    return told.some(({ message }) => words.test(message));
  }).catch((error: unknown) => {
    throw new Error(`${(error as Error).message}; told was ${JSON.stringify(told.map(({ message }) => message))}`);
  });
  const event = told.find(({ message }) => words.test(message))!;
  assert.ok((event.count ?? 0) >= 1, 'it is counted');
  assert.deepEqual(event.cause, { kind: 'agent', name: node });
}

/**
 * Interferes, and waits until it is repaired and every flow continues. Asserts that no copy was
 * duplicated, that flows which it does not concern missed nothing, and that those which it concerns
 * were copied again within the limit.
 * @param options.hit names of the flows that may miss copies; default none
 * @param options.names flows to look at; default all
 * @param options.told words of the event that has to tell of the repair
 */
export async function interfere(
  t: TestContext,
  traffic: Numbered,
  act: () => unknown,
  options: {
    hit?: readonly string[];
    names?: readonly string[];
    repaired?: () => boolean | Promise<boolean>;
    told?: { lab: Lab; node: string; words: RegExp };
  } = {},
): Promise<Record<string, FlowGap>> {
  const { told } = options;
  const newest = told && (await newestEvent(told.lab));
  const gaps = await traffic.during(act, options);
  t.diagnostic(shown(gaps));
  const limit = repairLimit();
  for (const [name, { missing, duplicated, gapMs }] of Object.entries(gaps)) {
    assert.equal(duplicated, 0, `${name} duplicated: ${shown(gaps)}`);
    if (options.hit?.includes(name)) {
      assert.ok(gapMs < limit, `${name} within ${limit} ms: ${shown(gaps)}`);
    } else {
      assert.equal(missing, 0, `${name} is not concerned: ${shown(gaps)}`);
    }
  }
  if (told) {
    await toldOf(told.lab, told.node, newest!, told.words);
  }
  return gaps;
}
