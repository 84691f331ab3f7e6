/** What container runtimes say of their containers. Pure. */
import * as z from 'zod';

/** A container or pod, and where its network is. */
export interface Container {
  /** The beginning of its interfaces' ids: what names it, whatever runtime runs it, for as long as it has this name. */
  id: string;
  /** For people. */
  name: string;
  /** Path of its network namespace. */
  namespace: string;
  /** Name of the network by MAC address in it, where the runtime knows. */
  networks: ReadonlyMap<string, string>;
}

/** The part of a bundle's `config.json` that is needed. Its format: the OCI runtime specification. */
const Bundle = z.object({
  annotations: z.record(z.string(), z.string()).nullish(),
  linux: z
    .object({ namespaces: z.array(z.object({ type: z.string(), path: z.string().optional() })).nullish() })
    .nullish(),
});

/** By which annotations a runtime says that a bundle is the sandbox of a pod, and of which one. */
const POD_ANNOTATIONS = [
  {
    type: 'io.kubernetes.cri.container-type',
    namespace: 'io.kubernetes.cri.sandbox-namespace',
    name: 'io.kubernetes.cri.sandbox-name',
  },
  // Of those that CRI-O writes, the ones that come from labels of the kubelet: no annotation of a pod replaces them.
  {
    type: 'io.kubernetes.cri-o.ContainerType',
    namespace: 'io.kubernetes.pod.namespace',
    name: 'io.kubernetes.pod.name',
  },
] as const;

/** The id of a pod. In another cluster there may be one of the same name, so `scope` keeps them apart. */
function podId(scope: string | undefined, namespace: string, name: string): string {
  return ['pod', ...(scope === undefined ? [] : [scope]), namespace, name].join('/');
}

/**
 * Reads a bundle's `config.json` of containerd or CRI-O. Undefined where it is not the sandbox of a pod, or the pod has no
 * network of its own.
 * @param scope what keeps the pods apart from those of another cluster
 * @throws Error where it is not understood
 */
export function podOf(config: string, scope: string | undefined): Container | undefined {
  const { annotations, linux } = Bundle.parse(JSON.parse(config));
  const said = new Map(Object.entries(annotations ?? {}));
  const keys = POD_ANNOTATIONS.find(({ type }) => said.get(type) === 'sandbox');
  const namespace = keys && said.get(keys.namespace);
  const name = keys && said.get(keys.name);
  const path = linux?.namespaces?.find(({ type }) => type === 'network')?.path;
  if (!namespace || !name || !path) {
    return undefined;
  }
  return { id: podId(scope, namespace, name), name: `${namespace}/${name}`, namespace: path, networks: new Map() };
}

/** The part of an item of `GET /containers/json` that is needed. */
export const ListedContainer = z.object({ Id: z.string().regex(/^[0-9a-f]{12,64}$/) });

/** The part of `GET /containers/ID/json` that is needed. */
const Inspected = z.object({
  Name: z.string(),
  HostConfig: z.object({ NetworkMode: z.string().nullish() }).nullish(),
  NetworkSettings: z.object({
    SandboxKey: z.string().nullish(),
    Networks: z.record(z.string(), z.object({ MacAddress: z.string().nullish() }).nullish()).nullish(),
  }),
});

/** How cri-dockerd names the sandbox of a pod: `k8s_POD_NAME_NAMESPACE_UID_ATTEMPT`. */
const POD_SANDBOX = /^k8s_POD_([^_]+)_([^_]+)_[^_]+_\d+$/;

/**
 * Reads what Docker or Podman says of a container. Undefined where it has no network of its own. Labels are not asked:
 * the author of the image may have written them.
 * @param node where it runs: names of containers are unique there only
 * @throws Error where it is not understood
 */
export function containerOf(inspected: unknown, node: string, scope: string | undefined): Container | undefined {
  const { Name, HostConfig, NetworkSettings } = Inspected.parse(inspected);
  const path = NetworkSettings.SandboxKey;
  // In the network of another container, Podman gives the path of that one.
  if (!path || HostConfig?.NetworkMode?.startsWith('container:')) {
    return undefined;
  }
  const name = Name.replace(/^\//, '');
  const networks = new Map(
    Object.entries(NetworkSettings.Networks ?? {}).flatMap(([network, of]) =>
      of?.MacAddress ? [[of.MacAddress.toLowerCase(), network] as const] : [],
    ),
  );
  const [, pod, namespace] = POD_SANDBOX.exec(name) ?? [];
  if (pod !== undefined && namespace !== undefined) {
    return { id: podId(scope, namespace, pod), name: `${namespace}/${pod}`, namespace: path, networks };
  }
  return { id: `container/${node}/${name}`, name, namespace: path, networks };
}
