/**
 * The packet captures for the oracle: one tcpdump in every namespace of the lab, on all current and
 * future devices. A capture on all devices does not show VLAN tags in metadata, so the edges' ports
 * at the switch have separate captures.
 */
import { execFile } from 'node:child_process';
import { statSync } from 'node:fs';
import { promisify } from 'node:util';
import { until } from '@mirrorplane/base';
import type { Capture, Lab } from '@mirrorplane/lab';
import { END_HOSTS, SENDERS } from './flows.ts';
import { type Packet, PcapReader } from './pcap.ts';
import { type Ports, SWITCH } from './ports.ts';
import { nicKey, TOPOLOGY } from './world.ts';

/**
 * Bytes kept of a packet: all of it at the ends, where bytes are compared; enough for the numbers
 * elsewhere.
 */
const WHOLE = 2048;
const HEADERS = 192;
const BUFFER_KIB = 8192;
/**
 * Milliseconds without a new packet after which nothing is under way any more, and how long that
 * may take.
 */
const REST_MS = 300;
const REST_LIMIT_MS = 20_000;

interface Eye {
  host: string;
  capture: Capture;
  reader: PcapReader;
}

/** A packet and the host that saw it. */
export interface Seen extends Packet {
  host: string;
}

export class Captures {
  readonly #eyes: Eye[];

  private constructor(eyes: Eye[]) {
    this.#eyes = eyes;
  }

  /** Starts them; returns once all of them see everything. */
  static async start(lab: Lab, ports: Ports): Promise<Captures> {
    const hosts = lab.hosts().filter((host) => host !== 'ctl' && host !== SWITCH);
    const ends = new Set([...END_HOSTS, ...SENDERS]);
    const wanted: { host: string; device: string; number?: number }[] = hosts.map((host) => ({ host, device: 'any' }));
    for (const [number, nic] of ports.switch) {
      const edge = TOPOLOGY.edges.find(({ node, device }) => nic === nicKey({ node, nic: device }))!;
      wanted.push({ host: SWITCH, device: edge.switchPort, number });
    }
    const started = await Promise.allSettled(
      wanted.map(async ({ host, device, number }) => {
        const capture = await lab.capture(host, device, {
          ...(number !== undefined && { direction: 'in' as const }),
          snapLength: ends.has(host) ? WHOLE : HEADERS,
          bufferKiB: BUFFER_KIB,
          lines: false,
          flush: true,
          // The traffic between agents and controller.
          filter: 'not tcp port 7071',
        });
        return { host, capture, reader: new PcapReader(capture.file, number) };
      }),
    );
    const eyes = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const failed = started.find((one) => one.status === 'rejected');
    if (failed) {
      await Promise.all(eyes.map(({ capture }) => capture.abort()));
      throw failed.reason;
    }
    return new Captures(eyes);
  }

  /** Waits until nothing is under way. */
  async rest(): Promise<void> {
    let size = -1;
    let since = 0;
    await until(
      'the network to come to rest',
      () => {
        const now = this.#eyes.reduce((sum, { capture }) => sum + statSync(capture.file).size, 0);
        if (now !== size) {
          since = performance.now();
        }
        size = now;
        return performance.now() - since > REST_MS;
      },
      { limitMs: REST_LIMIT_MS },
    );
  }

  /**
   * Everything since the last call.
   * @throws Error where a tcpdump had no room for a packet: then nothing can be said.
   */
  async take(): Promise<Seen[]> {
    const seen = await Promise.all(
      this.#eyes.map(async ({ host, capture, reader }) => {
        const { dropped } = await capture.statistics();
        if (dropped > 0) {
          throw new Error(`the capture on ${host} lost ${dropped} packets`);
        }
        return reader.read().map((packet) => ({ ...packet, host }));
      }),
    );
    return seen.flat();
  }

  /** Gives the disk back what has been read. */
  async forget(): Promise<void> {
    const punch = promisify(execFile);
    for (const { capture, reader } of this.#eyes) {
      await punch('fallocate', ['--punch-hole', '--offset', '0', '--length', String(reader.offset), capture.file]);
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#eyes.map(({ capture }) => capture.abort()));
  }
}
