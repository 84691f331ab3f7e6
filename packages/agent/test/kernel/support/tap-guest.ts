/**
 * A tap and its reader, which is not Mirrorplane: frames stay in the tap until they are asked
 * for.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { processFolder } from './folder.ts';
import { link, run } from './namespace.ts';

export class TapGuest {
  readonly name: string;
  readonly ifindex: number;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterableIterator<string>;

  private constructor(name: string, child: ChildProcess, lines: AsyncIterableIterator<string>) {
    this.name = name;
    this.ifindex = link(name).ifindex;
    this.#child = child;
    this.#lines = lines;
  }

  /** Makes the tap, without addresses of its own, so that nothing but copies comes there. */
  static async start(name: string): Promise<TapGuest> {
    run('ip', 'tuntap', 'add', name, 'mode', 'tap');
    return TapGuest.#open(name);
  }

  /** Opens a macvtap device that is there already, by its character device. */
  static openMacvtap(name: string): Promise<TapGuest> {
    const node = join(processFolder(), name);
    // The mount of /sys that is there shows another network namespace.
    const find = 'mount -t sysfs sysfs /sys && cat /sys/class/net/"$1"/macvtap/tap*/dev';
    const [major, minor] = run('unshare', '-m', 'sh', '-c', find, 'sh', name).trim().split(':') as [string, string];
    run('mknod', node, 'c', major, minor);
    return TapGuest.#open(name, node);
  }

  static async #open(name: string, ...node: string[]): Promise<TapGuest> {
    run('sysctl', '-qw', `net.ipv6.conf.${name}.disable_ipv6=1`);
    const script = join(import.meta.dirname, 'tap-guest.py');
    const child = spawn('/usr/bin/python3', [script, name, ...node], { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
    await lines.next();
    run('ip', 'link', 'set', name, 'up');
    return new TapGuest(name, child, lines);
  }

  /** Sends a frame as the guest. */
  send(frame: Buffer): void {
    this.#child.stdin!.write(`send ${frame.toString('hex')}\n`);
  }

  /** Takes so many frames out of the tap; waits for them. */
  async read(count: number): Promise<Buffer[]> {
    this.#child.stdin!.write(`${count}\n`);
    const frames: Buffer[] = [];
    while (frames.length < count) {
      const { value, done } = await this.#lines.next();
      if (done) {
        throw new Error(`the guest of ${this.name} ended`);
      }
      frames.push(Buffer.from(value, 'hex'));
    }
    return frames;
  }

  /** Ends the guest, and removes the tap with what is in it. */
  async remove(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const closed = once(this.#child, 'close');
      this.#child.kill();
      await closed;
    }
    run('sh', '-c', `ip link del ${this.name} 2>/dev/null || true`);
  }
}
