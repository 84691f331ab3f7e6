/**
 * Attaching quickly. The kernel waits for an RCU grace period at every tcx attach, 10 to 20 ms each, with the rtnl lock
 * held (tcx_entry_sync in include/net/tcx.h): half a minute for 1024 sources. With expedited grace periods it is some 0.1 ms. The
 * setting is that of the whole machine and costs every CPU an interrupt a grace period, so it is on only while programs are
 * being attached.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const SETTING = '/sys/kernel/rcu_expedited';

/** Turns the setting on and back. Does nothing where it is on already or may not be written, as in some containers. */
export class Expedite {
  /** A folder of this name in bpffs says that the setting is ours: an agent that was killed meanwhile finds it. */
  readonly #mark: string;

  constructor(bpffs: string) {
    this.#mark = join(bpffs, 'expedited');
  }

  /** Turns off what a killed agent has left on. */
  recover(): void {
    if (!existsSync(this.#mark)) {
      return;
    }
    write('0');
    rmSync(this.#mark, { recursive: true, force: true });
  }

  /** Runs `work`, which must not wait, with expedited grace periods. */
  during<T>(work: () => T): T {
    if (read() !== '0' || !this.#leaveMark()) {
      return work();
    }
    try {
      write('1');
      return work();
    } finally {
      // Not by way of the mark, which may have been removed meanwhile.
      write('0');
      rmSync(this.#mark, { recursive: true, force: true });
    }
  }

  /** False where nothing can be kept in bpffs, for example after an unmount: nobody would turn the setting off again. */
  #leaveMark(): boolean {
    try {
      mkdirSync(this.#mark, { recursive: true });
      return true;
    } catch {
      return false;
    }
  }
}

function read(): string | undefined {
  try {
    return readFileSync(SETTING, 'utf8').trim();
  } catch {
    return undefined;
  }
}

function write(value: string): void {
  try {
    writeFileSync(SETTING, value);
  } catch {
    // Read-only: attaching takes its time, that is all.
  }
}
