/** Runs a hostile agent: connections with a valid certificate, and messages that are changed. */
import { setImmediate } from 'node:timers/promises';
import { until } from '@mirrorplane/base';
import { type Random, seeded } from '../chaos/random.ts';
import { AgentConnection, type Credentials } from './agent.ts';
import { KINDS, messageOf, oddMessage } from './messages.ts';
import type { Api } from './openapi.ts';
import type { RunOptions } from './run.ts';
import type { Target } from './target.ts';

/** Messages of one connection at most. */
const MESSAGES = 30;
/** Bytes that may wait in our socket. The controller takes the messages of a busy node later. */
const MAX_WAITING = 4 << 20;
/** Where agents connect. A path that the controller does not know is refused. */
const PATHS = ['/sync', '/sync', '/sync', '/looks'];
/** Codes of the WebSocket protocol, and those of docs/security.md and of `CLOSE` in the controller. */
const CODES = [1000, 1002, 1006, 1007, 1008, 1009, 4000, 4001, 4002, 4003, 4005, 4006];
/** What the controller shows of nodes. Each has to be as documented. */
const SHOWN = ['nodes', 'nodes/node-2', 'interfaces', 'policies/status', 'events?limit=1000', 'audit'];

export interface AgentTally {
  /** Messages of each kind, or frames that are none. */
  kinds: Map<string, number>;
  /** Close codes. */
  codes: Map<number, number>;
  failures: string[];
}

/** HTTP status for a node that has to wait after bad messages. */
const HAS_TO_WAIT = 429;

/** Sends messages until it is enough. A node that has to wait after bad ones joins again. */
export async function fuzzAgents(
  target: Target,
  api: Api,
  join: () => Promise<Credentials>,
  { seed, from = 0, goesOn }: RunOptions,
): Promise<AgentTally> {
  const tally: AgentTally = { kinds: new Map(), codes: new Map(), failures: [] };
  let credentials = await join();
  for (let index = from; goesOn(index) && target.isRunning && tally.failures.length === 0; index += MESSAGES) {
    const random = seeded(Math.imul(seed, 0x85ebca6b) + index);
    const connection = await AgentConnection.open(target.agentPort, random.pick(PATHS), credentials);
    if (connection.refused === HAS_TO_WAIT) {
      credentials = await join();
    }
    await talk(connection, api, random, tally);
    const problem = problemOfClose(connection) ?? (await problemOfAnswers(target, api));
    connection.end();
    count(tally.codes, connection.closed?.code ?? connection.refused ?? 0);
    if (problem !== undefined) {
      tally.failures.push(`${problem}\n  again: make fuzz ONLY=agents SEED=${seed} CASE=${index}`);
    }
  }
  if (!target.isRunning) {
    tally.failures.push(`the controller has ended: ${target.errors.slice(-5).join('\n')}`);
  }
  return tally;
}

/** One connection: a hello, and messages until the other end has enough. */
async function talk(connection: AgentConnection, api: Api, random: Random, tally: AgentTally): Promise<void> {
  if (random.chance(0.9)) {
    connection.send(JSON.stringify(messageOf('hello', api, random)));
  }
  for (let sent = 0; sent < MESSAGES && connection.isOpen; sent++) {
    const kind = random.pick(KINDS);
    const way = random.int(40);
    if (way === 0) {
      connection.socket.ping(Buffer.alloc(random.int(126)));
    } else if (way === 1) {
      connection.socket.send(Buffer.alloc(random.int(3000), random.int(256)), { fin: random.chance(0.5) });
    } else {
      const isGood = random.chance(0.5);
      connection.send(isGood ? JSON.stringify(messageOf(kind, api, random)) : oddMessage(kind, api, random));
      count(tally.kinds, kind);
    }
    await setImmediate();
    await until('the controller reads', () => connection.socket.bufferedAmount < MAX_WAITING || !connection.isOpen, {
      limitMs: 60_000,
    });
  }
  // A ping is answered when all before it has been read.
  let isAnswered = false;
  connection.socket.once('pong', () => {
    isAnswered = true;
  });
  if (connection.isOpen) {
    connection.socket.ping();
    await until('all is read', () => isAnswered || !connection.isOpen, { limitMs: 60_000 });
  }
}

function count<K>(counts: Map<K, number>, key: K): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function problemOfClose({ closed }: AgentConnection): string | undefined {
  if (closed === undefined) {
    return undefined;
  }
  const reason = closed.reason.toString();
  if (!CODES.includes(closed.code) || closed.reason.length > 123 || /[^ -~]/.test(reason)) {
    return `closed with ${closed.code} ${JSON.stringify(reason)}`;
  }
  return undefined;
}

/** @returns what is wrong with what the controller shows now */
async function problemOfAnswers(target: Target, api: Api): Promise<string | undefined> {
  for (const path of SHOWN) {
    const url = `/api/v1/${path}`;
    const text = await target.text(url).catch((error: Error) => error);
    if (text instanceof Error) {
      return text.message;
    }
    const documented = url.replace(/\?.*/, '').replace(/nodes\/.*/, 'nodes/{name}');
    const check = api.operations.find((one) => one.method === 'GET' && one.path === documented)?.answers.get(200);
    const read = check?.safeParse(JSON.parse(text));
    if (/[^\P{Cc}\n]/u.test(text) || read?.success !== true) {
      return `GET ${url}: ${read?.error?.message.slice(0, 500) ?? 'a raw control character'}`;
    }
  }
  const metrics = await target.text('/metrics');
  return /[^\P{Cc}\n]/u.test(metrics) ? 'GET /metrics: a raw control character' : undefined;
}
