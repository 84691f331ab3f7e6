/** `mirrorplane interface …`. */
import type { Interface, InterfaceSpec } from '@mirrorplane/contract';
import { type Command, Option } from 'commander';
import { type Context, contextOf } from '../context.ts';
import { CliError } from '../exit.ts';
import { addSort, type SortOptions, sorted } from '../list.ts';
import { collectLabels, positiveInteger, vlanList } from '../options.ts';
import { interfaceFields, interfaceTable } from '../output/inventory.ts';
import { show, withKind } from '../output/render.ts';
import { pathOf, RESOURCES, specOf } from '../resources.ts';
import { showWatched, type WatchOptions } from '../watch.ts';
import { deleteSeveral } from './delete.ts';
import { putResource } from './put.ts';

interface ListOptions extends WatchOptions, SortOptions {
  node?: string;
  kind?: string;
  pool?: string;
}

interface DeclareOptions {
  kind: InterfaceSpec['kind'];
  node?: string;
  device?: string;
  mac?: string;
  allowedVlans?: number[];
  pool?: string;
  name?: string;
  network?: string;
  label?: Record<string, string>;
  dryRun?: boolean;
}

const KINDS = ['vm', 'nfv', 'edge'] as const;

/** Adds the noun `interface`. */
export function addInterfaceCommands(program: Command): void {
  const noun = program.command('interface').description('interfaces: NICs that can be mirrored or can receive copies');

  addList(noun);
  noun
    .command('show')
    .description('show one interface')
    .argument('<id>')
    .action(async (id: string, _options: object, command: Command) => {
      const context = contextOf(command);
      const { body } = await context.client.request<Interface>('GET', pathOf('Interface', id));
      show(context, body, () => interfaceFields(body, context.color));
    });

  addDeclare(noun);
  addBinding(noun);
  noun
    .command('delete')
    .description('remove the declarations of interfaces; interfaces that an agent sees stay listed')
    .argument('<ids...>')
    .option('--dry-run', 'check, print the result, and change nothing')
    .action(async (ids: string[], options: { dryRun?: boolean }, command: Command) => {
      await deleteSeveral(contextOf(command), 'Interface', ids, options.dryRun ?? false);
    });
}

function addList(noun: Command): void {
  addSort(noun.command('list'))
    .description('list the interfaces')
    .option('--node <name>', 'only interfaces with a device on this node')
    .addOption(new Option('--kind <kind>', 'only interfaces of this kind').choices(KINDS))
    .option('--pool <name>', 'only interfaces of this resource pool')
    .option('--watch', 'read every second and print the changes, until Ctrl-C')
    .option('--count <number>', 'watch, and stop after this number of readings', positiveInteger)
    .action(async (options: ListOptions, command: Command) => {
      const context = contextOf(command);
      const query = { node: options.node, kind: options.kind, pool: options.pool };
      const { client } = context;
      const read = async () => {
        const body = await client.list<Interface>(RESOURCES.Interface.path, query);
        // A node without interfaces is a valid answer. A node that does not exist is an error.
        if (body.items.length === 0) {
          if (options.node !== undefined) {
            await client.request('GET', pathOf('Node', options.node));
          }
          if (options.pool !== undefined) {
            await client.request('GET', pathOf('Pool', options.pool));
          }
        }
        return sorted(body, options.sort);
      };
      await showWatched(context, options, read, (data) => interfaceTable(data.items, context.color, context.wide));
    });
}

function addDeclare(noun: Command): void {
  noun
    .command('declare')
    .description('declare an interface, or change its declaration; policies that use the interface follow')
    .argument('<id>', 'stable id, for example web-1/0')
    .addOption(new Option('--kind <kind>', 'kind of the interface').choices(KINDS).makeOptionMandatory())
    .option('--node <name>', 'edge: the node that has the device')
    .option('--device <name>', 'edge: name of the device on that node')
    .option('--mac <address>', 'edge: MAC address of the device, instead of its name')
    .option('--allowed-vlans <list>', 'edge: VLAN IDs that the switch port allows, for example 100,200-210', vlanList)
    .option('--pool <name>', 'vm and nfv: the resource pool where it will appear')
    .option('--name <text>', 'display name')
    .option('--network <text>', 'network of the interface')
    .option(
      '--label <key=value...>',
      'labels, which scopes of grants can name, for example tenant=blue; others stay',
      collectLabels,
    )
    .option('--dry-run', 'check, print the result, and change nothing')
    .action(async (id: string, options: DeclareOptions, command: Command) => {
      const named = specFrom(options);
      const merge = (was: Record<string, unknown>) => mergedSpec(was, named);
      await putResource(contextOf(command), 'Interface', id, merge, options.dryRun, 'declared');
    });
}

/** Adds `bind` and `release`. */
function addBinding(noun: Command): void {
  noun
    .command('bind')
    .description('bind an interface to one node; claims of other nodes are then ignored')
    .argument('<id>')
    .requiredOption('--node <name>', 'the node; an undeclared interface becomes declared')
    .option('--dry-run', 'check, print the result, and change nothing')
    .action(async (id: string, options: { node: string; dryRun?: boolean }, command: Command) => {
      await putBinding(contextOf(command), id, options.node, options.dryRun);
    });

  noun
    .command('release')
    .description(
      'end the binding of an interface; the interface stays declared, and its node keeps it until that node gives it up',
    )
    .argument('<id>')
    .option('--dry-run', 'check, print the result, and change nothing')
    .action(async (id: string, options: { dryRun?: boolean }, command: Command) => {
      await putBinding(contextOf(command), id, undefined, options.dryRun);
    });
}

/**
 * Changes only the binding. Fails if someone else changes the interface meanwhile. @param node
 * undefined removes the binding
 */
async function putBinding(context: Context, id: string, node: string | undefined, dryRun = false): Promise<void> {
  const path = pathOf('Interface', id);
  const { body: before, etag } = await context.client.request<Interface>('GET', path);
  const { boundTo: _, pool, ...rest } = specOf('Interface', before);
  // The pool of an undeclared interface follows its node.
  const spec = before.declared && pool !== undefined ? { ...rest, pool } : rest;
  if (node === undefined && before.boundTo === undefined) {
    show(context, withKind('Interface', before), () => `interface ${id} unchanged\n`);
    return;
  }
  const body = node === undefined ? spec : { ...spec, boundTo: node };
  const answer = await context.client.request<Interface>('PUT', path, { body, dryRun, ifMatch: etag });
  const done = node === undefined ? `released from ${before.boundTo}` : `bound to ${node}`;
  show(context, withKind('Interface', answer.body), () => `interface ${id} ${dryRun ? 'would be ' : ''}${done}\n`);
}

/**
 * A declaration with what was named now. Of an interface of another kind only what every kind has
 * stays.
 */
function mergedSpec(was: Record<string, unknown>, named: Record<string, unknown>): object {
  const { kind, name, network, labels, ...rest } = was;
  const kept = { name, network, ...(kind === named.kind && rest) };
  const allLabels = { ...(labels as object), ...(named.labels as object) };
  return {
    ...kept,
    ...named,
    ...(Object.keys(allLabels).length > 0 && { labels: allLabels }),
    ...(named.edge !== undefined && { edge: mergedEdge(rest.edge as Edge | undefined, named.edge as Edge) }),
  };
}

type Edge = NonNullable<Interface['edge']>;

/** The VLAN IDs are those of the switch port, so they stay with the same device alone. */
function mergedEdge(was: Edge | undefined, named: Edge): Edge {
  const isSame = was?.node === named.node && was.device === named.device && was.mac === named.mac;
  return isSame ? { ...named, allowedVlans: named.allowedVlans ?? was.allowedVlans } : named;
}

function specFrom(options: DeclareOptions): Record<string, unknown> {
  const { kind, node, device, mac, allowedVlans, pool, name, network, label: labels } = options;
  const spec: Record<string, unknown> = { kind };
  for (const [field, value] of Object.entries({ pool, name, network, labels })) {
    if (value !== undefined) {
      spec[field] = value;
    }
  }
  if (kind === 'edge') {
    if (node === undefined) {
      throw new CliError('usage', 'an edge needs --node, and --device or --mac');
    }
    if ((device === undefined) === (mac === undefined)) {
      throw new CliError('usage', 'an edge needs either --device or --mac');
    }
    // People paste MAC addresses from labels and switches. Everywhere else they are in lower case.
    spec.edge = { node, device, mac: mac?.toLowerCase().replaceAll('-', ':'), allowedVlans };
    return spec;
  }
  for (const [option, value] of Object.entries({
    '--node': node,
    '--device': device,
    '--mac': mac,
    '--allowed-vlans': allowedVlans,
  })) {
    if (value !== undefined) {
      throw new CliError('usage', `${option} is only for --kind edge; a ${kind} interface is found by its identity`);
    }
  }
  return spec;
}
