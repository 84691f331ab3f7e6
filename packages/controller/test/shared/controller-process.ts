/** Controllers as processes, which can be killed. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import { Bench } from '../harness.ts';

const MAIN = path.join(import.meta.dirname, '../../src/main.ts');

export interface ControllerProcess {
  /** Client of the controller. */
  bench: Bench;
  address: string;
  /** Ends it as a loss of its host does. */
  kill(): Promise<void>;
}

/** Starts a controller. Resolves when it serves. It is killed with the test. */
export async function startProcess(
  t: TestContext,
  data: string,
  endpoints: readonly string[],
): Promise<ControllerProcess> {
  const args = ['--data', data, '--listen', '127.0.0.1:0', '--agent-listen', '127.0.0.1:0', '--etcd', endpoints.join()];
  const child: ChildProcess = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr!.on('data', (chunk: Buffer) => {
    log += chunk;
  });
  const kill = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
  };
  t.after(kill);
  const started = await until(
    'the controller serves',
    () => {
      assert.equal(child.exitCode, null, log);
      return /^\{.*"controller started".*\}$/m.exec(log)?.[0];
    },
    { limitMs: 60_000, pauseMs: 20 },
  );
  const { addresses, agentPort } = JSON.parse(started) as { addresses: string[]; agentPort: number };
  return { bench: Bench.at(data, { addresses, agentPort }), address: addresses[0]!, kill };
}
