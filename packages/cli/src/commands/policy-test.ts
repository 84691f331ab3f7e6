/** `policy test`: sends copies of its own to the destination of a policy, and says where they die. */
import type { PolicyTest } from '@mirrorplane/contract';
import type { Command } from 'commander';
import { contextOf } from '../context.ts';
import { EXIT_CODES } from '../exit.ts';
import { testText } from '../output/policy-test.ts';
import { show } from '../output/render.ts';
import { pathOf } from '../resources.ts';

/** Adds `policy test`. */
export function addPolicyTest(policy: Command): void {
  policy
    .command('test')
    .description(
      'make copies of three sizes on every node with sources, and show which of them reach the destination; ' +
        `nothing is sent in the name of a guest, and no counters change; exits with ${EXIT_CODES.testFailed.code} if some do not`,
    )
    .argument('<name>')
    .action(async (name: string, _options: object, command: Command) => {
      const context = contextOf(command);
      const { body } = await context.client.request<PolicyTest>('POST', `${pathOf('Policy', name)}/test`);
      show(context, body, () => testText(body, context.color));
      if (body.outcome === 'died' || body.outcome === 'unknown') {
        process.exitCode = EXIT_CODES.testFailed.code;
      }
    });
}
