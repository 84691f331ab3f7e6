/** The probes of a node: their rows in the maps of the data plane, and their frames. */
import type { ProbeCounts } from '@mirrorplane/contract';
import { sendFrames } from '../../netlink/packet-socket.ts';
import type { ProbeEntry } from '../datapath.ts';
import type { Installation } from './install.ts';
import { decodeProbeCounts, HOOK, LAYOUT, sumPerCpu } from './layout.ts';
import { possibleCpus } from './libbpf.ts';
import { frameLength, probeFrame } from './probe-frames.ts';

const KEY_SIZE = LAYOUT.probe_key.size;
const COUNTS_SIZE = LAYOUT.probe_counts.size;

/** Writes and reads the maps `probes` and `probe_counts`. */
export class Probes {
  readonly #maps: Pick<Installation['maps'], 'probes' | 'probe_counts'>;
  readonly #cpus = possibleCpus();

  constructor(maps: Pick<Installation['maps'], 'probes' | 'probe_counts'>) {
    this.#maps = maps;
  }

  /** See `Datapath.expectProbes`. */
  expect(names: readonly string[]): void {
    const { probes, probe_counts } = this.#maps;
    const wanted = new Set(names);
    for (const map of [probes, probe_counts]) {
      for (const key of map.keys(KEY_SIZE)) {
        if (!wanted.has(key.toString('hex'))) {
          map.remove(key);
        }
      }
    }
    for (const name of names) {
      if (!this.#counts(name)) {
        probe_counts.update(Buffer.from(name, 'hex'), Buffer.alloc(COUNTS_SIZE * this.#cpus));
      }
    }
  }

  /** See `Datapath.makeProbe`. @param helper ifindex of the helper device */
  make(probe: ProbeEntry, helper: number): void {
    const { fields, size } = LAYOUT.probe;
    const row = Buffer.alloc(size);
    row.writeUInt32LE(probe.ifindex, fields.ifindex);
    row.writeUInt32LE(HOOK[probe.hook], fields.hook);
    row.writeUInt32LE(frameLength(probe), fields.length);
    this.#maps.probes.update(Buffer.from(probe.name, 'hex'), row);
    sendFrames(helper, [probeFrame(probe)], { virtioHeader: true, taken: true });
  }

  /** See `Datapath.readProbes`. */
  read(): Map<string, ProbeCounts> {
    const names = this.#maps.probe_counts.keys(KEY_SIZE).map((key) => key.toString('hex'));
    return new Map(
      names.flatMap((name) => {
        const counts = this.#counts(name);
        return counts ? [[name, counts] as const] : [];
      }),
    );
  }

  #counts(name: string): ProbeCounts | undefined {
    const values = Buffer.alloc(COUNTS_SIZE * this.#cpus);
    const isThere = this.#maps.probe_counts.lookup(Buffer.from(name, 'hex'), values);
    return isThere ? decodeProbeCounts(sumPerCpu(values, COUNTS_SIZE)) : undefined;
  }
}
