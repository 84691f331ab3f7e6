/**
 * Makes the device of a guest in one step, and tells how long it took until programs were pinned for
 * it. It runs in the network namespace of a node, before ordinary processes.
 * usage: nsenter --net=NAMESPACE -- nice -n -20 node bench/appearing-device.ts LINKS_FOLDER BRIDGE TIMES
 * prints: one line of JSON: milliseconds, one for each time
 */
import { readdirSync, readFileSync } from 'node:fs';
import { attribute, NLM_F_CREATE, NLM_F_EXCL, RTM, RtSync, u32 } from '@mirrorplane/agent/testing';
import { APPEARING, APPEARING_ALIAS, PINS_OF_A_CAPTURE } from './measurements/agent.ts';

/** include/uapi/linux/if_link.h, include/uapi/linux/veth.h, include/uapi/linux/if.h */
const IFLA = { IFNAME: 3, MASTER: 10, LINKINFO: 18, IFALIAS: 20 } as const;
const IFLA_INFO = { KIND: 1, DATA: 2 } as const;
const VETH_INFO_PEER = 1;
const IFF_UP = 1;
/** Milliseconds between two looks at the folder. */
const STEP_MS = 0.25;
/** Milliseconds between the end of one device and the next one: between the two values. */
const PAUSE_MS = [50, 300] as const;
const LIMIT_MS = 20_000;

const [folder, bridge, times] = process.argv.slice(2) as [string, string, string];
const rtnl = new RtSync();
const nap = new Int32Array(new SharedArrayBuffer(4));
const sleep = (ms: number) => void Atomics.wait(nap, 0, 0, ms);

/** struct ifinfomsg. */
function header(ifindex: number, flags = 0): Buffer {
  return Buffer.concat([Buffer.alloc(4), u32(ifindex), u32(flags), u32(flags)]);
}

const named = (name: string) => attribute(IFLA.IFNAME, Buffer.from(`${name}\0`));
const numberOf = (device: string) => Number(readFileSync(`/proc/net/dev_snmp6/${device}`, 'utf8').match(/\d+/)![0]);
const pinsOf = (ifindex: number) => readdirSync(folder).filter((name) => name.includes(`-${ifindex}-capture`)).length;

function until(what: string, check: () => boolean): void {
  for (const start = performance.now(); !check(); sleep(STEP_MS)) {
    if (performance.now() - start > LIMIT_MS) {
      throw new Error(`${what}: not within ${LIMIT_MS} ms`);
    }
  }
}

/** As one call: an orchestrator that other processes delay between its steps would be measured too. */
function appear(master: number, ifindex: number): void {
  const peer = Buffer.concat([header(0), named(`${APPEARING}-g`)]);
  const info = [
    attribute(IFLA_INFO.KIND, Buffer.from('veth')),
    attribute(IFLA_INFO.DATA, attribute(VETH_INFO_PEER, peer)),
  ];
  const made = Buffer.concat([header(ifindex), named(APPEARING), attribute(IFLA.LINKINFO, Buffer.concat(info))]);
  const change = (flags: number, ...attributes: Buffer[]) => Buffer.concat([header(ifindex, flags), ...attributes]);
  const answers = rtnl.requests([
    { type: RTM.NEWLINK, payload: made, flags: NLM_F_CREATE | NLM_F_EXCL },
    { type: RTM.SETLINK, payload: change(0, attribute(IFLA.IFALIAS, Buffer.from(APPEARING_ALIAS))) },
    { type: RTM.SETLINK, payload: change(0, attribute(IFLA.MASTER, u32(master))) },
    { type: RTM.SETLINK, payload: change(IFF_UP) },
  ]);
  const refused = answers.find((answer) => answer instanceof Error);
  if (refused !== undefined) {
    throw refused;
  }
}

function vanish(ifindex: number): void {
  rtnl.request(RTM.DELLINK, header(ifindex));
  until('captures removed', () => pinsOf(ifindex) === 0);
}

const master = numberOf(bridge);
const took: number[] = [];
for (let i = 0; i < Number(times); i++) {
  const ifindex = 100_000 + i;
  appear(master, ifindex);
  const since = performance.now();
  until('captured', () => pinsOf(ifindex) >= PINS_OF_A_CAPTURE);
  took.push(performance.now() - since);
  vanish(ifindex);
  sleep(PAUSE_MS[0] + Math.random() * (PAUSE_MS[1] - PAUSE_MS[0]));
}
process.stdout.write(`${JSON.stringify(took)}\n`);
