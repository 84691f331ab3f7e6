/** Floods of small packets with an exactly known number, and the counters of devices. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '@mirrorplane/base';
import type { Lab } from '@mirrorplane/lab';

/** Bytes of a frame of a flood: the smallest that Ethernet carries, without its check sequence. */
export const FLOOD_FRAME = 60;

function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += bytes.readUInt16BE(i);
  }
  while (sum > 0xffff) {
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return ~sum & 0xffff;
}

/** An unused address: the receiver drops packets for it, and sends no ICMP error. */
const NOBODY = [10, 0, 250, 250];

/**
 * A UDP datagram in the smallest frame, from one VM to the MAC of another. Without UDP checksum, as
 * IPv4 allows.
 */
export function floodFrame(lab: Lab, from: string, to: string): Buffer {
  const frame = Buffer.alloc(FLOOD_FRAME, 0x61);
  const mac = (host: string) => Buffer.from(lab.mac(host).replaceAll(':', ''), 'hex');
  const address = (host: string) => Buffer.from(lab.address(host).split('.').map(Number));
  mac(to).copy(frame, 0);
  mac(from).copy(frame, 6);
  frame.writeUInt16BE(0x0800, 12);
  const ip = Buffer.from([0x45, 0, 0, FLOOD_FRAME - 14, 0, 0, 0x40, 0, 64, 17, 0, 0, ...address(from), ...NOBODY]);
  ip.writeUInt16BE(checksum(ip), 10);
  ip.copy(frame, 14);
  Buffer.from([0x13, 0x88, 0x13, 0x89, 0, FLOOD_FRAME - 34, 0, 0]).copy(frame, 34);
  return frame;
}

/** Sends exactly `count` frames as fast as one CPU can, or at a rate in packets a second. */
export async function flood(lab: Lab, from: string, to: string, count: number, rate?: number): Promise<void> {
  const config = join(lab.runDir, `flood-${from}-${to}.cfg`);
  writeFileSync(config, `{ ${[...floodFrame(lab, from, to)].join(', ')} }\n`);
  const argv = ['trafgen', '--dev', 'eth0', '--conf', config, '--num', String(count), '--cpus', '1'];
  if (rate) {
    argv.push('--rate', `${rate}pps`);
  }
  await lab.exec(from, argv, { timeoutMs: 120_000 });
}

/** True where trafgen is installed. */
export async function hasTrafgen(lab: Lab): Promise<boolean> {
  return (await lab.exec('ctl', ['sh', '-c', 'command -v trafgen'], { check: false })).code === 0;
}

/** Packets that a device has received. */
export async function received(lab: Lab, host: string, device = 'eth0'): Promise<number> {
  const { stdout } = await lab.exec(host, ['ip', '-json', '-stats', 'link', 'show', 'dev', device]);
  return JSON.parse(stdout)[0].stats64.rx.packets;
}

/**
 * Waits until a device has received at least so many packets more than `before`, and returns how
 * many there are.
 */
export async function receivedEventually(lab: Lab, host: string, before: number, packets: number): Promise<number> {
  let now = 0;
  await until(
    `${packets} packets at ${host}`,
    async () => {
      now = (await received(lab, host)) - before;
      return now >= packets;
    },
    { limitMs: 30_000 },
  );
  return now;
}

/** Puts a token bucket in front of a device, runs `work`, and takes it away. */
export async function throttled<T>(lab: Lab, host: string, device: string, work: () => Promise<T>): Promise<T> {
  const tbf = ['tbf', 'rate', '2mbit', 'burst', '16kb', 'limit', '32kb'];
  await lab.exec(host, ['tc', 'qdisc', 'add', 'dev', device, 'root', ...tbf]);
  try {
    return await work();
  } finally {
    await lab.exec(host, ['tc', 'qdisc', 'del', 'dev', device, 'root'], { check: false });
  }
}

/** Packets that the token bucket in front of a device has dropped, once its queue is empty. */
export async function throttleDrops(lab: Lab, host: string, device: string): Promise<number> {
  let drops = 0;
  await until(
    `the queue of ${device} to empty`,
    async () => {
      const { stdout } = await lab.exec(host, ['tc', '-json', '-stats', 'qdisc', 'show', 'dev', device, 'root']);
      const [qdisc] = JSON.parse(stdout);
      drops = qdisc.drops;
      return qdisc.qlen === 0 && qdisc.backlog === 0;
    },
    { limitMs: 20_000 },
  );
  return drops;
}
