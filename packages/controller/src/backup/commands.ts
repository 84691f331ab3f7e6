/** `mirrorplane store`: copies of the store to another engine, backups, and what is restored from them. */
import { existsSync, lchownSync, statSync } from 'node:fs';
import path from 'node:path';
import { exitForUsage } from '@mirrorplane/daemon';
import { Command, Option } from 'commander';
import manifest from '../../package.json' with { type: 'json' };
import { LATEST_TIME_FILE } from '../shared/local-files.ts';
import { type Contents, contentsOf, digestOf, fill, isInterrupted, requireSome } from '../store/contents.ts';
import { openStore, openToRead, openWholeStore, type StorePlace, using } from '../store/open.ts';
import { addStoreOptions, etcdOptionsOf, type StoreOptions } from '../store/options.ts';
import { notePlace, requireInFile } from '../store/place.ts';
import { clusterKeyFile, storeFile } from '../store/store-file.ts';
import { HighestRevision } from './audited-revision.ts';
import { type BackupHead, type BackupLine, readBackup, writeBackup } from './backup-file.ts';
import { copyToEtcd, copyToFile } from './copy.ts';
import { DataWriter, dataFiles, dataLines, isDataFile } from './data-files.ts';
import { resetTime } from './reset-time.ts';
import { asRestored } from './restored.ts';
import { emptyForFiles, makeNextKey, requireUnshared, SharedBackup, useNextKey } from './shared-part.ts';

interface Arguments extends StoreOptions {
  data: string;
  overwrite?: boolean;
}

/** Takes a line about what was done. */
type Say = (text: string) => void;

/** The commands. @param say default: it is written to standard output */
export function storeCommands(say: Say = (text) => process.stdout.write(`${text}\n`)): Command {
  const command = new Command('mirrorplane store')
    .version(manifest.version, '-V, --version', 'print the version')
    .description('Copies, backs up and restores the store of a controller. Run it on the host of the controller.')
    .exitOverride(exitForUsage);
  add(command, 'copy', 'copy the store from the file to etcd, or back; the controller must not run')
    .addOption(new Option('--to <store>', 'the store to write').choices(['etcd', 'file']).makeOptionMandatory())
    .option('--overwrite', 'remove what the store to write has')
    .action(async (options) => say(await copy(options)));
  add(command, 'backup', 'write the store and the files of the controller to one file, which is secret')
    .argument('<file>', 'file to write')
    .action(async (file, options) => say(await backup(file, options)));
  add(command, 'restore', 'write the store and the files of a controller from a backup; the controller must not run')
    .argument('<file>', 'file that "store backup" has written')
    .option('--overwrite', 'replace the store and the files that are there')
    .action(async (file, options) => say(await restore(file, options)));
  command
    .command('verify')
    .description('read all of a backup, and say what it has: nothing is written')
    .argument('<file>', 'file that "store backup" has written')
    .exitOverride(exitForUsage)
    .action(async (file) => say(await verify(file)));
  add(
    command,
    'reset-time',
    'forget the latest time that controllers have seen, after a clock was ahead; no controller may run',
  ).action(async (options) => say(await forgetTime(options)));
  add(command, 'new-key', 'put a new key into cluster.key, below the one that is used, to be copied to all controllers')
    .option('--use', 'put the new key into the first place: this controller seals with it, once it leads')
    .action(async (options) => say(await newKey(options)));
  return command;
}

function add(command: Command, name: string, description: string): Command {
  return addStoreOptions(
    command
      .command(name)
      .description(description)
      .requiredOption('--data <dir>', 'data directory of the controller')
      .exitOverride(exitForUsage),
  );
}

async function copy({ to, overwrite = false, ...options }: Arguments & { to: 'etcd' | 'file' }): Promise<string> {
  const { data } = options;
  const etcd = etcdOptionsOf(options);
  if (etcd === undefined) {
    throw new Error('name the etcd cluster with --etcd');
  }
  const contents = await (to === 'etcd' ? copyToEtcd : copyToFile)({ data, etcd, overwrite });
  own(data);
  return to === 'etcd'
    ? `copied ${described(contents)} to etcd: start the controller with --etcd. Without it, none starts here`
    : `copied ${described(contents)} to ${storeFile(data)}: start the controller without --etcd. With it, none leads there any more: stop and disable the others`;
}

async function backup(file: string, options: Arguments): Promise<string> {
  const { data } = options;
  const etcd = etcdOptionsOf(options);
  requireStore(data, etcd);
  return using(await openToRead({ data, etcd }), async (store) => {
    // The store first: the audit log must have all that the store knows of it. What is committed
    // meanwhile is in the logs, and not in the store.
    const contents = await contentsOf(store);
    requireSome(contents, etcd ? `etcd (${etcd.endpoints.join()})` : storeFile(data), NOT_THIS_ONE);
    const head = { version: manifest.version, madeAt: new Date().toISOString(), revision: contents.revision };
    const shared = await SharedBackup.open(data, store);
    await writeBackup(file, head, linesOf(contents, data, shared));
    const files = new Set([...dataFiles(data), ...(shared?.names ?? [])]);
    return `wrote ${described(contents)}, and ${files.size} files of ${data}, to ${file}: keep it secret`;
  });
}

const NOT_THIS_ONE = 'is this the one that the controller uses?';

async function forgetTime(options: Arguments): Promise<string> {
  const { data } = options;
  const etcd = etcdOptionsOf(options);
  requireStore(data, etcd);
  const was = await using(await openWholeStore({ data, etcd }), (store) => resetTime(data, store, new Date()));
  own(data);
  if (was === undefined) {
    return `no latest time was kept: nothing was changed. The clock of this host says ${new Date().toISOString()}`;
  }
  const where = `${path.join(data, LATEST_TIME_FILE)}${etcd === undefined ? '' : ' and from etcd'}`;
  return `removed the latest time seen, ${was}, from ${where}: the next start goes by the clock of its host, and says so in the audit log. See first that the clocks are right`;
}

async function newKey({ use = false, ...options }: Arguments & { use?: boolean }): Promise<string> {
  const { data } = options;
  const etcd = etcdOptionsOf(options);
  if (etcd === undefined) {
    throw new Error('name the etcd cluster with --etcd: a store in a file is not sealed');
  }
  const change = use ? useNextKey : makeNextKey;
  await using(await openToRead({ data, etcd }), async ({ shared }) => change(data, shared));
  const file = clusterKeyFile(data);
  return use
    ? `the new key is the first one of ${file}: when all controllers have said so, restart the one that leads. The former key goes when all is sealed with the new one`
    : `wrote a new key to ${file}, below the one that is used: copy the file to all other controllers, then say "new-key --use" on each`;
}

async function* linesOf(
  { entries }: Contents,
  data: string,
  shared: SharedBackup | undefined,
): AsyncGenerator<BackupLine> {
  yield* entries;
  yield* dataLines(data, shared);
}

async function verify(file: string): Promise<string> {
  const { madeAt, version, ...contents } = await checkBackup(file);
  return `${file} is whole: ${described(contents)}, made by version ${version} at ${madeAt}`;
}

async function restore(file: string, { overwrite = false, ...options }: Arguments): Promise<string> {
  const { data } = options;
  const contents = await checkBackup(file);
  const present = dataFiles(data);
  const etcd = etcdOptionsOf(options);
  if (etcd === undefined) {
    requireInFile(data);
  }
  const files = new DataWriter(data);
  await using(await openStore({ data, etcd }), async (store) => {
    if (present.length > 0 && !overwrite && !(await isInterrupted(store))) {
      throw new Error(`${data} has files of a controller (${present[0]}): say --overwrite if they may be replaced`);
    }
    await requireUnshared(store, overwrite);
    const meanwhile = async () => {
      await emptyForFiles(store, data, files);
      await writeFiles(file, files);
    };
    await fill(store, asRestored(contents, new Date()), { overwrite, meanwhile, filled: () => notePlace(data, etcd) });
  });
  own(data);
  return `restored ${described(contents)}, and ${dataFiles(data).length} files, as of ${contents.madeAt}`;
}

/** Reads all of a backup, so that nothing is written from a damaged one. `revision`: the highest that it names. */
async function checkBackup(file: string): Promise<Contents & Pick<BackupHead, 'madeAt' | 'version'>> {
  const entries: Contents['entries'] = [];
  let head: BackupHead | undefined;
  const audited = new HighestRevision();
  for await (const line of readBackup(file)) {
    if ('mirrorplane' in line) {
      head = line;
    } else if ('key' in line) {
      entries.push(line);
    } else if (isDataFile(line.file)) {
      audited.add(line.file, line.content);
    } else {
      throw new Error(`${file} has a file "${line.file}", which is none of a controller`);
    }
  }
  requireSome({ entries }, file, 'it was made of an empty store.');
  // A backup of a running controller has lines of changes that came after its store. No other change
  // may get their revisions.
  const { revision, madeAt, version } = head!;
  return { entries, revision: Math.max(revision, audited.highest), madeAt, version };
}

async function writeFiles(file: string, files: DataWriter): Promise<void> {
  files.clear();
  for await (const line of readBackup(file)) {
    if ('file' in line) {
      await files.write(line.file, line.content);
    }
  }
  await files.close();
}

/** @throws Error if there is no directory, or if it has no embedded store and no etcd is named */
function requireStore(data: string, etcd: StorePlace['etcd']): void {
  if (!statSync(data, { throwIfNoEntry: false })?.isDirectory()) {
    throw new Error(`there is no directory ${data}: name the data directory of the controller`);
  }
  if (etcd === undefined) {
    requireInFile(data);
    if (!existsSync(storeFile(data))) {
      throw new Error(`${storeFile(data)} is not there: name the data directory of the controller, or its --etcd`);
    }
  }
}

/** An embedded store gets the owner of its directory. */
function own(data: string): void {
  if (process.geteuid?.() === 0 && existsSync(storeFile(data))) {
    const { uid, gid } = statSync(data);
    lchownSync(storeFile(data), uid, gid);
  }
}

function described(contents: Contents): string {
  return `${contents.entries.length} keys (SHA-256 ${digestOf(contents.entries)})`;
}
