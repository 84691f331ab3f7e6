/** What arrives at a device, as tcpdump writes it; and what tshark reads in it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '@mirrorplane/base';
import { processFolder } from './folder.ts';
import { run } from './namespace.ts';

export class Sniffer {
  readonly #folder: string;
  readonly #child: ChildProcess;
  readonly #device: string;

  private constructor(device: string, folder: string, child: ChildProcess) {
    this.#device = device;
    this.#folder = folder;
    this.#child = child;
  }

  /**
   * Captures what `device` receives. Returns once tcpdump listens.
   * @param options `pid`: a process in the network namespace of the device. `longest`: bytes of a
   *   frame; the buffer holds 16 MiB divided by it, so where many frames come at once it has to be
   *   small.
   */
  static async start(device: string, options: { pid?: number; longest?: number } = {}): Promise<Sniffer> {
    const { pid = process.pid, longest = 70_000 } = options;
    const folder = processFolder();
    const args = [
      '-Z',
      'root',
      '-i',
      device,
      '-Q',
      'in',
      '-U',
      '--immediate-mode',
      '-s',
      String(longest),
      '-B',
      '16384',
    ];
    const child = spawn('nsenter', ['-t', String(pid), '-n', 'tcpdump', ...args, '-w', join(folder, 'pcap')], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let stderr = '';
    child.stderr!.on('data', (chunk: Buffer) => {
      stderr += chunk;
    });
    await until(`tcpdump on ${device}: ${stderr}`, () => {
      if (child.exitCode !== null) {
        throw new Error(`tcpdump on ${device} ended: ${stderr}`);
      }
      return stderr.includes('listening on');
    });
    return new Sniffer(device, folder, child);
  }

  /** Path of the capture file. */
  get file(): string {
    return join(this.#folder, 'pcap');
  }

  /** Frames so far. VLAN tags stand where they were on the wire. */
  frames(): Buffer[] {
    return existsSync(this.file) ? parsePcap(this.file) : [];
  }

  /**
   * Waits for `count` frames, and returns all there are then: more where there are too many.
   * @param limitMs milliseconds. Default 10,000
   */
  async expect(count: number, limitMs = 10_000): Promise<Buffer[]> {
    const enough = () => {
      const frames = this.frames();
      return frames.length >= count ? frames : undefined;
    };
    try {
      return await until(`${count} frames at ${this.#device}`, enough, { limitMs });
    } catch (error) {
      throw new Error(`${(error as Error).message}, there are ${this.frames().length}`);
    }
  }

  /**
   * Rows of fields as tshark decodes them, `first`: of the outermost layer that has them. Call
   * after expect().
   * @param options tshark's own, as `-o ip.check_checksum:TRUE`.
   */
  decode(fields: string[], occurrence: 'first' | 'last' = 'first', options: string[] = []): string[][] {
    const args = ['-r', this.file, '-T', 'fields', '-E', `occurrence=${occurrence[0]}`, ...options];
    const text = run('tshark', ...args, ...fields.flatMap((field) => ['-e', field]));
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split('\t'));
  }

  close(): void {
    this.#child.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/**
 * Frames of the pcap file at a path, of this machine's byte order; a record that is not written in
 * full yet is left out.
 */
export function parsePcap(path: string): Buffer[] {
  const file = readFileSync(path);
  const frames: Buffer[] = [];
  let offset = 24;
  while (offset + 16 <= file.length) {
    const length = file.readUInt32LE(offset + 8);
    if (length !== file.readUInt32LE(offset + 12)) {
      throw new Error('tcpdump cut a frame');
    }
    if (offset + 16 + length > file.length) {
      break;
    }
    frames.push(file.subarray(offset + 16, offset + 16 + length));
    offset += 16 + length;
  }
  return frames;
}

/** Starts sniffers on several devices, runs `body`, and stops them in every case. */
export async function sniffing<const D extends readonly string[]>(
  devices: D,
  body: (sniffers: { [K in keyof D]: Sniffer }) => Promise<void>,
): Promise<void> {
  const started = await Promise.allSettled(devices.map((device) => Sniffer.start(device)));
  const sniffers = started.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  try {
    for (const result of started) {
      if (result.status === 'rejected') {
        throw result.reason;
      }
    }
    await body(sniffers as unknown as { [K in keyof D]: Sniffer });
  } finally {
    for (const sniffer of sniffers) {
      sniffer.close();
    }
  }
}
