/** What an agent does with all rights of root, and then never again. */
import { atMost } from '@mirrorplane/base';
import { type Capability, keepOnly } from '@mirrorplane/daemon';
import type { Logger } from '../log.ts';
import { reason } from '../log.ts';
import { mountBpffs } from './bpffs.ts';
import { hasCapability, readRights } from './rights.ts';

/** Milliseconds that lines of the log are waited for. Standard error may take none. */
const LOG_MS = 1000;

/**
 * Mounts the bpf file system, if it is missing and this process may do so, and lays down every
 * capability that is not in `keep`. This process may start again for that, so call it before
 * anything is opened.
 */
export async function layDownRights(bpffs: string, keep: readonly Capability[], log: Logger): Promise<void> {
  if (hasCapability(readRights(), 'CAP_SYS_ADMIN')) {
    try {
      mountBpffs(bpffs, log);
    } catch (error) {
      // The checks say what is wrong with the folder, and with everything else.
      log.debug({ err: error }, `no bpf file system was mounted: ${reason(error)}`);
    }
  }
  // Where this process starts again, what it has not written yet is gone.
  await atMost(new Promise<void>((done) => log.flush(() => done())), LOG_MS);
  await keepOnly(keep);
}
