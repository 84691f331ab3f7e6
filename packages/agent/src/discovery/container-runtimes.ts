/** Asks container runtimes for their containers: by the bundles that they run, or by the API of Docker and Podman. */
import { access, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { errno, readBounded } from './bounded-file.ts';
import { type Container, containerOf, ListedContainer, podOf } from './container-lists.ts';
import { getItems, getJson, HttpError } from './unix-http.ts';

/** Where to find containers. */
export interface Runtime {
  /** Folder of bundles, or socket. */
  path: string;
  /** `bundles`: a folder with one of a container each. `api`: a socket where Docker's API is spoken. */
  kind: 'bundles' | 'api';
  /** File that is there while it runs: who connects to the socket of one that does not run would start it. */
  pidFile?: string;
}

/** What `auto` looks for. */
export const RUNTIMES: readonly Runtime[] = [
  // containerd: as of Debian and kubeadm, K3s and RKE2, K0s, MicroK8s.
  ...['/run/containerd', '/run/k3s/containerd', '/run/k0s/containerd', '/var/snap/microk8s/common/run/containerd'].map(
    (state): Runtime => ({ path: `${state}/io.containerd.runtime.v2.task/k8s.io`, kind: 'bundles' }),
  ),
  // CRI-O.
  { path: '/run/containers/storage/overlay-containers', kind: 'bundles' },
  { path: '/run/docker.sock', kind: 'api', pidFile: '/run/docker.pid' },
  { path: '/run/podman/podman.sock', kind: 'api' },
];

/** Containers of one runtime on one host that are looked at. */
const MAX_CONTAINERS = 4096;
/** Bytes of a bundle's configuration, or of what is said of one container. */
const CONFIG_LIMIT = 4 << 20;
/** Questions at once. */
const PARALLEL = 4;
/** Milliseconds after which no further container is asked for: one that does not answer takes ten seconds. */
const ASKING_MS = 60_000;

/** What a runtime has given. */
export interface ContainerReading {
  /** By the id of the runtime. */
  containers: Map<string, Container>;
  /** What was not understood, a line each. */
  unreadable: string[];
}

/** How ids are made. */
export interface ContainerNaming {
  /** Name of the node. */
  node: string;
  /** What keeps pods apart from those of another cluster. */
  scope: string | undefined;
}

/**
 * Reads the containers of a runtime. Of one that is listed and cannot be read now, what was said last holds.
 * @param options.last what the runtime has given the last time
 * @param options.askingMs milliseconds after which no further container is asked for. Default one minute
 * @throws Error where it cannot be read now; with the code `ENOENT` where it is not there
 */
export async function readContainers(
  runtime: Runtime,
  naming: ContainerNaming,
  { last, askingMs = ASKING_MS }: { last?: ContainerReading | undefined; askingMs?: number } = {},
): Promise<ContainerReading> {
  const reading: ContainerReading = { containers: new Map(), unreadable: [] };
  if (runtime.pidFile !== undefined) {
    await access(runtime.pidFile);
  }
  const bundles = runtime.kind === 'bundles';
  const { ids, more } = bundles ? await bundlesIn(runtime.path) : await listed(runtime.path);
  if (more) {
    reading.unreadable.push(`${runtime.path} has more than ${MAX_CONTAINERS} containers; only that many are read`);
  }
  // Those that are not known first, if there is not time for all.
  const queue = [...ids.filter((id) => last?.containers.has(id)), ...ids.filter((id) => !last?.containers.has(id))];
  const end = performance.now() + askingMs;
  const keepLast = (id: string) => {
    const known = last?.containers.get(id);
    if (known !== undefined) {
      reading.containers.set(id, known);
    }
  };
  let late = 0;
  const work = async () => {
    for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
      if (performance.now() > end) {
        late++;
        keepLast(id);
        continue;
      }
      try {
        const found = bundles ? await podIn(join(runtime.path, id), naming) : await inspect(runtime.path, id, naming);
        if (found !== undefined) {
          reading.containers.set(id, found);
        }
      } catch (error) {
        // That the runtime itself cannot be read is not about one container.
        if (errno(error) !== undefined) {
          throw error;
        }
        reading.unreadable.push(`${join(runtime.path, id)}: ${error instanceof Error ? error.message : error}`);
        keepLast(id);
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
  if (late > 0) {
    const what = `${late} containers could not be read within ${askingMs / 1000} s; their last known state holds`;
    reading.unreadable.unshift(`${runtime.path}: ${what}`);
  }
  return reading;
}

/** Ids of what a runtime runs. */
interface Ids {
  ids: string[];
  /** There are more, which are left out. */
  more: boolean;
}

async function bundlesIn(folder: string): Promise<Ids> {
  const ids: string[] = [];
  for await (const { name } of await opendir(folder)) {
    if (ids.length === MAX_CONTAINERS) {
      return { ids, more: true };
    }
    ids.push(name);
  }
  return { ids, more: false };
}

async function listed(socket: string): Promise<Ids> {
  const ids: string[] = [];
  const question = { socket, path: '/containers/json', level: 0, most: MAX_CONTAINERS } as const;
  const more = await getItems(question, (item) => ids.push(ListedContainer.parse(item).Id));
  return { ids, more };
}

async function podIn(folder: string, { scope }: ContainerNaming): Promise<Container | undefined> {
  // CRI-O keeps the bundle one folder below.
  const config =
    (await readBounded(join(folder, 'config.json'), CONFIG_LIMIT)) ??
    (await readBounded(join(folder, 'userdata/config.json'), CONFIG_LIMIT));
  return config === undefined ? undefined : podOf(config, scope);
}

async function inspect(socket: string, id: string, { node, scope }: ContainerNaming): Promise<Container | undefined> {
  try {
    return containerOf(await getJson(socket, `/containers/${id}/json`, { limit: CONFIG_LIMIT }), node, scope);
  } catch (error) {
    // It has gone since it was listed.
    if (error instanceof HttpError && error.status === 404) {
      return undefined;
    }
    throw error;
  }
}
