/** A listener on a bridge is for whoever sits on that bridge: anybody else is closed before TLS, whatever token it has. */
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterEach, describe, expect, test } from 'vitest';
import { GUEST_API } from '#shared/wire/api';
import { startTestAgent, type TestAgent } from './agent-http-helpers.ts';

const own = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ internal, family }) => !internal && family === 'IPv4')?.address;
const missing = own === undefined ? ' (skipped: this machine has no IPv4 address beside loopback)' : '';

let agent: TestAgent;
afterEach(() => agent.close());

describe.skipIf(own === undefined)(`the source of a call${missing}`, () => {
  const address = own ?? '';
  const CALLS = Object.values(GUEST_API).map(({ method, path }) => [method, path.replace('{job_id}', 'x')] as const);

  test('T35, T38: outside the prefix no call reaches the agent, those about drives as little as any other', async () => {
    // The same addresses as on a host whose LAN has a route to the bridge's address: the peer is not on the bridge.
    let prefix = `${address}/32`;
    agent = await startTestAgent({ address, interfaces: () => [{ address, cidr: prefix }] });
    const token = await agent.enroll(101);
    const handled: string[] = [];
    agent.handlers.listDisks = () => {
      handled.push('list');
      return { vmid: 101, disks: [], reason: '' };
    };
    expect((await agent.ask('/disks', { token })).status).toBe(200);
    prefix = '10.255.255.1/24';
    const refused = await Promise.all(
      CALLS.map(([method, path]) =>
        agent.ask(path, { token, method, ...(method === 'POST' ? { body: {} } : {}) }).then(
          ({ status }) => `${path} was answered with ${status}`,
          () => '',
        ),
      ),
    );
    expect(refused.filter((one) => one !== '')).toEqual([]);
    expect(CALLS.map(([, path]) => path)).toEqual(
      expect.arrayContaining(['/disks', '/disks/assign', '/disks/eject', '/disks/format']),
    );
    expect(handled).toEqual(['list']);
  });

  test('and it is closed before a byte of TLS is spoken', async () => {
    agent = await startTestAgent({ address, interfaces: () => [{ address, cidr: '10.255.255.1/24' }] });
    const heard = await new Promise<number>((resolve) => {
      let bytes = 0;
      const socket = connect({ host: address, port: agent.port });
      socket.on('data', (part) => {
        bytes += part.length;
      });
      socket.on('error', () => undefined);
      socket.on('close', () => resolve(bytes));
    });
    expect(heard).toBe(0);
  });
});
