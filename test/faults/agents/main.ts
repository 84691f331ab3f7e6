/**
 * Agents without a kernel, as a process of its own: their client of the controller, and what they
 * keep of programs and leaders, are the real ones. Each says which leader has named itself and which
 * program it has accepted. It ends when its parent does.
 * usage: main.ts DATA CONTROLLER,… NODE=TOKEN…
 */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CurrentProgram,
  enroll,
  KnownControllers,
  loadCredentials,
  ProgramFile,
  ProgramLink,
  type StoredCredentials,
  SyncClient,
} from '@mirrorplane/agent/testing';
import { type AgentMessage, type Device, type NodeProgram, SYNC_PROTOCOL } from '@mirrorplane/contract';
import { createLog } from '@mirrorplane/daemon';
import { interfacesByNode } from '../resources.ts';
import { type AgentReport, policyText } from './report.ts';

/** Milliseconds before a node that could not join tries again. */
const JOIN_AGAIN_MS = 300;

const [data, list, ...nodes] = process.argv.slice(2) as [string, string, ...string[]];
const log = createLog('agent', 'warn');
const tell = (report: AgentReport) => process.stdout.write(`${JSON.stringify(report)}\n`);

/** Enrols, at whichever controller answers. */
async function join(node: string, token: string, folder: string): Promise<StoredCredentials> {
  for (let number = 0; ; number++) {
    const all = list.split(',');
    const controller = all[number % all.length]!;
    try {
      return (await loadCredentials(folder, node)) ?? (await enroll({ node, controller, token, data: folder }));
    } catch (error) {
      log.warn({ err: error }, 'cannot join');
      await sleep(JOIN_AGAIN_MS);
    }
  }
}

/** All devices of a node: one for each interface that is to be there. */
function devicesOf(node: string): Device[] {
  return interfacesByNode()[node]!.map((id, index) => ({
    name: `tap${index + 1}`,
    ifindex: index + 10,
    mac: `02:00:00:00:00:${(index + 10).toString(16).padStart(2, '0')}`,
    mtu: 1500,
    up: true,
    linkType: 'tun',
    identity: { kind: 'vm', id, name: id, provider: 'alias' },
  }));
}

function programReport(node: string, { revision, captures }: NodeProgram): AgentReport {
  const byPolicy = Map.groupBy(captures, ({ policy }) => policy);
  const texts = [...byPolicy].map(([uid, all]) => {
    const [{ percent, direction }] = all as [(typeof all)[number]];
    const isOne = all.every((one) => one.percent === percent && one.direction === direction);
    const sources = all.map(({ source }) => source);
    return [uid, isOne ? policyText(percent, direction, sources) : `a mixture: ${JSON.stringify(all)}`] as const;
  });
  return { node, kind: 'program', revision, policies: Object.fromEntries(texts) };
}

async function run(node: string, token: string, index: number): Promise<void> {
  const folder = path.join(data, node);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const credentials = await join(node, token, folder);
  const controllers = await KnownControllers.load({
    given: list.split(','),
    file: path.join(folder, 'controllers.json'),
    log,
  });
  tell({ node, kind: 'started', term: controllers.term });
  // What a leader says is told as it comes, whether the agent believes it or not.
  const learn = controllers.learn.bind(controllers);
  controllers.learn = (message) => {
    tell({ node, kind: 'leader', term: message.term });
    return learn(message);
  };
  const changed = () => sync.send(status());
  const program = new CurrentProgram({
    node,
    programs: new ProgramFile(path.join(folder, 'program.json')),
    log,
    changed,
  });
  await program.load();
  const programs = new ProgramLink({ program, log });
  const underlay = { device: 'eth0', address: `10.78.0.${index + 1}`, mtu: 1600, proves: true } as const;
  const applied = () => program.inForce?.revision ?? 0;
  const status = (): AgentMessage => ({ type: 'status', appliedRevision: applied(), captures: [], problems: [] });
  const greeting = (): AgentMessage[] => [
    {
      type: 'hello',
      protocol: SYNC_PROTOCOL,
      node,
      agentVersion: '0.1.0',
      kernel: '6.1.0',
      underlay,
      term: controllers.term,
      appliedRevision: applied(),
      ...programs.greeting(),
    },
    { type: 'inventory', underlay, devices: devicesOf(node) },
    status(),
  ];
  const sync = new SyncClient({ controller: controllers, credentials, greeting, log });
  const took = () => {
    if (program.newest) {
      tell(programReport(node, program.newest));
    }
  };
  sync.on('connected', () => tell({ node, kind: 'connected' }));
  sync.on('program', (whole) => {
    programs.take(whole);
    took();
  });
  sync.on('programDifference', (difference) => {
    const before = program.newest;
    programs.takeDifference(difference);
    if (program.newest !== before) {
      took();
    }
  });
  sync.on('partsWanted', () => programs.tellParts());
  programs.connect(sync);
  sync.start();
}

await Promise.all(
  nodes.map((text, index) => {
    const [node, token] = text.split(/=(.*)/s) as [string, string];
    return run(node, token, index);
  }),
);
