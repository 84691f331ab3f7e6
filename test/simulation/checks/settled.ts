/** What is true once faults have ended for a while: everything is as operators want it. */

import type { Stage } from '../stage.ts';
import { signatureOf, storedRevision } from './programs.ts';

/** What is not as it should be yet; undefined: everything is. */
export function unsettled({ world }: Stage): string | undefined {
  const { controller } = world;
  const planned = controller?.services.planning.planned;
  if (!controller || !planned) {
    return 'the controller has no plan';
  }
  const { view, live } = controller.services;
  for (const host of world.hosts) {
    const stored = view.get('programs', host.name)?.value.revision;
    const node = live.get(host.name);
    const program = planned.programs.get(host.name);
    if (!node?.connected) {
      return `${host.name} is not connected`;
    }
    if (stored === undefined || node.appliedRevision !== stored || program?.revision !== stored) {
      return `${host.name} has confirmed revision ${node.appliedRevision} of ${stored}`;
    }
    if (signatureOf(program) !== signatureOf(host.kernel.state)) {
      return `${host.name} does not run its program: ${signatureOf(program)} but ${signatureOf(host.kernel.state)}`;
    }
    const problems = node.problems.map(({ code }) => code);
    if (problems.length > 0 || (!host.disk.lies && storedRevision(host) < stored)) {
      return `${host.name} has stored revision ${storedRevision(host)} of ${stored}, and says ${problems.join()}`;
    }
    const aside = host.kernel.state.captures.find(({ standby, handingOver }) => standby || handingOver);
    if (aside) {
      return `${aside.id} on ${host.name} still waits for its guest, which is there`;
    }
    if (program.standby.length > 0 || program.handingOver.length > 0) {
      return `${host.name} still takes part in a handover of ${JSON.stringify([program.standby, program.handingOver])}`;
    }
  }
  const programs = [...planned.programs.values()];
  return loneEnds(programs) ?? oldSecret(programs, view) ?? stateProblem(controller.statuses());
}

/** A path whose secret a host may know that was cut off. */
function oldSecret(programs: Program[], { sessions, cutOffs }: View): string | undefined {
  for (const { node, policy } of programs.flatMap(({ deliveries }) =>
    deliveries.filter((one) => one.kind === 'erspan'),
  )) {
    const number = sessions.value[node]?.policies[policy];
    if ((number?.cutOffs ?? 0) < cutOffs) {
      return `the secret of ${policy} to ${node} is older than the last host that was cut off`;
    }
  }
  return undefined;
}

type Services = NonNullable<Stage['world']['controller']>['services'];
type View = Services['view'];
type Programs = NonNullable<Services['planning']['planned']>['programs'];
type Program = Programs extends ReadonlyMap<string, infer P> ? P : never;

/** A termination without the delivery that it is for, or a delivery without its termination. */
function loneEnds(programs: Program[]): string | undefined {
  const number = (
    from: string,
    to: string,
    one: { session: number; generation: number; secret?: number | undefined },
  ) => `${from} to ${to} ${one.session}.${one.generation}.${one.secret}`;
  const sent = programs.flatMap(({ node, deliveries }) =>
    deliveries.flatMap((one) => (one.kind === 'erspan' ? [number(node, one.node, one)] : [])),
  );
  const received = programs.flatMap(({ node, terminations }) => terminations.map((one) => number(one.node, node, one)));
  const lone = [...new Set(sent).symmetricDifference(new Set(received))];
  return lone.length === 0 ? undefined : `an end of a path has no other: ${lone.join()}`;
}

function stateProblem(
  statuses: { name: string; state: string; reasons: { code: string; message: string }[] }[],
): string | undefined {
  const wrong = statuses.find(({ state }) => state !== 'active' && state !== 'disabled');
  return wrong && `policy ${wrong.name} is ${wrong.state}: ${wrong.reasons.map(({ message }) => message).join('; ')}`;
}
