/** Inspects a node: features of its kernel, contents of its data plane. */
import type { TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import type { Lab } from '@mirrorplane/lab';
import { python } from './traffic.ts';

/** Milliseconds that an agent has to follow a change of its node. */
const FOLLOW_MS = 10_000;

/** Runs a shell script on a host; any failing command throws. */
export async function sh(lab: Lab, host: string, script: string): Promise<string> {
  return (await lab.exec(host, ['sh', '-eu'], { input: script })).stdout;
}

/**
 * Runs a script that needs a feature of the kernel or a tool. If it fails, the test is skipped with
 * its output as the reason, and false is returned.
 */
export async function tryFeature(
  t: TestContext,
  lab: Lab,
  host: string,
  what: string,
  script: string,
): Promise<boolean> {
  const { code, stdout, stderr } = await lab.exec(host, ['sh', '-eu'], { input: script, check: false });
  if (code === 0) {
    return true;
  }
  if (/syntax error/i.test(stderr)) {
    throw new Error(`${what}: ${stderr}`);
  }
  t.skip(`no ${what} here: ${(stderr || stdout).trim().split('\n').slice(-3).join(' | ')}`);
  return false;
}

/** ifindex of a device of a host. */
export async function ifindexOf(lab: Lab, host: string, device: string): Promise<number> {
  // Not from /sys: that is the one of the namespace that the tests run in.
  const { stdout } = await lab.exec(host, ['ip', '-j', 'link', 'show', 'dev', device]);
  return JSON.parse(stdout)[0].ifindex;
}

/** A pinned hash map of a node's data plane, hex to hex. */
export function mapOf(lab: Lab, node: string, name: string, keySize: number, valueSize: number) {
  const pin = `/sys/fs/bpf/mirrorplane-${lab.name}-${node}/maps/${name}`;
  return python<Record<string, string>>('exact-map.py', [pin, String(keySize), String(valueSize)]);
}

const u32Hex = (n: number) => {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(n);
  return buffer.toString('hex');
};

/**
 * Waits until unicast of a bridge to a MAC address is captured where it arrives, for a device;
 * null: is not.
 */
export async function arrivalEventually(
  lab: Lab,
  node: string,
  bridge: string,
  mac: string,
  device: string | null,
): Promise<void> {
  const key = `${u32Hex(await ifindexOf(lab, node, bridge))}${mac.replaceAll(':', '').toLowerCase()}0000`;
  const value = device === null ? undefined : u32Hex(await ifindexOf(lab, node, device));
  await until(
    `arrival of ${mac} on ${bridge} of ${node}: ${device}`,
    async () => {
      return (await mapOf(lab, node, 'arrivals', 12, 4))[key] === value;
    },
    { limitMs: FOLLOW_MS },
  );
}

/**
 * Waits until a node's data plane holds, or does not hold, an address for its own. As hex of 16
 * bytes.
 */
export async function hostAddressEventually(lab: Lab, node: string, address: string, held: boolean): Promise<void> {
  await until(
    `${node} ${held ? 'knows' : 'has forgotten'} ${address}`,
    async () => {
      return address in (await mapOf(lab, node, 'host_addresses', 16, 4)) === held;
    },
    { limitMs: FOLLOW_MS },
  );
}
