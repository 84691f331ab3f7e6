/** What etcd itself says that was committed: its own client follows it, from a host of its own. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '@mirrorplane/base';
import type { Etcd } from './etcd.ts';
import { Host, type Network } from './hosts.ts';

/** A change of one key. */
export interface Commit {
  revision: number;
  /** Key of the store. */
  key: string;
  /** Undefined: it was deleted. */
  value: unknown;
}

/** Milliseconds before another one follows. */
const AGAIN_MS = 200;
const ROOT = '/mirrorplane/store/';

export class Observer {
  readonly commits: Commit[] = [];
  /** What it could not see. */
  failure: string | undefined;
  readonly #etcd: Etcd;
  readonly #host: Host;
  /** Up to this revision it has seen all that it follows, also where there was nothing to see. */
  #seen = 0;
  #child: ChildProcess;
  #ended = false;

  private constructor(etcd: Etcd, host: Host) {
    this.#etcd = etcd;
    this.#host = host;
    this.#child = this.#follow();
  }

  /** Follows from the first revision on. */
  static async start(network: Network, etcd: Etcd, folder: string): Promise<Observer> {
    return new Observer(etcd, await Host.start(network, 'observer', folder, '1m'));
  }

  /** Waits until it has seen all that was committed before. @returns the revision of etcd up to which that is so */
  async caughtUp(): Promise<number> {
    const text = await this.#host.run(
      ...this.#etcd.ctlCommand([
        'get',
        ROOT,
        '--prefix',
        '--keys-only',
        '--sort-by=MODIFY',
        '--order=DESCEND',
        '--limit=1',
        '--write-out=json',
      ]),
    );
    const { header, kvs = [] } = JSON.parse(text) as {
      header: { revision: number };
      kvs?: { mod_revision: number }[];
    };
    const newest = kvs[0]?.mod_revision ?? 0;
    const seen = () => (this.commits.at(-1)?.revision ?? 0) >= newest;
    await until(`etcd's own client has seen revision ${newest} (${this.failure ?? 'it runs'})`, seen, {
      limitMs: 30_000,
    });
    this.#seen = header.revision;
    return header.revision;
  }

  end(): void {
    this.#ended = true;
    this.#child.kill('SIGKILL');
    this.#host.end();
  }

  /** Etcd's own client ends when no member leads. Another one goes on behind what was seen. */
  #follow(): ChildProcess {
    const from = Math.max(this.commits.at(-1)?.revision ?? 0, this.#seen) + 1;
    const command = this.#etcd.ctlCommand(['watch', '--prefix', ROOT, `--rev=${from}`, '--write-out=json']);
    const child = this.#host.spawn(command, { stdio: ['ignore', 'pipe', 'ignore'] });
    createInterface({ input: child.stdout! }).on('line', (line) => this.#take(line));
    child.once('close', async () => {
      await sleep(AGAIN_MS);
      if (!this.#ended) {
        this.#child = this.#follow();
      }
    });
    return child;
  }

  #take(line: string): void {
    const { Events, CompactRevision } = JSON.parse(line) as WatchAnswer;
    if ((CompactRevision ?? 0) > 0) {
      this.failure = `revisions up to ${CompactRevision} are compacted, and were not seen`;
    }
    // Without events, it is a sign of life.
    for (const { type, kv } of Events ?? []) {
      const key = Buffer.from(kv.key, 'base64').toString().slice(ROOT.length);
      const value = type === DELETE ? undefined : JSON.parse(Buffer.from(kv.value!, 'base64').toString());
      this.commits.push({ revision: kv.mod_revision, key, value });
    }
  }
}

interface WatchAnswer {
  Events: WatchEvent[] | null;
  CompactRevision?: number;
}

interface WatchEvent {
  type?: number;
  kv: { key: string; value?: string; mod_revision: number };
}

/** Etcd's number for a deletion. */
const DELETE = 1;
