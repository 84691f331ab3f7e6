/** Settings that `mirrorplane up` guesses from its host. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { defaultRouteDevice, nodeNameOf } from '../src/host.ts';

const HEAD = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n';
const line = (device: string, destination: string, flags: string, metric: number, mask: string) =>
  `${device}\t${destination}\t0102A8C0\t${flags}\t0\t0\t${metric}\t${mask}\t0\t0\t0\n`;

describe('the device of the default route', () => {
  it('is that of the lowest metric', () => {
    const routes = [
      line('wlan0', '00000000', '0003', 600, '00000000'),
      line('eth0', '00000000', '0003', 100, '00000000'),
      line('eth1', '0002A8C0', '0001', 0, '00FFFFFF'),
    ];
    assert.equal(defaultRouteDevice(HEAD + routes.join('')), 'eth0');
  });

  it('is none where there is no default route, or only one that is down or loops back', () => {
    assert.equal(defaultRouteDevice(HEAD), undefined);
    assert.equal(defaultRouteDevice(''), undefined);
    assert.equal(defaultRouteDevice(HEAD + line('eth0', '00000000', '0002', 0, '00000000')), undefined);
    assert.equal(defaultRouteDevice(HEAD + line('lo', '00000000', '0003', 0, '00000000')), undefined);
    // A route to half of the Internet is no default route.
    assert.equal(defaultRouteDevice(HEAD + line('tun0', '00000000', '0003', 0, '00000080')), undefined);
  });
});

describe('the name of a node', () => {
  it('is the first label of the host name in lower case', () => {
    assert.equal(nodeNameOf('Rack1_Host-2.example.org'), 'rack1-host-2');
  });

  it('is none where the host name gives no name', () => {
    assert.equal(nodeNameOf('höst'), undefined);
    assert.equal(nodeNameOf(''), undefined);
  });
});
