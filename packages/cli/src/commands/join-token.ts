/** `mirrorplane node token …`, `node tokens`: what lets an agent join. */
import type { JoinTokenInfo, NodeToken } from '@mirrorplane/contract';
import type { Command } from 'commander';
import { type Context, contextOf } from '../context.ts';
import { CliError } from '../exit.ts';
import { integerUpTo, span } from '../options.ts';
import { type Outcome, show, showOutcomes } from '../output/render.ts';
import { renderTable } from '../output/table.ts';
import { each } from './several.ts';

const PATH = '/join-tokens';
/** The most nodes that may join with one token of a pool, as the API takes it. */
const MAX_USES = 1000;

interface TokenOptions {
  pool?: string;
  uses?: number;
  for?: number;
  dryRun?: boolean;
}

/** Adds `token` and `tokens` to the noun `node`. */
export function addTokenCommands(noun: Command): void {
  const token = noun
    .command('token')
    .description('create a join token: for a node, which uses it once, or for the nodes of a resource pool')
    .argument('[name]', 'name of the node')
    .option('--pool <name>', 'register each node that joins with the token into this resource pool')
    .option('--uses <number>', 'with --pool: how many nodes may join', integerUpTo(MAX_USES))
    .option('--for <span>', 'how long it can be used, 1m to 30d (default: 24h)', span)
    .option('--dry-run', 'check, and create nothing')
    .action(async (name: string | undefined, options: TokenOptions, command: Command) => {
      await createToken(contextOf(command), name, options);
    });

  token
    .command('revoke')
    .description('revoke join tokens: no agent can join with them any more')
    .argument('<ids...>', 'ids as "node tokens" lists them')
    .action(async (ids: string[], _options: object, command: Command) => {
      const context = contextOf(command);
      await each(context, ids, showOutcomes, async (id): Promise<Outcome> => {
        await context.client.request('DELETE', `${PATH}/${encodeURIComponent(id)}`);
        return { kind: 'JoinToken', name: id, result: 'revoked', dryRun: false };
      });
    });

  noun
    .command('tokens')
    .description('list the join tokens that can be used, without their secrets')
    .action(async (_options: object, command: Command) => {
      const context = contextOf(command);
      const body = await context.client.list<JoinTokenInfo>(PATH);
      const columns = ['ID', 'FOR', 'USES', 'ENDS', 'CREATED BY'].map((title) => ({ title }));
      const rows = body.items.map(({ id, node, pool, uses, expiresAt, createdBy }) => {
        const owner = pool === undefined ? `node ${node}` : `pool ${pool}`;
        return [id, owner, uses, expiresAt, createdBy ?? '-'];
      });
      show(context, body, () => renderTable(columns, rows, context));
    });
}

async function createToken(context: Context, node: string | undefined, options: TokenOptions): Promise<void> {
  const { pool, uses, for: lifetimeSeconds, dryRun } = options;
  if ((node === undefined) === (pool === undefined)) {
    throw new CliError('usage', 'give the name of a node, or --pool with --uses');
  }
  if ((pool === undefined) !== (uses === undefined)) {
    throw new CliError('usage', 'give --uses with --pool, and only there: how many nodes may join');
  }
  const spec = { node, pool, uses, lifetimeSeconds };
  const { body } = await context.client.request<NodeToken>('POST', PATH, { body: spec, dryRun });
  show(context, body, () => (dryRun ? 'a join token would be created\n' : `${body.token}\n`));
}
