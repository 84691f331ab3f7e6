/** The agent of a node is uninstalled, and nothing of it may stay. */
import { existsSync } from 'node:fs';
import type { Lab } from '@mirrorplane/lab';
import { bpffsOf, hooksOf } from './tcx.ts';

const OURS = ['mirror0', 'mirror1', 'mirror2'];

interface Link {
  ifname: string;
  ifalias?: string;
  mtu: number;
  master?: string;
  address: string;
  qdisc: string;
  flags: string[];
}

/**
 * The kernel's state of a node, without parts of Mirrorplane and parts that change on their own.
 */
async function picture(lab: Lab, node: string) {
  const ip = async (...args: string[]) => JSON.parse((await lab.exec(node, ['ip', '-json', ...args])).stdout || '[]');
  const foreign = (line: string) => !OURS.some((name) => line.includes(`dev ${name} `));
  const text = async (...argv: string[]) =>
    (await lab.exec(node, argv)).stdout
      .split('\n')
      .map((line) => line.trim())
      .filter(foreign)
      .sort();
  const links: Link[] = await ip('link', 'show');
  return {
    links: links
      .filter(({ ifname }) => !OURS.includes(ifname))
      .map(({ ifname, ifalias, mtu, master, address, qdisc, flags }) =>
        JSON.stringify({ ifname, ifalias, mtu, master, address, qdisc, flags }),
      )
      .sort(),
    addresses: await text('ip', '-o', 'address', 'show'),
    routes: await text('ip', 'route', 'show', 'table', 'all'),
    qdiscs: await text('tc', 'qdisc', 'show'),
    // Entries that the kernel makes for itself come and go.
    neighbours: (await text('ip', 'neigh', 'show')).filter((line) => /PERMANENT|NOARP|extern_learn|managed/.test(line)),
  };
}

/**
 * Stops and uninstalls the agent of a node. Returns what is left of it, or was taken along with it.
 */
export async function uninstallProblems(lab: Lab, node: string): Promise<string[]> {
  const before = await picture(lab, node);
  await lab.stopAgent(node);
  await lab.uninstallAgent(node);
  const after = await picture(lab, node);
  const problems: string[] = [];
  for (const [what, list] of Object.entries(after) as [keyof typeof after, string[]][]) {
    const gone = before[what].filter((line) => !list.includes(line));
    const fresh = list.filter((line) => !before[what].includes(line));
    if (gone.length > 0) {
      problems.push(`${node}: ${what} lost: ${gone.join('; ')}`);
    }
    if (fresh.length > 0) {
      problems.push(`${node}: ${what} new: ${fresh.join('; ')}`);
    }
  }
  for (const [device, { ingress, egress }] of Object.entries(await hooksOf(lab, node))) {
    if (OURS.includes(device)) {
      problems.push(`${node}: ${device} is still there`);
    }
    const programs = ingress.length + egress.length;
    if (programs > 0) {
      problems.push(`${node}: ${programs} programs still hang on ${device}`);
    }
  }
  if (existsSync(bpffsOf(lab, node))) {
    problems.push(`${node}: ${bpffsOf(lab, node)} is still there`);
  }
  return problems;
}
