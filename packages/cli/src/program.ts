/** The tree of commands. */
import { Command } from 'commander';
import { addApplyCommand } from './commands/apply.ts';
import { addAuditCommands } from './commands/audit.ts';
import { addAuthCommands } from './commands/auth.ts';
import { addAuthorityCommands } from './commands/authority.ts';
import { addCaptureCommand } from './commands/capture.ts';
import { addCompletionCommand } from './commands/completion.ts';
import { addConsoleCommand } from './commands/console.ts';
import { addDeleteCommand } from './commands/delete.ts';
import { addDiffCommand } from './commands/diff.ts';
import { addDomainCommands } from './commands/domain.ts';
import { addEventsCommand } from './commands/events.ts';
import { addFindCommand } from './commands/find.ts';
import { addInterfaceCommands } from './commands/interface.ts';
import { addLoginCommands } from './commands/login.ts';
import { addLookCommands } from './commands/look.ts';
import { addNodeCommands } from './commands/node.ts';
import { addPolicyCommands } from './commands/policy.ts';
import { addPoolCommands } from './commands/pool.ts';
import { addStatusCommand } from './commands/status.ts';
import { addTokenCommands } from './commands/token.ts';
import { addUserCommands } from './commands/user.ts';
import { addVersionCommand, VERSION } from './commands/version.ts';
import { addGlobalOptions } from './context.ts';
import { DISPATCHED } from './dispatched.ts';
import { EXIT_CODES } from './exit.ts';
import { harmless } from './output/terminal.ts';

/** Builds the whole program. It throws CommanderError and CliError, and never ends the process. */
export function buildProgram(): Command {
  const program = new Command('mirrorplane')
    .description('Mirrors network traffic across a cluster of Linux hosts.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .exitOverride()
    .configureOutput({ writeErr: (text) => void process.stderr.write(harmless(text)) })
    .showHelpAfterError('(add --help for help)')
    .configureHelp({ showGlobalOptions: true })
    .addHelpText('after', `\n${dispatchedHelp()}\n${exitCodeHelp()}`);
  addGlobalOptions(program);
  addStatusCommand(program);
  addApplyCommand(program);
  addDiffCommand(program);
  addDeleteCommand(program);
  addPolicyCommands(program);
  addInterfaceCommands(program);
  addNodeCommands(program);
  addPoolCommands(program);
  addDomainCommands(program);
  addAuthorityCommands(program);
  addCaptureCommand(program);
  addLookCommands(program);
  addEventsCommand(program);
  addAuditCommands(program);
  addFindCommand(program);
  addLoginCommands(program);
  addAuthCommands(program);
  addUserCommands(program);
  addTokenCommands(program);
  addConsoleCommand(program);
  addVersionCommand(program);
  addCompletionCommand(program);
  return program;
}

function dispatchedHelp(): string {
  const lines = DISPATCHED.map(([name, what]) => `  ${name.padEnd(12)}${what}; see "mirrorplane ${name} --help"\n`);
  return `Daemons and tools:\n${lines.join('')}`;
}

function exitCodeHelp(): string {
  const lines = Object.values(EXIT_CODES).map(({ code, meaning }) => `  ${String(code).padStart(2)}  ${meaning}\n`);
  return `Exit codes:\n${lines.join('')}`;
}
