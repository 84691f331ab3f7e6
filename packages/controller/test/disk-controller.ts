/** A controller in a program of a test on a disk that fills up. */
import type { TestContext } from 'node:test';
import { createLog } from '@mirrorplane/daemon';
import { startController } from '../src/index.ts';
import { Bench } from './harness.ts';

/** Starts it with a data directory. It is closed when the test ends, if it was not before. */
export async function startOnDisk(t: TestContext, data: string) {
  const controller = await startController({
    data,
    listen: ['127.0.0.1:0'],
    agentListen: '127.0.0.1:0',
    logger: createLog('controller', 'silent'),
  });
  t.after(() => controller.close());
  return { controller, bench: Bench.at(data, controller) };
}
