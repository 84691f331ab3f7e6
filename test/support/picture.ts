/** All that the kernel of a node says of itself, without what changes by itself. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from '@mirrorplane/lab';
import { bpffsOf, tcxPrograms } from './interfering.ts';

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

/** Settings that change by themselves, or with what others on this machine do. */
const RESTLESS = /conntrack|\.(random|route\.gc|tcp_(mem|fastopen_key)|udp_mem)|^net\.core\.(rps|flow)|rmem|wmem/;

/** Reads everything that can be compared. Two pictures of an unchanged node are equal. */
export async function picture(lab: Lab, node: string) {
  const ip = async (...args: string[]) => JSON.parse((await lab.exec(node, ['ip', '-json', ...args])).stdout || '[]');
  const text = async (...argv: string[]) => (await lab.exec(node, argv)).stdout.trim().split('\n').sort();
  const links: Link[] = await ip('-details', 'link', 'show');
  const neighbours: Neighbour[] = await ip('neigh', 'show');
  const fdb: { state?: string }[] = JSON.parse((await lab.exec(node, ['bridge', '-json', 'fdb', 'show'])).stdout);
  // One shell for all devices: there are many, and starting a program takes longer than what it
  // does.
  const each = (command: string) =>
    text(
      'sh',
      '-c',
      `for dev in "$@"; do ${command} | sed "s/^/$dev /"; done`,
      'sh',
      ...links.map(({ ifname }) => ifname),
    );
  const folder = bpffsOf(lab, node);
  const sysctls = await text('sysctl', '-a', '--pattern', '^net\\.');
  return {
    links: links.map(withoutTimers),
    addresses: (await ip('address', 'show')).map(({ ifname, addr_info }: Link) => ({ ifname, addr_info })),
    routes: await ip('route', 'show', 'table', 'all'),
    rules: await ip('rule', 'show'),
    // Cached neighbours are left out, because the kernel resolves and forgets them. Entries that
    // someone made are compared.
    neighbours: neighbours.filter((entry) => !isCache(entry)).map(withoutState),
    // Likewise what a bridge has learned.
    fdb: fdb.filter(({ state }) => state !== undefined && state !== ''),
    qdiscs: await text('tc', 'qdisc', 'show'),
    ingress: await each('tc filter show dev $dev ingress'),
    egress: await each('tc filter show dev $dev egress'),
    // `tc` does not show these.
    tcx: await tcxPrograms(lab, node),
    features: await each('ethtool -k $dev'),
    ruleset: await text('nft', 'list', 'ruleset').catch(() => 'no nft on this machine'),
    sysctls: sysctls.filter((line) => !RESTLESS.test(line)),
    bpfStats: await text('sysctl', 'kernel.bpf_stats_enabled'),
    bpffs: existsSync(folder) ? readdirSync(folder) : 'absent',
    data: existsSync(join(lab.runDir, 'agents', node)) ? 'there' : 'absent',
  };
}

/** Bridges report the remaining time of their timers. The promiscuity of tcpdump ends with it. */
function withoutTimers({ linkinfo, ...link }: Link): Link {
  const text = JSON.stringify(linkinfo ?? {}, (key, value) => (key.endsWith('_timer') ? undefined : value));
  return { ...link, linkinfo: JSON.parse(text) };
}

/** An entry that the kernel made for itself: it is neither permanent nor kept by anyone. */
function isCache({ state, ...entry }: Neighbour): boolean {
  const kept = ['extern_learn', 'managed', 'offload', 'proxy', 'router'].some((flag) => flag in entry);
  return !kept && !state.some((word) => word === 'PERMANENT' || word === 'NOARP');
}

/** The current state of a managed entry depends on the answers of neighbours. */
function withoutState({ state, lladdr, ...entry }: Neighbour): unknown {
  return 'managed' in entry ? entry : { ...entry, lladdr, state };
}
