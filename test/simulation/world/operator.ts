/** What an operator does by the API: the real routes, without HTTP. */
import {
  answerWhileLeading,
  type Call,
  cutOff,
  domainRoutes,
  enrolled,
  interfaceRoutes,
  judgeOf,
  keyOf,
  nodeRevokeRoutes,
  nodeRoutes,
  ProblemError,
  policyRoutes,
  poolRoutes,
  type Route,
  type Services,
} from '@mirrorplane/controller/testing/control';
import { isOfStore, type Request } from './api-answer.ts';
import type { Host } from './host.ts';
import { CONTROLLER, type World } from './world.ts';

const ROUTES: readonly Route[] = [
  ...domainRoutes,
  ...poolRoutes,
  ...nodeRoutes,
  ...nodeRevokeRoutes,
  ...interfaceRoutes,
  ...policyRoutes,
];
const WHO = { kind: 'user', name: 'operator', grants: [{ role: 'admin' }], owner: { token: '' }, by: 'token' };

/**
 * Sends a request to a controller. Nobody waits for the answer. A controller that is away gets none.
 * Of several, each that has led and lives may be asked.
 */
export function send(world: World, request: Request): void {
  const { method, path, params, body, query = {} } = request;
  const asked = world.clusters ? world.random.pick(world.answering) : undefined;
  const process = world.clusters ? asked?.process : world.controllerProcess;
  const spec = ROUTES.find((one) => one.method === method && one.path === `/api/v1/${path}`);
  if (!spec) {
    throw new Error(`there is no route ${method} ${path}`);
  }
  const said = `${method} ${path} ${JSON.stringify(params)} ${body === undefined ? '' : JSON.stringify(body)}`;
  const askedAt = world.scheduler.now;
  world.scheduler.after(0, process, () => {
    const services = (world.clusters ? asked?.running : world.controller)?.services;
    if (!services) {
      return;
    }
    world.note('operator', said);
    const call = {
      params,
      query: spec.query?.parse(query) ?? {},
      body: spec.body?.parse(body),
      request: { headers: {}, sender: { address: '192.0.2.1' } },
      services,
      who: WHO,
      judge: judgeOf([{ role: 'admin' }], services),
    };
    whileLeading(services)
      .then(() => spec.handle(call as unknown as Call<never, never, never>))
      .then(
        ({ status = 200, body: answered }) => {
          world.note('operator', `${method} ${path} ${JSON.stringify(params)}: ${status}`);
          world.answered({ request, askedAt, status, body: answered });
        },
        (error: unknown) => {
          const refused = error instanceof ProblemError || (world.clusters && isOfStore(error));
          world.note('operator', `${method} ${path}: ${String(error)}`);
          if (!refused) {
            world.failures.push(`${said}: ${String((error as Error).stack ?? error)}`);
          }
        },
      );
  });
}

/** What the API does with each request where several controllers run. */
async function whileLeading(services: Services): Promise<void> {
  let gate: ((request: { url: string }) => Promise<void>) | undefined;
  const addHook = (_: string, hook: typeof gate) => {
    gate = hook;
  };
  answerWhileLeading({ addHook } as never, services);
  await gate?.({ url: '/api/v1' });
}

/**
 * A host joins, as with a join token: its node gets a certificate of another generation, and the
 * host gets it when it is written.
 */
export function enrol(world: World, host: Host): void {
  const asked = world.clusters ? world.controller : undefined;
  world.scheduler.after(0, world.controllerProcess, () => {
    const { services } = (world.clusters ? asked : world.controller) ?? {};
    const { name } = host;
    if (!services?.view.get('nodes', name)) {
      return;
    }
    const { view, decisions, live } = services;
    void decisions
      .decide(() => {
        const stored = view.get('nodes', name)?.value;
        const before = view.get('certificates', name)?.value;
        if (!stored) {
          return { ops: [], result: () => undefined };
        }
        const isAgain = before !== undefined || live.get(name)?.certificateEndsAt !== undefined;
        const certificate = enrolled(before, 'simulated', undefined);
        const { revoked, ...record } = stored;
        return {
          ops: [
            { type: 'put' as const, key: keyOf('certificates', name), value: certificate },
            ...(isAgain ? [cutOff(view)] : []),
            ...(revoked ? [{ type: 'put' as const, key: keyOf('nodes', name), value: record }] : []),
          ],
          result: () => ({ uid: record.uid, generation: certificate.generation }),
        };
      })
      .catch((error: unknown) => {
        if (!world.clusters || !isOfStore(error)) {
          throw error;
        }
        return undefined;
      })
      .then((membership) => {
        if (membership) {
          services.enrolled(name);
          world.note(CONTROLLER, `${name} has joined, generation ${membership.generation}`);
          host.membership = { node: name, ...membership };
          world.killAgent(host);
          world.startAgent(host);
        }
      });
  });
}
