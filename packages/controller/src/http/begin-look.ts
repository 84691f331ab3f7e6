/** Begins a look for a request: refusals are audited, and nobody looks before the begin is written. */
import { LOOK_KEEPING, LOOK_LIMITS, type LookCreate } from '@mirrorplane/contract';
import { markAudited } from '../audit/audited.ts';
import type { LiveLook } from '../looks/live-look.ts';
import { nodesOf } from '../looks/look-nodes.ts';
import type { LookOwner } from '../looks/looks.ts';
import { whatOf, whoOwns } from '../looks/tell-looks.ts';
import { ProblemError } from '../problems/problems.ts';
import type { Services } from '../services.ts';
import { failureOf } from './mutation.ts';

/**
 * @param create checks the request, and begins its look
 * @throws ProblemError what `create` refuses, and LOOK_LIMIT where a node has no room for the look
 */
export async function beginLook(
  request: LookCreate,
  { services, owner }: { services: Services; owner: LookOwner },
  create: (admit: () => void) => LiveLook,
): Promise<LiveLook> {
  let look: LiveLook;
  try {
    look = create(() => refuseFull(request, owner, services));
  } catch (error) {
    markAudited(error);
    const entry = { ...whoOwns(owner), action: 'create', resource: 'looks/' } as const;
    await services.refused.add({ ...entry, ...failureOf(error), detail: whatOf({ request }) });
    throw error;
  }
  await look.audited;
  return look;
}

/**
 * A node has so many looks, and fewer of one user. One of a policy may begin if one of its nodes has
 * room.
 */
function refuseFull(request: LookCreate, { holder }: LookOwner, { view, looks, inventory }: Services): void {
  const subjects = request.interfaces ?? view.get('policies', request.policy!)!.value.sources;
  const nodes = nodesOf(subjects, inventory);
  const running = looks.running().map((look) => ({ look, nodes: nodesOf(look.subjects, inventory) }));
  const looksOn = (node: string) => running.filter((one) => one.nodes.includes(node)).map(({ look }) => look);
  const own = (node: string) => looksOn(node).filter((look) => look.holder === holder);
  const isFull = (node: string) =>
    looksOn(node).length >= LOOK_LIMITS.looks || own(node).length >= LOOK_KEEPING.eachOnNode;
  const full = nodes.filter(isFull);
  if (full.length > 0 && (request.interfaces || full.length === nodes.length)) {
    const [node] = full;
    const others = looksOn(node!).map(({ id, owner }) => `${id} of ${owner}`);
    const message = `node "${node}" has ${others.length} looks already (at most ${LOOK_LIMITS.looks}, and ${LOOK_KEEPING.eachOnNode} of one user: ${others.join(', ')}): end one of them`;
    throw new ProblemError('LOOK_LIMIT', message);
  }
}
