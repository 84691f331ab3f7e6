/**
 * Runs the discovery in the network namespace it is started in, and prints what it finds as JSON
 * lines. `links`: devices on every change. `hops DEVICE FILE ADDRESS…`: underlay and next hops on
 * every change; SIGTERM ends it as an agent would end, `release FILE` takes neighbour entries back.
 * `identities FILE OPTION=VALUE…`: devices with their identities on every change, as an agent with
 * these options of `createProviders` has them; what is not named is off.
 */

import { createLog } from '@mirrorplane/daemon';
import { identify } from '../src/discovery/devices.ts';
import { Identities } from '../src/discovery/identities.ts';
import { IdentityRecord } from '../src/discovery/identity-record.ts';
import { NetlinkLinkSource } from '../src/discovery/links.ts';
import { NeighbourRecord } from '../src/discovery/neighbour-record.ts';
import { NextHops, releaseAll } from '../src/discovery/neighbours.ts';
import { createProviders } from '../src/discovery/providers.ts';
import { findUnderlay, globalAddresses } from '../src/discovery/underlay.ts';
import { RtClient } from '../src/netlink/rt-client.ts';

const [mode, ...args] = process.argv.slice(2);
const log = createLog('agent', process.env.V ? 'debug' : 'silent');
const print = (value: object) => process.stdout.write(`${JSON.stringify(value)}\n`);

async function links(receiveBuffer: number | undefined, block: number): Promise<void> {
  const source = new NetlinkLinkSource({ log, ...(receiveBuffer !== undefined && { receiveBuffer }) });
  await source.open();
  const show = () => print({ links: source.links() });
  source.on('change', show);
  show();
  process.stdin.on('data', () => {
    // Deaf for a while, so that events overrun the receive buffer.
    print({ deaf: true });
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, block);
  });
}

async function hops(device: string, file: string, addresses: string[]): Promise<void> {
  const client = new RtClient();
  const source = new NetlinkLinkSource({ log });
  await source.open();
  const nextHops = new NextHops({ client, record: await NeighbourRecord.load(file), log });
  const follow = async () => {
    const found = await findUnderlay(
      (ifindex) => globalAddresses(client, ifindex),
      { device, address: undefined },
      source.links(),
    );
    print({ underlay: found });
    if (found.underlay === undefined) {
      return nextHops.want(undefined, []);
    }
    await nextHops.want({ device, ifindex: found.ifindex, address: found.underlay.address }, addresses, addresses);
  };
  nextHops.on('change', () => print({ hops: Object.fromEntries(nextHops.current()), lost: [...nextHops.noWayBack()] }));
  source.on('change', () => void follow());
  source.on('network', () => void follow().then(() => nextHops.refresh()));
  source.on('neighbour', (event) => nextHops.touched(event.ifindex, event.address));
  await follow();
}

async function identities(file: string, options: string[]): Promise<void> {
  const source = new NetlinkLinkSource({ log });
  await source.open();
  const off = { libvirt: 'off', openVswitch: 'off', proxmox: 'off', incus: 'off', containers: 'off' };
  const given = Object.fromEntries(options.map((option) => option.split(/=(.*)/s, 2)));
  const providers = createProviders({ ...off, ...given, node: 'node-1', log });
  const all = new Identities({ providers, record: await IdentityRecord.load(file, log) });
  let printed = '';
  const show = () => {
    const { devices, problems } = identify(source.links(), [], new Map(), (link) => all.of(link));
    const value = { devices, problems: [...problems, ...all.problems()] };
    // What the wrong moment shows must be seen too: nothing is left out but repetition.
    if (printed === JSON.stringify(value)) {
      return;
    }
    printed = JSON.stringify(value);
    print({ at: performance.timeOrigin + performance.now(), ...value });
  };
  source.on('change', () => {
    all.look(source.links());
    show();
  });
  all.on('change', show);
  all.open(source.links());
  show();
  process.on('SIGTERM', () => void all.close().then(() => process.exit(0)));
}

if (mode === 'identities') {
  await identities(args[0]!, args.slice(1));
} else if (mode === 'links') {
  await links(args[0] ? Number(args[0]) : undefined, Number(args[1] ?? 0));
} else if (mode === 'hops') {
  await hops(args[0]!, args[1]!, args.slice(2));
} else if (mode === 'release') {
  const client = new RtClient();
  await releaseAll(client, await NeighbourRecord.load(args[0]!));
  client.close();
}
// Keeps the process until it is told to end: netlink sockets do not.
if (mode !== 'release') {
  setInterval(() => undefined, 60_000);
}
