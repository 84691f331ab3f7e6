/** Checks whether the kernel accepts the BPF programs of this build. */
import type { Datapath } from '../datapath/datapath.ts';
import { reason } from '../log.ts';
import { type Check, failed, ok } from './check.ts';

/**
 * Loads the programs that an agent would load. A later `open` of the data path uses them. Changes
 * nothing on the node.
 */
export async function tryDatapath(make: () => Promise<Pick<Datapath, 'prepare'>>): Promise<Check> {
  const begun = performance.now();
  try {
    const { installed } = await (await make()).prepare();
    if (installed) {
      return ok('data-path', 'this build is installed, and its programs are loaded');
    }
    return ok('data-path', `all programs load (in ${((performance.now() - begun) / 1000).toFixed(1)} s)`);
  } catch (error) {
    const [found = '', ...lines] = reason(error).split('\n');
    const refused = error instanceof Error && 'errno' in error;
    const remedy = refused
      ? 'boot a tested kernel (the README lists them), and report these lines'
      : 'run "make build", or install the package again';
    return { ...failed('data-path', found, remedy), lines };
  }
}
