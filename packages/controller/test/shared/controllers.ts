/** Controllers of one etcd, each with a data directory of its own. */
import { copyFileSync, mkdtempSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { createLog } from '@mirrorplane/daemon';
import { type ControllerOptions, startController } from '../../src/index.ts';
import { Bench, temporaryFolder } from '../harness.ts';

/** Starts controllers in folders, and ends them before what was started earlier. */
export function useControllers(t: TestContext) {
  const running: Bench[] = [];
  t.after(() => Promise.all(running.map((bench) => bench.stop())));
  return async (data: string, options: Partial<ControllerOptions> = {}) => {
    const logger = createLog('controller', process.env.V ? 'debug' : 'silent');
    const on = { listen: ['127.0.0.1:0'], agentListen: '127.0.0.1:0' };
    const controller = await startController({ data, logger, ...on, ...options });
    const bench = Bench.at(data, controller);
    bench.controller = controller;
    running.push(bench);
    return bench;
  };
}

/** An empty data directory, or one that has only the key of another one. */
export function newData(t: TestContext, keyOf?: string): string {
  const data = mkdtempSync(path.join(temporaryFolder(t), 'data-'));
  if (keyOf !== undefined) {
    copyFileSync(path.join(keyOf, 'cluster.key'), path.join(data, 'cluster.key'));
  }
  return data;
}

/** A key that no controller has made. */
export function writeOtherKey(data: string): void {
  writeFileSync(path.join(data, 'cluster.key'), `${Buffer.alloc(32, 7).toString('base64')}\n`, { mode: 0o600 });
}
