/** `mirrorplane authority …`: the authority that signs certificates, and its rotation. */
import type { AuthorityStatus } from '@mirrorplane/contract';
import type { Command } from 'commander';
import { contextOf } from '../context.ts';
import { show } from '../output/render.ts';
import { type Cell, renderFields } from '../output/table.ts';

const PATH = '/authority';

/** Adds the noun `authority`. */
export function addAuthorityCommands(program: Command): void {
  const noun = program
    .command('authority')
    .description('authority: signs the certificates of the controller and of the agents');

  noun
    .command('status')
    .description('show the authority, and which nodes have not followed its rotation yet')
    .action(async (_options: object, command: Command) => {
      const context = contextOf(command);
      const { body } = await context.client.request<AuthorityStatus>('GET', PATH);
      show(context, body, () => statusFields(body, context.color));
    });

  noun
    .command('rotate')
    .description('begin a rotation: make a new authority; agents trust both, and renew their certificates')
    .action(async (_options: object, command: Command) => {
      const context = contextOf(command);
      const { body } = await context.client.request<AuthorityStatus>('POST', `${PATH}/rotate`);
      show(context, body, () => statusFields(body, context.color));
    });

  noun
    .command('drop')
    .description('end a rotation: drop the old authority, if no node and no join token needs it')
    .option('--force', 'drop it in any case; nodes that are left need a new join token')
    .action(async (options: { force?: boolean }, command: Command) => {
      const context = contextOf(command);
      const query = options.force ? { force: 'true' } : undefined;
      const { body } = await context.client.request<AuthorityStatus>('POST', `${PATH}/drop`, { query });
      show(context, body, () => statusFields(body, context.color));
    });
}

function statusFields({ fingerprint, endsAt, rotation }: AuthorityStatus, color: boolean): string {
  const fields: [string, Cell][] = [
    ['authority', fingerprint],
    ['ends', endsAt],
  ];
  if (rotation) {
    const { nodesLeft, nodesLeftCount, tokensLeft } = rotation;
    const more = nodesLeftCount > nodesLeft.length ? ` and ${nodesLeftCount - nodesLeft.length} more` : '';
    const names = nodesLeftCount > 0 ? `: ${nodesLeft.join(', ')}${more}` : '';
    fields.push(
      ['old authority', rotation.fingerprint],
      ['nodes left', { text: `${nodesLeftCount}${names}`, style: nodesLeftCount > 0 ? 'yellow' : 'green' }],
      ['join tokens left', tokensLeft],
    );
  }
  return renderFields(fields, color);
}
