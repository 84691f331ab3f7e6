/** `mirrorplane store`: copies of the store to another engine, backups, and what is restored from them. */
import { existsSync, lchownSync, statSync } from 'node:fs';
import path from 'node:path';
import { exitForUsage } from '@mirrorplane/daemon';
import { Command, Option } from 'commander';
import manifest from '../../package.json' with { type: 'json' };
import { clusterKeyFile } from '../shared/cluster-key.ts';
import { LATEST_TIME_FILE } from '../shared/local-files.ts';
import { type Contents, contentsOf, digestOf, fill } from '../store/contents.ts';
import { openStore, openToRead, openWholeStore, type StorePlace, storeFile } from '../store/open.ts';
import { addStoreOptions, etcdOptionsOf, type StoreOptions } from '../store/options.ts';
import { FILLING_KEY } from '../store/records.ts';
import type { Store } from '../store/store.ts';
import { HighestRevision } from './audited-revision.ts';
import { type BackupHead, type BackupLine, readBackup, writeBackup } from './backup-file.ts';
import { DataWriter, dataFiles, dataLines, isDataFile } from './data-files.ts';
import { resetTime } from './reset-time.ts';
import { asRestored } from './restored.ts';
import {
  emptyForFiles,
  makeNextKey,
  requireUnshared,
  SharedBackup,
  useNextKey,
  writeSharedFiles,
} from './shared-part.ts';

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
  if (to === 'etcd' && !existsSync(storeFile(data))) {
    throw new Error(`${storeFile(data)} is not there: is this the data directory of the controller?`);
  }
  const [from, target]: StorePlace[] = to === 'etcd' ? [{ data }, { data, etcd }] : [{ data, etcd }, { data }];
  const contents = await using(await openWholeStore(from!), async (source) => {
    const found = await contentsOf(source);
    await using(await openStore(target!), async (store) => {
      await requireUnshared(store, overwrite);
      const meanwhile = () =>
        to === 'etcd' ? emptyForFiles(store, data, new DataWriter(data)) : writeSharedFiles(data, source);
      await fill(store, found, { overwrite, meanwhile });
    });
    return found;
  });
  own(data);
  return `copied ${described(contents)} to ${to === 'etcd' ? 'etcd' : storeFile(data)}`;
}

async function backup(file: string, options: Arguments): Promise<string> {
  const { data } = options;
  const etcd = etcdOptionsOf(options);
  requireStore(data, etcd);
  return using(await openToRead({ data, etcd }), async (store) => {
    // The store first: the audit log must have all that the store knows of it. What is committed
    // meanwhile is in the logs, and not in the store.
    const contents = await contentsOf(store);
    const head = { version: manifest.version, madeAt: new Date().toISOString(), revision: contents.revision };
    const shared = await SharedBackup.open(data, store);
    await writeBackup(file, head, linesOf(contents, data, shared));
    const files = new Set([...dataFiles(data), ...(shared?.names ?? [])]);
    return `wrote ${described(contents)}, and ${files.size} files of ${data}, to ${file}: keep it secret`;
  });
}

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
  const place = { data, etcd: etcdOptionsOf(options) };
  const files = new DataWriter(data);
  await using(await openStore(place), async (store) => {
    const isInterrupted = (await store.get(FILLING_KEY)) !== undefined;
    if (present.length > 0 && !overwrite && !isInterrupted) {
      throw new Error(`${data} has files of a controller (${present[0]}): say --overwrite if they may be replaced`);
    }
    await requireUnshared(store, overwrite);
    const meanwhile = async () => {
      await emptyForFiles(store, data, files);
      await writeFiles(file, files);
    };
    await fill(store, asRestored(contents, new Date()), { overwrite, meanwhile });
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

async function using<T, S extends Pick<Store, 'close'>>(store: S, use: (store: S) => Promise<T>): Promise<T> {
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}

/** @throws Error if there is no embedded store, and no etcd is named */
function requireStore(data: string, etcd: StorePlace['etcd']): void {
  if (etcd === undefined && !existsSync(storeFile(data))) {
    throw new Error(`${storeFile(data)} is not there: name the data directory of the controller, or its --etcd`);
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
