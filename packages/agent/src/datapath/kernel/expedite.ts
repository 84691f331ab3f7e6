/**
 * Makes attaching fast. At every tcx attach, the kernel waits for an RCU grace period of 10 to 20
 * ms with the rtnl lock held (tcx_entry_sync in include/net/tcx.h). For 1024 sources this is half a
 * minute. An expedited grace period takes some 0.1 ms. The setting applies to the whole machine,
 * and costs every CPU an interrupt for each grace period. So it is on only while programs are being
 * attached.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const SETTING = '/sys/kernel/rcu_expedited';

/**
 * Turns the setting on and off again. Does nothing if it is already on, or must not be written, for
 * example in some containers.
 */
export class Expedite {
  /**
   * A folder of this name in bpffs says that Mirrorplane turned the setting on. The next agent
   * finds it after a kill.
   */
  readonly #mark: string;

  constructor(bpffs: string) {
    this.#mark = join(bpffs, 'expedited');
  }

  /** Turns the setting off if a killed agent has left it on. */
  recover(): void {
    if (!existsSync(this.#mark)) {
      return;
    }
    write('0');
    rmSync(this.#mark, { recursive: true, force: true });
  }

  /** Runs `work` with expedited grace periods. `work` must be synchronous. */
  during<T>(work: () => T): T {
    if (read() !== '0' || !this.#leaveMark()) {
      return work();
    }
    try {
      write('1');
      return work();
    } finally {
      // This does not depend on the mark, which others may have removed meanwhile.
      write('0');
      rmSync(this.#mark, { recursive: true, force: true });
    }
  }

  /**
   * False if no mark can be stored in bpffs, for example after an unmount. After a kill, no agent
   * would turn the setting off again.
   */
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
    // Read-only. Attaching is just slower.
  }
}
