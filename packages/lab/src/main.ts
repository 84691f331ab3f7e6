/** The command `mirrorplane lab`. */
import { Command, InvalidArgumentError } from 'commander';
import { createLab } from './create.ts';
import { downLab } from './down.ts';
import { openLab } from './lab.ts';
import { exitStatus } from './netns.ts';
import { isAlive } from './processes.ts';
import { statusText, usageText } from './report.ts';
import { DEFAULT_RUN_ROOT, LabError, labNames, labRunDir, readState } from './state.ts';

/** Exit code of wrong usage, as of every other command. */
const USAGE = 2;

const program = new Command('mirrorplane lab')
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : USAGE))
  .description('A cluster on one machine, built from network namespaces.');
program.enablePositionalOptions();

function integer(text: string): number {
  if (!/^\d+$/.test(text)) {
    throw new InvalidArgumentError('not a whole number');
  }
  return Number(text);
}
const integers = (text: string) => text.split(',').map(integer);

/** Options that every command of the lab has. */
function command(name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .option('--name <lab>', 'name of the lab: a letter, then letters and digits, at most 6', 'mp')
    .option('--run-dir <folder>', 'directory of all labs', DEFAULT_RUN_ROOT);
}

interface Common {
  name: string;
  runDir: string;
}

command('up', 'create a lab')
  .option('--bare', 'without controller and agents')
  .option('--command <file>', 'mirrorplane command that starts controller and agents (default: this one)')
  .option('--nodes <n>', 'number of nodes, 1 to 32', integer, 4)
  .option('--vms-per-node <n>', 'additional VMs on each node', integer, 0)
  .option('--devices-per-node <n>', 'NICs without an address on each node', integer, 0)
  .option('--underlay-mtu <bytes>', 'MTU of the underlay', integer, 1600)
  .option('--edge-vlans <ids>', 'VLANs that the edge trunks allow', integers, [100, 200, 300])
  .option('--no-switch', 'without the physical switch and the edges')
  .option('--qemu <vms>', 'VMs to run as QEMU machines, for example web-1,ids-1', (text: string) => text.split(','))
  .option('--ipv6', 'keep IPv6 enabled')
  .action(async (options) => {
    const abort = new AbortController();
    const stop = () => abort.abort(new LabError('stopped; everything is removed'));
    process.on('SIGINT', stop).on('SIGTERM', stop).on('SIGHUP', stop);
    const lab = await createLab({
      ...options,
      runRoot: options.runDir,
      signal: abort.signal,
      onProgress: (line) => console.error(line),
    });
    console.log(usageText(lab.state));
  });

command('down', 'remove a lab, also an incomplete one')
  .option('--all', 'every lab')
  .action(async (options: Common & { all?: boolean }) => {
    for (const name of options.all ? labNames(options.runDir) : [options.name]) {
      const was = await downLab(name, options.runDir);
      console.log(was ? `lab ${name} removed` : `lab ${name} is not there`);
    }
  });

command('status', 'show hosts, nodes, devices and processes').action((options: Common) => {
  console.log(statusText(openLab(options.name, options.runDir).state));
});

command('list', 'show the names of all labs').action((options: Common) => {
  for (const name of labNames(options.runDir)) {
    const state = readState(labRunDir(name, options.runDir));
    const running = state?.processes.filter(isAlive).length ?? 0;
    console.log(
      `${name}\t${state?.phase ?? 'no state'}\t${state?.topology.nodes.length ?? 0} nodes\t${running} processes`,
    );
  }
});

command('exec', 'run a command in the namespace of a host, node or VM, or in a QEMU machine; exits with its status')
  .argument('<host>')
  .argument('<command...>')
  .passThroughOptions()
  .action((host: string, argv: string[], options: Common) =>
    // After the host, commander leaves `--` in the arguments.
    attached(options, host, argv[0] === '--' ? argv.slice(1) : argv),
  );

command('shell', 'open a shell in the namespace of a host, node or VM')
  .argument('<host>')
  .action((host: string, options: Common) => {
    const prompt = `[${options.name}:${host}] # `;
    if (openLab(options.name, options.runDir).isMachine(host)) {
      throw new LabError(`${host} is a QEMU machine without a shell: use 'lab exec'`);
    }
    return attached(options, host, ['env', `PS1=${prompt}`, 'bash', '--norc', '-i']);
  });

command('migrate', 'migrate a VM to another node')
  .argument('<vm>')
  .argument('<node>')
  .option('--overlap', 'the new device appears before the old one disappears')
  .action(async (vm: string, node: string, options: Common & { overlap?: boolean }) => {
    const lab = openLab(options.name, options.runDir);
    const times = await lab.migrate(vm, node, { overlap: options.overlap ?? false });
    if (typeof times?.stopped !== 'number' || times.resumed === null) {
      return;
    }
    const [stood, two] = [times.resumed - times.stopped, times.deviceRemoved - times.deviceAdded];
    console.log(`${vm} runs on ${node}: paused for ${stood.toFixed(0)} ms, with two devices for ${two} ms`);
  });

/**
 * The longest time of a command in a QEMU machine, milliseconds. It cannot be ended from the
 * terminal.
 */
const MACHINE_COMMAND_MS = 600_000;

/** Runs a command on the terminal and ends with its status. */
async function attached(options: Common, host: string, argv: string[]): Promise<void> {
  const lab = openLab(options.name, options.runDir);
  if (lab.isMachine(host)) {
    const { code, stdout, stderr } = await lab.exec(host, argv, { check: false, timeoutMs: MACHINE_COMMAND_MS });
    process.stdout.write(stdout);
    process.stderr.write(stderr);
    process.exitCode = code;
    return;
  }
  const child = lab.spawn(host, argv, { stdio: 'inherit' });
  // The terminal also sends Ctrl-C to the child, so this process only waits for its end. SIGTERM is
  // forwarded to the child.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      process.exitCode = exitStatus(code, signal);
      resolve();
    });
  });
}

program.parseAsync().catch((error: unknown) => {
  const expected = error instanceof LabError;
  console.error(
    `mirrorplane lab: ${expected || !(error instanceof Error) ? String((error as Error).message) : error.stack}`,
  );
  process.exitCode = 1;
});
