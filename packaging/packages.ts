/** The packages: their contents and dependencies. */
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { SCRIPTS } from '@mirrorplane/cli/completion';
import { type Bundled, bundle } from './bundle.ts';
import {
  type Component,
  consoleComponents,
  koffiComponent,
  libbpfComponent,
  nodeComponent,
  npmComponents,
} from './components.ts';
import { describeDaemon } from './describe.ts';
import { type Architecture, type Brought, neededGlibc } from './fetch.ts';
import { requireAllowed, thirdParty } from './licences.ts';
import { commandPage, daemonPage } from './man.ts';
import { ROOT } from './paths.ts';
import { type Subject, sbomOf } from './sbom.ts';
import { settingsTemplate } from './settings-template.ts';

/** Folder of the programs on a host. */
const LIB = '/usr/lib/mirrorplane';
const FILES = join(import.meta.dirname, 'files');
/** The console as `make console` builds it, and in there the licences of what it contains. */
const CONSOLE = join(ROOT, 'packages/console/dist');
const LICENCES = 'licences.md';
/** What runs in the sandbox of decoders, and the units that are this sandbox. */
const DECODE = join(ROOT, 'packages/controller/src/decoder/decode.sh');
/** What root does before the agent starts. */
const PREPARE = join(FILES, 'prepare.sh');
const DECODER_UNITS = ['mirrorplane-decoder.socket', 'mirrorplane-decoder@.service'];

/** One package, ready to be packed. */
export interface Package {
  name: string;
  version: string;
  /** One line. */
  summary: string;
  description: string;
  /** Dependencies in Debian's syntax. */
  depends: string[];
  /** Dependencies in RPM's syntax. */
  requires: string[];
  /** Packages that it can do more with, by format. Default: none. */
  suggests?: { deb: string[]; rpm: string[] };
  /** Configuration files, which belong to the operator after the installation. */
  conffiles: string[];
  /** The folder with its files as they will be on a host. */
  tree: string;
  /** Its systemd unit. */
  service?: string;
  /** Date of its files, seconds since 1970. */
  epoch: number;
}

/** Values that all packages of a build share. */
export interface Build {
  version: string;
  architecture: Architecture;
  /** Date of files, seconds since 1970. */
  epoch: number;
  /** An empty folder. */
  work: string;
  brought: Brought;
}

/** npm gives every file this date. So the runtime package has the same bytes in every build. */
const NPM_EPOCH = Date.UTC(1985, 9, 26, 8, 15) / 1000;

/**
 * Node.js. The package has the version of Node.js, so it is downloaded again only when this
 * changes.
 */
export function runtimePackage({ work, brought, architecture }: Build): Package {
  const tree = new Tree(join(work, 'mirrorplane-runtime'));
  tree.copy(brought.node, `${LIB}/runtime/node`, 0o755);
  tree.copy(brought.nodeLicence, '/usr/share/doc/mirrorplane-runtime/copyright');
  const subject = { name: 'mirrorplane-runtime', version: brought.nodeVersion, epoch: NPM_EPOCH };
  listComponents(tree, subject, [nodeComponent(brought, architecture)]);
  return {
    ...subject,
    summary: 'Node.js for Mirrorplane',
    description: 'The Node.js that the other packages of Mirrorplane run on. Nothing else on a host uses it.',
    depends: [`libc6 (>= ${neededGlibc([brought.node])})`, 'libstdc++6 (>= 5.2)', 'libgcc-s1 | libgcc1'],
    requires: ['glibc', 'libstdc++', 'libgcc'],
    conffiles: [],
    tree: tree.root,
  };
}

/** The command line. */
export async function cliPackage(build: Build): Promise<Package> {
  const name = 'mirrorplane';
  const tree = new Tree(join(build.work, name));
  const bundled = await bundle('cli', tree.at(`${LIB}/cli`), build.version);
  tree.copy(join(FILES, 'bin/mirrorplane'), '/usr/bin/mirrorplane', 0o755);
  manPage(tree, 'mirrorplane.1', commandPage(build));
  tree.write('/usr/share/bash-completion/completions/mirrorplane', SCRIPTS.bash);
  tree.write('/usr/share/zsh/vendor-completions/_mirrorplane', SCRIPTS.zsh);
  tree.write('/usr/share/fish/vendor_completions.d/mirrorplane.fish', SCRIPTS.fish);
  tree.write(`/usr/share/doc/${name}/copyright`, copyright(bundled));
  listComponents(tree, { ...build, name }, npmComponents(bundled));
  return {
    ...common(build, name, tree),
    summary: 'command line of Mirrorplane',
    description: 'Writes mirror policies and shows what becomes of them, through the API of a Mirrorplane controller.',
  };
}

/** The controller. */
export async function controllerPackage(build: Build): Promise<Package> {
  const name = 'mirrorplane-controller';
  const tree = new Tree(join(build.work, name));
  const bundled = await bundle('controller', tree.at(`${LIB}/controller`), build.version);
  tree.copy(build.brought.koffi, `${LIB}/controller/koffi.node`);
  daemon(tree, 'controller', build);
  tree.copy(DECODE, `${LIB}/controller/decode.sh`);
  for (const unit of DECODER_UNITS) {
    tree.copy(join(FILES, 'systemd', unit), `/usr/lib/systemd/system/${unit}`);
  }
  for (const file of consoleFiles()) {
    tree.copy(join(CONSOLE, file), `${LIB}/controller/console/${file}`);
  }
  const licences = readFileSync(join(CONSOLE, LICENCES), 'utf8');
  const ofConsole = `The console contains these packages of npm:\n\n${licences}`;
  tree.write(`/usr/share/doc/${name}/copyright`, `${copyright(bundled)}\n${ofConsole}`);
  const components = [...npmComponents(bundled), koffiComponent(build.brought), ...consoleComponents(licences)];
  listComponents(tree, { ...build, name }, components);
  const base = common(build, name, tree);
  return {
    ...base,
    depends: [...base.depends, 'passwd'],
    requires: [...base.requires, 'shadow-utils'],
    // Decoders run as processes of their own. None of their code is in this package.
    suggests: { deb: ['tshark', 'wireshark-common'], rpm: ['wireshark-cli'] },
    service: 'mirrorplane-controller.service',
    conffiles: ['/etc/mirrorplane/controller.yaml'],
    summary: 'controller of Mirrorplane',
    description: 'Stores the mirror policies of a cluster, plans the programs of its nodes, and serves the API.',
  };
}

/** What packages/bpf builds. */
const BPF_OBJECTS = ['mirror.bpf.o', 'hear.bpf.o'];

/** The agent, with the data plane and libbpf. */
export async function agentPackage(build: Build): Promise<Package> {
  const name = 'mirrorplane-agent';
  const { brought } = build;
  const tree = new Tree(join(build.work, name));
  const bundled = await bundle('agent', tree.at(`${LIB}/agent`), build.version);
  tree.copy(brought.koffi, `${LIB}/agent/koffi.node`);
  tree.copy(brought.netlink, `${LIB}/agent/netlink.node`);
  tree.copy(brought.libbpf, `${LIB}/agent/libbpf.so.1`);
  for (const object of BPF_OBJECTS) {
    tree.copy(join(ROOT, 'packages/bpf/dist', object), `${LIB}/agent/${object}`);
    tree.copy(join(ROOT, 'packages/bpf/LICENSE'), `/usr/share/doc/${name}/copyright.${object}`);
  }
  daemon(tree, 'agent', build);
  tree.copy(PREPARE, `${LIB}/agent/prepare.sh`);
  tree.write(`/usr/share/doc/${name}/copyright`, copyright(bundled));
  tree.copy(brought.libbpfCopyright, `/usr/share/doc/${name}/copyright.libbpf`);
  const native = [koffiComponent(brought), libbpfComponent(brought, build.architecture)];
  listComponents(tree, { ...build, name }, [...npmComponents(bundled), ...native]);
  const base = common(build, name, tree);
  return {
    ...base,
    depends: [...base.depends, 'libelf1t64 | libelf1', 'zlib1g', 'util-linux', 'mount', 'passwd'],
    requires: [...base.requires, 'elfutils-libelf', 'zlib', 'util-linux', 'shadow-utils'],
    service: 'mirrorplane-agent.service',
    conffiles: ['/etc/mirrorplane/agent.yaml'],
    summary: 'agent of Mirrorplane for one node',
    description: 'Attaches the eBPF data plane to the devices of a node, and carries out what the controller plans.',
  };
}

/** The files of the console. @throws Error if it is not built */
function consoleFiles(): string[] {
  if (!existsSync(join(CONSOLE, 'index.html'))) {
    throw new Error(`the console is not built: run "make console" in ${ROOT}`);
  }
  const files = readdirSync(CONSOLE, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const names = files.map(({ parentPath, name }) => relative(CONSOLE, join(parentPath, name))).sort();
  return names.filter((name) => name !== LICENCES && name !== 'manifest.json');
}

function common(build: Build, name: string, tree: Tree) {
  const { version, epoch, brought } = build;
  const [major, minor] = brought.nodeVersion.split('.');
  const runtime = `${major}.${minor}`;
  const native = [brought.koffi, brought.netlink, brought.libbpf];
  return {
    name,
    version,
    epoch,
    depends: [`mirrorplane-runtime (>= ${runtime})`, `libc6 (>= ${neededGlibc(native)})`],
    requires: [`mirrorplane-runtime >= ${runtime}`, `glibc >= ${neededGlibc(native)}`],
    conffiles: [] as string[],
    tree: tree.root,
  };
}

/** Settings of the package, because they belong to its unit. */
const SETTINGS = {
  agent: { data: '/var/lib/mirrorplane-agent' },
  controller: { data: '/var/lib/mirrorplane' },
} as const;

function daemon(tree: Tree, part: 'agent' | 'controller', build: Build): void {
  tree.copy(join(FILES, `bin/mirrorplane-${part}`), `/usr/sbin/mirrorplane-${part}`, 0o755);
  const unit = `mirrorplane-${part}.service`;
  tree.copy(join(FILES, 'systemd', unit), `/usr/lib/systemd/system/${unit}`);
  const described = describeDaemon(part);
  // The agent's file may contain a token. Both daemons read their files as users of their own.
  const mode = part === 'agent' ? 0o640 : 0o644;
  tree.write(`/etc/mirrorplane/${part}.yaml`, settingsTemplate(described, SETTINGS[part]), mode);
  manPage(tree, `mirrorplane-${part}.8`, daemonPage(described, build));
}

/** Where a package has the list of its components for machines. */
export const sbomPath = (name: string) => `/usr/share/doc/${name}/sbom.cdx.json`;

/** The lists of what others have written. @throws Error if a licence is not allowed */
function listComponents(tree: Tree, subject: Subject, components: readonly Component[]): void {
  const once = [...new Map(components.map((one) => [one.purl, one])).values()];
  requireAllowed(once);
  tree.write(`/usr/share/doc/${subject.name}/THIRD-PARTY`, thirdParty(once));
  tree.write(sbomPath(subject.name), sbomOf(subject, once));
}

function manPage(tree: Tree, name: string, page: string): void {
  // The gzip header of zlib contains no date.
  tree.write(`/usr/share/man/man${name.slice(-1)}/${name}.gz`, gzipSync(page, { level: 9 }));
}

function copyright(bundled: readonly Bundled[]): string {
  const parts = bundled.map(
    ({ name, version, licence, text }) => `${name} ${version} (${licence})\n\n${text.trim()}\n`,
  );
  return [
    'Mirrorplane is licensed under Apache-2.0; see /usr/share/common-licenses/Apache-2.0 or',
    'https://www.apache.org/licenses/LICENSE-2.0. Its JavaScript contains these packages of npm:\n',
    ...parts,
  ].join('\n');
}

/** Files of a package as they will be on a host, below a folder. */
class Tree {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
    mkdirSync(root, { recursive: true, mode: 0o755 });
  }

  /** The place of a host's path while the package is made. */
  at(path: string): string {
    const place = join(this.root, path);
    mkdirSync(dirname(place), { recursive: true });
    return place;
  }

  write(path: string, content: string | Buffer, mode = 0o644): void {
    writeFileSync(this.at(path), content);
    chmodSync(join(this.root, path), mode);
  }

  copy(from: string, path: string, mode = 0o644): void {
    copyFileSync(from, this.at(path));
    chmodSync(join(this.root, path), mode);
  }
}
