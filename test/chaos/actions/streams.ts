/**
 * A file goes from one VM to another over TCP, in super-packets of segmentation offload where the
 * kernel makes them.
 */
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { PYTHON } from '../../support/traffic.ts';
import { TOPOLOGY } from '../world.ts';
import type { Action } from './action.ts';

const TRANSFER = join(import.meta.dirname, '../../support/transfer.py');
const PORT = '7000';
/** Mbit/s. */
const RATE = '60';

export const stream: Action<{ from: string; to: string; bytes: number }> = {
  name: 'tcp-stream',
  weight: 2,
  choose(_, random) {
    const [from, to] = random.some(
      TOPOLOGY.vms.map(({ name }) => name),
      2,
    );
    return { from: from!, to: to!, bytes: 200_000 + random.int(3_000_000) };
  },
  change: () => undefined,
  async run({ lab, violation }, { from, to, bytes }) {
    const content = randomBytes(bytes);
    const file = join(lab.runDir, 'stream');
    writeFileSync(file, content);
    const receiver = lab.spawn(to, [PYTHON, TRANSFER, 'receive', lab.address(to), PORT], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      const lines = createInterface({ input: receiver.stdout! })[Symbol.asyncIterator]();
      await lines.next();
      await lab.exec(from, [PYTHON, TRANSFER, 'send', lab.address(to), PORT, file, RATE]);
      const { value } = await lines.next();
      if (value !== createHash('sha256').update(content).digest('hex')) {
        violation(`a TCP stream of ${bytes} bytes from ${from} to ${to} came as something else`);
      }
    } finally {
      receiver.kill('SIGKILL');
    }
  },
};
