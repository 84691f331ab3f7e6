/** `mirrorplane policy approve` and `policy reject`: consent to policies of others. */
import type { Policy } from '@mirrorplane/contract';
import type { Command } from 'commander';
import { contextOf } from '../context.ts';
import { show, withKind } from '../output/render.ts';
import { pathOf } from '../resources.ts';

/** Adds `approve` and `reject`. */
export function addPolicyConsent(policy: Command): void {
  policy
    .command('approve')
    .description('consent to a policy of others, or to its change, with the rights that you have')
    .argument('<name>')
    .action(async (name: string, _options: object, command: Command) => {
      const after = await consent(command, name, 'approve');
      const waits = waitingOf(after);
      show(contextOf(command), withKind('Policy', after), () =>
        waits === undefined ? `policy ${name} approved\n` : `policy ${name} approved, and waits for ${waits}\n`,
      );
    });
  policy
    .command('reject')
    .description('refuse consent to a policy or to its change, or withdraw it')
    .argument('<name>')
    .option('--reason <text>', 'for who has asked')
    .option('--change', 'refuse only a change that waits, and leave the consent to the policy as it is')
    .action(async (name: string, { reason, change }: { reason?: string; change?: true }, command: Command) => {
      const body = { ...(reason !== undefined && { reason }), ...(change && { only: 'change' }) };
      const after = await consent(command, name, 'reject', body);
      show(contextOf(command), withKind('Policy', after), () => `policy ${name} rejected\n`);
    });
}

/**
 * Consents to the policy as it is now: fails if another user changes it meanwhile. A refusal holds
 * for whatever it is by then, so that changes cannot outrun it.
 */
async function consent(command: Command, name: string, verb: 'approve' | 'reject', body: object = {}): Promise<Policy> {
  const { client } = contextOf(command);
  if (verb === 'reject') {
    return (await client.request<Policy>('POST', `${pathOf('Policy', name)}/${verb}`, { body })).body;
  }
  const { etag } = await client.request<Policy>('GET', pathOf('Policy', name));
  return (await client.request<Policy>('POST', `${pathOf('Policy', name)}/${verb}`, { body, ifMatch: etag })).body;
}

/** What a policy, or its change, still waits for. Undefined: nothing. */
export function waitingOf({ approval, change }: Policy): string | undefined {
  const asked = change ?? (approval?.state === 'pending' ? approval : undefined);
  return asked?.needs
    .map(({ right, interfaces }) => (right === 'policy' ? 'another user' : `${right} for ${interfaces.join(', ')}`))
    .join('; ');
}
