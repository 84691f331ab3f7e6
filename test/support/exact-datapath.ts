/**
 * The real data path in the network namespace of a node of a bare lab: a process there that takes
 * commands. Started as a program (`exact-datapath.ts FOLDER`) it is that process: a JSON value a
 * line, and an answer a line.
 */
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import type { ApplyResult, DatapathState } from '@mirrorplane/agent/testing';
import { createKernelDatapath } from '@mirrorplane/agent/testing';
import type { CounterReport } from '@mirrorplane/contract';
import type { Lab } from '@mirrorplane/lab';

type Command = { do: 'apply'; state: DatapathState } | { do: 'counters' } | { do: 'close' };

/** The data path of a node. */
export interface NodeDatapath {
  apply(state: Partial<DatapathState>): Promise<ApplyResult>;
  counters(): Promise<CounterReport>;
  /** Removes all that it has made. */
  close(): Promise<void>;
}

/** Starts the data path of a node. */
export async function startDatapath(lab: Lab, node: string): Promise<NodeDatapath> {
  const folder = `/sys/fs/bpf/mirrorplane-${lab.name}-${node}`;
  const child = lab.spawn(node, [process.execPath, import.meta.filename, folder], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const answer = async () => {
    const { value, done } = await lines.next();
    assert.ok(!done, `the data path of ${node} has ended`);
    const { error, result } = JSON.parse(value as string);
    if (error) {
      throw new Error(error);
    }
    return result;
  };
  const ask = (command: Command) => {
    child.stdin!.write(`${JSON.stringify(command)}\n`);
    return answer();
  };
  await answer();
  return {
    apply: (state) => {
      const all = { captures: [], deliveries: [], terminations: [], mirrorDevice: 0, ...state };
      return ask({ do: 'apply', state: all }) as Promise<ApplyResult>;
    },
    counters: () => ask({ do: 'counters' }) as Promise<CounterReport>,
    close: async () => {
      // The removal of the lab has already ended it.
      if (child.exitCode !== null || child.signalCode !== null) {
        return;
      }
      await ask({ do: 'close' });
      child.stdin!.end();
    },
  };
}

/** Number and MAC of a device. */
export async function deviceOf(lab: Lab, host: string, device: string): Promise<{ ifindex: number; mac: string }> {
  const { stdout } = await lab.exec(host, ['ip', '-json', 'link', 'show', 'dev', device]);
  const [{ ifindex, address }] = JSON.parse(stdout);
  return { ifindex, mac: address };
}

async function serve(folder: string): Promise<void> {
  const datapath = createKernelDatapath({ bpffs: folder });
  const say = (answer: object) => process.stdout.write(`${JSON.stringify(answer)}\n`);
  const run = (command: Command): unknown => {
    if (command.do === 'apply') {
      return datapath.apply(command.state);
    }
    if (command.do === 'counters') {
      return datapath.counters();
    }
    return datapath.uninstall();
  };
  try {
    await datapath.open();
    say({ result: 'open' });
  } catch (error) {
    return void say({ error: (error as Error).message });
  }
  try {
    for await (const line of createInterface({ input: process.stdin })) {
      try {
        say({ result: (await run(JSON.parse(line))) ?? null });
      } catch (error) {
        say({ error: (error as Error).stack });
      }
    }
  } finally {
    await datapath.uninstall();
  }
}

if (process.argv[1] === import.meta.filename) {
  await serve(process.argv[2]!);
}
