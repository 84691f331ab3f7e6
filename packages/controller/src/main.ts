/** The command `mirrorplane controller`. */
import {
  collectGarbage,
  createLog,
  exitForUsage,
  keepOnly,
  LOG_LEVELS,
  type LogLevel,
  openServiceManager,
  parseSettings,
} from '@mirrorplane/daemon';
import { Command, Option } from 'commander';
import manifest from '../package.json' with { type: 'json' };
import { type ApiOptions, addApiOptions, checked, controllerOptionsOf } from './api-options.ts';
import { type AuditLogOptions, addAuditOptions, auditOptionsOf } from './audit-options.ts';
import { startClustered } from './clustered.ts';
import { type Controller, type ControllerOptions, startController } from './controller.ts';
import { parseAdvertised, parseTcp } from './listen.ts';
import { addStoreOptions, etcdOptionsOf, type StoreOptions, withoutEtcd } from './store/options.ts';

/** Milliseconds after which planning counts as stuck. */
const STUCK_MS = 60_000;

/** Milliseconds after which a start is over: the store is read, and agents have connected. */
const SETTLED_MS = 15_000;

/**
 * A controller needs no capability. One that runs as root needs two, to start decoders as nobody.
 */
const AS_ROOT = ['CAP_SETUID', 'CAP_SETGID'] as const;

interface Arguments extends ApiOptions, AuditLogOptions, StoreOptions {
  data: string;
  agentListen: string;
  advertise?: string;
  console?: string;
  resetAdmin?: boolean;
  logLevel: LogLevel;
}

const command = new Command('mirrorplane controller')
  .version(manifest.version, '-V, --version', 'print the version')
  .description('Stores the mirror policies of a cluster, plans the programs of its nodes, and serves the API.')
  .requiredOption('--data <dir>', 'directory of the store, the certificates and the audit log');

addStoreOptions(addAuditOptions(addApiOptions(command)))
  .option(
    '--agent-listen <address>',
    'address for agents: ADDR:PORT',
    (value: string) => checked(value, parseTcp, 'write ADDR:PORT or [V6ADDR]:PORT.'),
    '0.0.0.0:7071',
  )
  .option(
    '--advertise <host:port>',
    'address at which agents and other controllers reach this one, with --etcd (default: the host of --agent-listen, or the name of this host)',
    (value: string) =>
      checked(value, parseAdvertised, 'write HOST:PORT at which others reach this host, not 0.0.0.0 or [::].'),
  )
  .option(
    '--reset-admin',
    'give the user "admin" a new password, which is printed, and all rights, remove its authenticator app, and exit; the controller must not run',
  )
  .option('--console <dir>', 'directory of the web console (default: the one that comes with the controller)')
  .addOption(new Option('--log-level <level>', 'lowest level that is logged').choices(LOG_LEVELS).default('info'))
  .exitOverride(exitForUsage);

/**
 * Tells the password of the first administrator, once. Not where stderr is the journal, which keeps
 * it and lets others read it.
 */
function tellFirstPassword(first: Controller['firstPassword']): void {
  if (first) {
    const where = `${first.file}, which is removed when you have signed in`;
    const text = process.env.JOURNAL_STREAM
      ? `its password is in ${where}`
      : `password: ${first.password}\nIt is also in ${where}`;
    process.stderr.write(`\nThe administrator was made. Sign in to the console as user "admin"; ${text}.\n\n`);
  }
}

async function main(): Promise<void> {
  parseSettings(command, { prefix: 'MIRRORPLANE_CONTROLLER' });
  const { data, agentListen, advertise, console, logLevel, resetAdmin, ...api } = command.opts<Arguments>();
  await keepOnly(process.geteuid?.() === 0 ? AS_ROOT : []);
  const logger = createLog('controller', logLevel);
  const etcd = etcdOptionsOf(api);
  if (etcd === undefined) {
    withoutEtcd({ '--advertise': advertise });
  }
  if (resetAdmin) {
    const nowhere = { listen: [], agentListen: '127.0.0.1:0', ...(etcd && { etcd }) };
    const { firstPassword, close } = await startController({ data, logger, ...nowhere, resetAdmin });
    tellFirstPassword(firstPassword);
    await close();
    process.exit(0);
  }
  const manager = await openServiceManager();
  let controller: Pick<Controller, 'planningFor' | 'close'> | undefined;
  let stopping = false;
  const stop = (signal: string) => {
    if (stopping) {
      process.exit(1);
    }
    stopping = true;
    manager.stopping();
    logger.info({ signal }, 'controller stops');
    void controller?.close().then(() => process.exit(0));
  };
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
  const options: ControllerOptions = {
    data,
    agentListen,
    logger,
    // The service manager starts it again: then it reads everything from the store.
    failed: () => process.exit(1),
    ...controllerOptionsOf(api),
    ...auditOptionsOf(api),
    ...(console && { console }),
  };
  const leads = ({ firstPassword }: Controller) => tellFirstPassword(firstPassword);
  if (etcd) {
    controller = await startClustered({ ...options, etcd, leads, ...(advertise !== undefined && { advertise }) });
  } else {
    const alone = await startController(options);
    controller = alone;
    if (!stopping) {
      leads(alone);
    }
  }
  if (stopping) {
    await controller.close();
    process.exit(0);
  }
  const { planningFor } = controller;
  manager.watch(() => planningFor() < STUCK_MS);
  manager.ready();
  // A small controller keeps 20 to 30 MB less from now on. In a large one they do not matter.
  setTimeout(collectGarbage, SETTLED_MS).unref();
}

/** `mirrorplane store` is a part of this program, because it has the engines of the store. */
async function store(): Promise<void> {
  const { storeCommands } = await import('./backup/commands.ts');
  await storeCommands().parseAsync(process.argv.slice(3), { from: 'user' });
}

const [name, run] = process.argv[2] === 'store' ? ['store', store] : ['controller', main];
run().catch((error: Error) => {
  process.stderr.write(`mirrorplane ${name}: ${error.message}\n`);
  process.exit(1);
});
