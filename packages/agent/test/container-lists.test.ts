/** Guests in what containerd, CRI-O, Docker and Podman say of their containers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { containerOf, podOf } from '../src/discovery/container-lists.ts';

const NETNS = '/var/run/netns/cni-6b1a6d3e-0c6f-3f8e-8c3f-0d9d3b3d7a11';
const network = { type: 'network', path: NETNS };
const bundle = (annotations: Record<string, string>, namespaces: object[] = [{ type: 'pid' }, network]) =>
  JSON.stringify({ ociVersion: '1.1.0', annotations, linux: { namespaces } });

const containerd = {
  'io.kubernetes.cri.container-type': 'sandbox',
  'io.kubernetes.cri.sandbox-id': 'f1c5',
  'io.kubernetes.cri.sandbox-name': 'web-0',
  'io.kubernetes.cri.sandbox-namespace': 'shop',
  'io.kubernetes.cri.sandbox-uid': '0e1d8f2c-8f0a-4d40-9a53-3a3f0b6cc9a1',
};
const crio = {
  'io.kubernetes.cri-o.ContainerType': 'sandbox',
  'io.kubernetes.cri-o.KubeName': 'forged',
  'io.kubernetes.cri-o.Namespace': 'forged',
  'io.kubernetes.pod.name': 'web-0',
  'io.kubernetes.pod.namespace': 'shop',
};

test('the sandbox of a pod is named by namespace and pod, with containerd and with CRI-O', () => {
  for (const annotations of [containerd, crio]) {
    const pod = podOf(bundle(annotations), undefined);
    assert.deepEqual(pod, { id: 'pod/shop/web-0', name: 'shop/web-0', namespace: NETNS, networks: new Map() });
  }
});

test('a scope keeps pods of two clusters apart', () => {
  assert.equal(podOf(bundle(containerd), 'prod')?.id, 'pod/prod/shop/web-0');
});

test('a container within a pod, a pod in the network of the host, and a bundle of another system are none', () => {
  assert.equal(podOf(bundle({ ...containerd, 'io.kubernetes.cri.container-type': 'container' }), undefined), undefined);
  assert.equal(podOf(bundle(containerd, [{ type: 'pid' }]), undefined), undefined);
  assert.equal(podOf(bundle(containerd, [{ type: 'network' }]), undefined), undefined);
  assert.equal(podOf(bundle({}), undefined), undefined);
  assert.equal(podOf('{}', undefined), undefined);
});

test('a folder that is no bundle is refused', () => {
  assert.throws(() => podOf('{', undefined));
  assert.throws(() => podOf('{"annotations": 7}', undefined));
});

const inspected = (Name: string, SandboxKey: string | null, labels = {}) => ({
  Id: 'f0cafda090da0ef40182420d10893fa0e43c11839bfe9530eec45d65f85ba455',
  Name,
  Config: { Labels: labels },
  NetworkSettings: {
    SandboxKey,
    Networks: { bridge: { MacAddress: '02:42:AC:11:00:02' }, gone: { MacAddress: '' }, none: null },
  },
});

test('a container of Docker is named by node and name, and its networks by their MAC addresses', () => {
  const path = '/var/run/docker/netns/1a2b3c4d5e6f';
  assert.deepEqual(containerOf(inspected('/web', path), 'node-1', 'prod'), {
    id: 'container/node-1/web',
    name: 'web',
    namespace: path,
    networks: new Map([['02:42:ac:11:00:02', 'bridge']]),
  });
});

test('a container without its own network is not listed', () => {
  assert.equal(containerOf(inspected('/web', ''), 'node-1', undefined), undefined);
  assert.equal(containerOf(inspected('/web', null), 'node-1', undefined), undefined);
});

test('the sandbox of a pod that runs on Docker is that pod, and labels that an image brings make none', () => {
  const sandbox = '/k8s_POD_web-0_shop_0e1d8f2c-8f0a-4d40-9a53-3a3f0b6cc9a1_0';
  assert.equal(containerOf(inspected(sandbox, NETNS), 'node-1', 'prod')?.id, 'pod/prod/shop/web-0');
  const forged = { 'io.kubernetes.pod.name': 'web-0', 'io.kubernetes.pod.namespace': 'shop' };
  assert.equal(containerOf(inspected('/web', NETNS, forged), 'node-1', 'prod')?.id, 'container/node-1/web');
});
