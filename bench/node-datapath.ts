/** The data plane of a node in the bench: the child process `apply.ts`. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { DatapathState, ProgramName } from '@mirrorplane/agent/testing';
import type { CounterReport } from '@mirrorplane/contract';
import type { Lab } from '@mirrorplane/lab';
import type { Applied, Ran, Reply, Request } from './apply.ts';
import type { ProgramAt } from './attached.ts';

/**
 * Nothing captured: the programs are loaded, and no device carries one of them but the helper
 * device.
 */
export const NOTHING: DatapathState = { captures: [], deliveries: [], terminations: [], mirrorDevice: 0 };

export class NodeDatapath {
  /** Folder of this data plane's pins. The lab also removes it, if the child dies. */
  readonly bpffs: string;
  readonly #lab: Lab;
  readonly #node: string;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(lab: Lab, node: string, child: ChildProcess, bpffs: string) {
    this.#lab = lab;
    this.#node = node;
    this.#child = child;
    this.bpffs = bpffs;
    this.#lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  }

  /**
   * Installs the data plane on a node.
   * @throws Error with the reason, for example that the object is not built.
   */
  static async open(lab: Lab, node: string): Promise<NodeDatapath> {
    const bpffs = lab.state.bpffs.find((folder) => folder.endsWith(`-${node}`));
    if (bpffs === undefined) {
      throw new Error(`the lab has no bpffs folder for ${node}`);
    }
    const argv = [process.execPath, join(import.meta.dirname, 'apply.ts'), bpffs];
    const child = lab.spawn(node, argv, { stdio: ['pipe', 'pipe', 'inherit'] });
    child.stdin!.on('error', () => undefined); // the missing answers show that the child has ended
    const datapath = new NodeDatapath(lab, node, child, bpffs);
    await datapath.#answer();
    return datapath;
  }

  /**
   * Applies a state.
   * @throws Error also if a capture was refused. Returns the time in milliseconds, and the result.
   */
  async apply(state: DatapathState): Promise<Applied> {
    const applied = (await this.#ask({ op: 'apply', state })) as Applied;
    const refused = applied.result.refused[0];
    if (refused) {
      throw new Error(`capture ${refused.id} was refused: ${refused.message}`);
    }
    return applied;
  }

  async counters(): Promise<CounterReport> {
    return (await this.#ask({ op: 'counters' })) as CounterReport;
  }

  /**
   * Runs a program on a packet of a device, `times` times. Returns nanoseconds of a run, see
   * `lowMean`.
   */
  async runTimes(program: ProgramName, ifindex: number, packet: Buffer, times: number): Promise<number> {
    const ran = (await this.#ask({ op: 'run', program, ifindex, packet: packet.toString('hex'), times })) as Ran;
    return ran.nanoseconds;
  }

  /**
   * Limits copies to the headroom of a device from now on.
   * @param rate speed in Mbit/s, if known
   */
  async protect(device: string, rate?: number): Promise<void> {
    const { stdout } = await this.#lab.exec(this.#node, ['ip', '-json', 'link', 'show', 'dev', device]);
    const { ifindex } = JSON.parse(stdout)[0];
    await this.#ask({ op: 'protect', device, ifindex, ...(rate !== undefined && { rate }) });
  }

  /** Ends `protect`. */
  async unprotect(): Promise<void> {
    await this.#ask({ op: 'unprotect' });
  }

  /**
   * Attaches programs of an object file, in front of those of the data plane, until `detach`.
   * @throws Error where the kernel refuses one
   */
  async attach(object: string, programs: readonly ProgramAt[]): Promise<void> {
    await this.#ask({ op: 'attach', object, programs });
  }

  /** Ends `attach`. */
  async detach(): Promise<void> {
    await this.#ask({ op: 'detach' });
  }

  /** Uninstalls, and waits until the child has ended. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
      return;
    }
    const ended = once(this.#child, 'exit');
    this.#child.stdin!.end();
    await ended;
  }

  async #ask(request: Request): Promise<unknown> {
    this.#child.stdin!.write(`${JSON.stringify(request)}\n`);
    return this.#answer();
  }

  async #answer(): Promise<unknown> {
    const { value, done } = await this.#lines.next();
    if (done) {
      throw new Error('the data plane process of the bench has ended');
    }
    const reply = JSON.parse(value as string) as Reply;
    if ('error' in reply) {
      throw new Error(reply.error);
    }
    return reply.ok;
  }
}
