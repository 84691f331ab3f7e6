/** `mirrorplane find`: where packets between two interfaces are lost. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Finding } from '@mirrorplane/contract';
import type { Command } from 'commander';
import { type Context, contextOf } from '../context.ts';
import { span } from '../options.ts';
import { findingText } from '../output/finding.ts';
import { show } from '../output/render.ts';

interface FindOptions {
  filter?: string;
  for: number;
}

const PATH = '/findings';
const INTERVAL_MS = 500;

/** Adds `find`. */
export function addFindCommand(program: Command): void {
  program
    .command('find')
    .description('find out where packets between two interfaces are lost, and say it in one sentence')
    .argument('<from>', 'id of an interface')
    .argument('<to>', 'id of the interface at the other end')
    .option('--filter <words>', 'which packets: host, net, port, tcp, udp, icmp, vlan, and, or, not')
    .option('--for <time>', 'how long to look, 5s to 2m', span, 30)
    .action(async (from: string, to: string, options: FindOptions, command: Command) => {
      const context = contextOf(command);
      const { filter: words, for: seconds } = options;
      const { body } = await context.client.request<Finding>('POST', PATH, {
        body: { from, to, seconds, ...(words !== undefined && { words }) },
      });
      context.note(`looking for ${seconds} s at "${from}" and "${to}"\n`);
      const finding = await whenDone(context, body);
      show(context, finding, () => findingText(finding, context.color));
    });
}

/** Waits for the answer. */
async function whenDone({ client }: Context, begun: Finding): Promise<Finding> {
  for (let finding = begun; ; ) {
    if (finding.state === 'done') {
      return finding;
    }
    await sleep(INTERVAL_MS);
    ({ body: finding } = await client.request<Finding>('GET', `${PATH}/${encodeURIComponent(begun.id)}`));
  }
}
