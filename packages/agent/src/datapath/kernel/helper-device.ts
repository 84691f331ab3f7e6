/** The helper veth pair of a node: copies that have to be changed pass the egress of `mirror0`. */
import { execFile } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';

const run = promisify(execFile);

export const HELPER = 'mirror0';
const PEER = 'mirror1';
/** Their names until they are complete. Whoever is killed while making them leaves these, and the next one removes them. */
const PART = { helper: 'mirror0-part', peer: 'mirror1-part' } as const;
/** Written into the alias: a device of this name without it is not ours, and is left alone. */
const ALIAS = 'mirrorplane:helper';

interface Link {
  ifindex: number;
  ifname: string;
  ifalias?: string;
  flags: string[];
}

async function find(name: string = HELPER): Promise<Link | undefined> {
  const { stdout } = await run('ip', ['-json', 'link', 'show']);
  return (JSON.parse(stdout) as Link[]).find((link) => link.ifname === name);
}

/** Makes the pair where it is not there yet. Returns the ifindex of `mirror0`. @throws Error where another owns the name. */
export async function ensureHelper(): Promise<number> {
  const existing = await find();
  if (existing?.ifalias === ALIAS) {
    if (!existing.flags.includes('UP')) await up();
    return existing.ifindex;
  }
  if (existing) throw new Error(`a device ${HELPER} exists that Mirrorplane did not make; rename or delete it`);
  await removePart();
  // No ARP and no IPv6: the pair carries copies alone, and the host must not talk into it.
  await run('ip', ['link', 'add', PART.helper, 'arp', 'off', 'type', 'veth', 'peer', 'name', PART.peer]);
  await run('ip', ['link', 'set', PART.peer, 'arp', 'off']);
  for (const device of Object.values(PART)) {
    const sysctl = `/proc/sys/net/ipv6/conf/${device}/disable_ipv6`;
    if (existsSync(sysctl)) writeFileSync(sysctl, '1'); // absent on a kernel without IPv6
    await run('ip', ['link', 'set', device, 'alias', ALIAS]);
  }
  await run('ip', ['link', 'set', PART.peer, 'name', PEER]);
  await run('ip', ['link', 'set', PART.helper, 'name', HELPER]);
  await up();
  return (await find())!.ifindex;
}

async function up(): Promise<void> {
  await run('ip', ['link', 'set', PEER, 'up']);
  await run('ip', ['link', 'set', HELPER, 'up']);
}

async function removePart(): Promise<void> {
  if (await find(PART.helper)) await run('ip', ['link', 'del', PART.helper]);
}

/** Removes the pair, if it is ours. */
export async function removeHelper(): Promise<void> {
  await removePart();
  if ((await find())?.ifalias === ALIAS) await run('ip', ['link', 'del', HELPER]);
}
