/** The command `mirrorplane controller`. */
import {
  createLog,
  exitForUsage,
  LOG_LEVELS,
  type LogLevel,
  openServiceManager,
  parseSettings,
} from '@mirrorplane/daemon';
import { Command, InvalidArgumentError, Option } from 'commander';
import manifest from '../package.json' with { type: 'json' };
import { type Controller, startController } from './controller.ts';
import { parseListen, parseTcp } from './listen.ts';

/** Milliseconds after which planning counts as stuck. */
const STUCK_MS = 60_000;

interface Arguments {
  data: string;
  listen: string[];
  agentListen: string;
  console?: string;
  logLevel: LogLevel;
}

/** Checks an address and returns it unchanged. The error names the option, or the file and key. */
function checked(value: string, parse: (value: string) => unknown, remedy: string): string {
  try {
    parse(value);
  } catch {
    throw new InvalidArgumentError(remedy);
  }
  return value;
}

const command = new Command('mirrorplane controller')
  .version(manifest.version, '-V, --version', 'print the version')
  .description('Stores the mirror policies of a cluster, plans the programs of its nodes, and serves the API.')
  .requiredOption('--data <dir>', 'directory of the store, the certificates and the admin token')
  .option(
    '--listen <address>',
    'address of the API: ADDR:PORT or unix:PATH; may be repeated (default: 127.0.0.1:7070)',
    (value: string, list: string[] | undefined) => [
      ...(list ?? []),
      checked(value, parseListen, 'write ADDR:PORT, [V6ADDR]:PORT or unix:PATH.'),
    ],
  )
  .option(
    '--agent-listen <address>',
    'address for agents: ADDR:PORT',
    (value: string) => checked(value, parseTcp, 'write ADDR:PORT or [V6ADDR]:PORT.'),
    '0.0.0.0:7071',
  )
  .option('--console <dir>', 'directory of the web console (default: the one that comes with the controller)')
  .addOption(new Option('--log-level <level>', 'lowest level that is logged').choices(LOG_LEVELS).default('info'))
  .exitOverride(exitForUsage);

async function main(): Promise<void> {
  parseSettings(command, { prefix: 'MIRRORPLANE_CONTROLLER' });
  const { data, listen, agentListen, console, logLevel } = command.opts<Arguments>();
  const logger = createLog('controller', logLevel);
  const manager = await openServiceManager();
  let controller: Controller | undefined;
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
  controller = await startController({
    data,
    agentListen,
    logger,
    ...(listen && { listen }),
    ...(console && { console }),
  });
  if (stopping) {
    await controller.close();
    process.exit(0);
  }
  const { planningFor } = controller;
  manager.watch(() => planningFor() < STUCK_MS);
  manager.ready();
}

main().catch((error: Error) => {
  process.stderr.write(`mirrorplane controller: ${error.message}\n`);
  process.exit(1);
});
