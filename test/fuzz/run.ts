/** Runs cases of the API one after the other on several connections, and keeps what went wrong. */
import { seeded } from '../chaos/random.ts';
import { problemOf } from './judge.ts';
import type { Api } from './openapi.ts';
import { bytesOf, type FuzzRequest, mutate, requestOf } from './requests.ts';
import type { Target } from './target.ts';
import type { Learned } from './values.ts';
import { exchange, type WireAnswer } from './wire.ts';

/** Cases at a time. */
const AT_ONCE = 4;
/** Cases after which the cluster is made again, where requests have deleted it. */
const REFILL = 50;
/** Names of one kind that are remembered, the newest. */
const MAX_LEARNED = 5;
/** Failures after which a run ends. */
const MAX_FAILURES = 20;

export interface Tally {
  cases: number;
  /** Cases of each route. */
  routes: Map<string, number>;
  /** Answers of each status; 0: none. */
  statuses: Map<number, number>;
  /** What went wrong, and how to repeat it. */
  failures: string[];
}

export interface RunOptions {
  seed: number;
  /** The first case. */
  from?: number;
  /** Whether to go on before this case. */
  goesOn: (index: number) => boolean;
}

/** The request of a case: the same for a seed and a number, except for names that were learned. */
function caseOf(api: Api, known: { token: string; learned: Learned }, seed: number, index: number): FuzzRequest {
  const random = seeded(Math.imul(seed, 0x9e3779b1) + index);
  const request = requestOf(random.pick(api.operations), api, known, random);
  if (random.chance(0.9)) {
    mutate(request, random);
  }
  return request;
}

/** Sends cases until it is enough. */
export async function fuzzApi(target: Target, api: Api, { seed, from = 0, goesOn }: RunOptions): Promise<Tally> {
  const tally: Tally = { cases: 0, routes: new Map(), statuses: new Map(), failures: [] };
  const { port, token } = target;
  const learned: Learned = new Map();
  let next = from;
  const work = async () => {
    while (goesOn(next) && target.isRunning && tally.failures.length < MAX_FAILURES) {
      const index = next++;
      if (index % REFILL === 0) {
        // Cases at the same time may delete what is made here.
        await target.fill().catch(() => undefined);
      }
      const request = caseOf(api, { token, learned }, seed, index);
      const answer = await exchange(port, bytesOf(request), request.method === 'HEAD').catch((error: Error) => error);
      const problem = answer instanceof Error ? answer.message : problemOf(request, answer, api);
      learn(learned, request, answer);
      count(tally, request, answer instanceof Error ? 0 : (answer?.status ?? 0));
      if (problem !== undefined) {
        tally.failures.push(`${problem}\n  ${textOf(request)}\n  again: make fuzz ONLY=api SEED=${seed} CASE=${index}`);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  if (!target.isRunning) {
    tally.failures.push(`the controller has ended before case ${next}: ${target.errors.slice(-5).join('\n')}`);
  }
  return tally;
}

/** Remembers the id of what was created, so that later requests are about it. */
function learn(learned: Learned, { target }: FuzzRequest, answer: WireAnswer | Error | undefined): void {
  if (answer === undefined || answer instanceof Error || answer.status !== 201 || answer.body.length === 0) {
    return;
  }
  const { id } = JSON.parse(answer.body.toString()) as { id?: unknown };
  const [, kind] = /^\/api\/v1\/(\w+)(\?|$)/.exec(target) ?? [];
  if (typeof id === 'string' && kind !== undefined) {
    learned.set(kind, [...(learned.get(kind) ?? []), id].slice(-MAX_LEARNED));
  }
}

function count(tally: Tally, { operation }: FuzzRequest, status: number): void {
  const route = `${operation.method} ${operation.path}`;
  tally.cases++;
  tally.routes.set(route, (tally.routes.get(route) ?? 0) + 1);
  tally.statuses.set(status, (tally.statuses.get(status) ?? 0) + 1);
}

/** The beginning of a request, without its token. */
function textOf(request: FuzzRequest): string {
  const text = bytesOf(request)
    .toString('latin1')
    .replace(/^Authorization: Bearer .{40,}\r\n/m, '');
  return JSON.stringify(text.slice(0, 700));
}

/** Policies that were accepted, and are refused when they are sent back as they are read. */
export async function refusedAgain(target: Target): Promise<string[]> {
  const { items } = (await target.must('GET', '/api/v1/policies')) as { items: Record<string, unknown>[] };
  const refused: string[] = [];
  for (const { uid, type, revision, createdAt, createdBy, updatedAt, warnings, ...spec } of items) {
    await target.must('PUT', `/api/v1/policies/${spec.name}?dryRun=true`, spec).catch((error: Error) => {
      refused.push(error.message);
    });
  }
  return refused;
}
