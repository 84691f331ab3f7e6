/** Which device of the switch, and of the fabric between the nodes, leads where. */
import type { Lab } from '@mirrorplane/lab';
import { nicKey, TOPOLOGY } from './world.ts';

export const SWITCH = 'switch';
export const FABRIC = 'fabric';

/** Device numbers of ports, and what is plugged in there. */
export interface Ports {
  /** At the physical switch: NICs of edges. */
  switch: ReadonlyMap<number, string>;
  /** At the fabric: nodes, by their underlay device. */
  fabric: ReadonlyMap<number, string>;
}

/** Looks them up. They stay for the life of the lab. */
export async function portsOf(lab: Lab): Promise<Ports> {
  const numbered = async (host: string, names: [device: string, what: string][]) => {
    const { stdout } = await lab.exec(host, ['ip', '-json', 'link', 'show']);
    const links = JSON.parse(stdout) as { ifname: string; ifindex: number }[];
    const numbers = new Map(links.map(({ ifname, ifindex }) => [ifname, ifindex]));
    return new Map(names.map(([device, what]) => [numbers.get(device)!, what]));
  };
  return {
    switch: await numbered(
      'switch',
      TOPOLOGY.edges.map(({ node, device, switchPort }) => [switchPort, nicKey({ node, nic: device })]),
    ),
    fabric: await numbered(
      'fabric',
      TOPOLOGY.nodes.map(({ name }) => [`u-${name}`, name]),
    ),
  };
}
