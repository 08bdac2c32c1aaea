/** Every answer is an envelope, whatever was sent; refusals have the form that clients in the field judge. */
import { connect as connectTcp } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FelhomError } from '#shared/errors';
import { type Answer, type Ask, envelopeIn, startTestAgent, type TestAgent } from './agent-http-helpers.ts';

let agent: TestAgent;
let token: string;
beforeAll(async () => {
  agent = await startTestAgent();
  token = await agent.enroll(101);
});
afterAll(() => agent.close());

const isEnvelope = (json: unknown, code: string) =>
  expect(json).toMatchObject({ ok: false, error: expect.stringMatching(/\w.*\.$/), code });

const METRICS = {
  host: {
    node: 'pve1',
    cpu_percent: 1.5,
    memory_total_bytes: 2,
    memory_used_bytes: 1,
    memory_percent: 50,
    disk_total_bytes: 2,
    disk_used_bytes: 1,
    disk_percent: 50,
    loadavg: ['0.10', '0.20', '0.30'],
    uptime_seconds: 5,
    cpu_temp_c: 45,
  },
  storage_targets: [],
  stale: [],
};

describe('requests that no endpoint takes', () => {
  test.each<[string, string, Ask, number, string]>([
    ['an unknown path', '/nothing', {}, 404, 'not-found'],
    ['a path with a slash too many', '/storage/', {}, 404, 'not-found'],
    ['a path that cannot be decoded', '/%E0%A4%A', {}, 400, 'invalid-request'],
    ['a very long path', `/${'a'.repeat(5000)}`, {}, 404, 'not-found'],
    ['another method', '/storage', { method: 'POST' }, 405, 'method-not-allowed'],
    ['OPTIONS', '/storage', { method: 'OPTIONS' }, 405, 'method-not-allowed'],
    ['PROPFIND', '/storage', { method: 'PROPFIND' }, 405, 'method-not-allowed'],
    ['TRACE', '/nothing', { method: 'TRACE' }, 404, 'not-found'],
    ['text', '/backup', { method: 'POST', body: 'x', headers: { 'content-type': 'text/plain' } }, 415, 'unsupported-media-type'],
    [
      'a form',
      '/backup',
      { method: 'POST', body: 'a=1', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
      415,
      'unsupported-media-type',
    ],
    ['half of a JSON', '/backup', { method: 'POST', body: '{"request_id":' }, 400, 'invalid-request'],
    ['a JSON number', '/backup', { method: 'POST', body: '7' }, 400, 'invalid-request'],
    ['an array', '/backup', { method: 'POST', body: [] }, 400, 'invalid-request'],
    ['a number for a text', '/backup', { method: 'POST', body: { request_id: 7 } }, 400, 'invalid-request'],
    ['17 KiB', '/backup', { method: 'POST', body: { pad: 'x'.repeat(17_000) } }, 413, 'body-too-large'],
    ['a wait that is none', '/backup/status?wait=nine', {}, 400, 'invalid-request'],
    ['two waits', '/backup/status?wait=1&wait=2', {}, 400, 'invalid-request'],
    ['an expectation', '/storage', { headers: { expect: 'tea' } }, 400, 'invalid-request'],
  ])('%s', async (_what, path, options, status, code) => {
    const answer = await agent.ask(path, { token, ...options });
    expect([answer.status, answer.json?.code]).toEqual([status, code]);
    isEnvelope(answer.json, code);
    expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
  });

  test('HEAD has no body and is refused', async () => {
    const answer = await agent.ask('/storage', { token, method: 'HEAD' });
    expect([answer.status, answer.text, answer.headers.allow]).toEqual([405, '', 'GET']);
  });

  test('the sentence names the field', async () => {
    const answer = await agent.ask('/backup', { token, method: 'POST', body: { request_id: 7 } });
    expect(answer.json.error).toContain('"request_id"');
    const missing = await agent.ask('/disks/assign', { token, method: 'POST', body: {} });
    expect(missing.json.error).toContain('"uuid"');
  });
});

describe('bytes that are no request', () => {
  test.each([
    ['garbage', 'GARBAGE\r\n\r\n', 400, 'invalid-request'],
    ['a bad version', 'GET / HTTP/9.9\r\n\r\n', 400, 'invalid-request'],
    ['two lengths', 'POST /backup HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', 400, 'invalid-request'],
    [
      'length and chunks',
      'POST /backup HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
      'invalid-request',
    ],
    ['20 KiB of header', `GET /healthz HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431, 'headers-too-large'],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 'invalid-request'],
  ])('%s', async (_what, text, status, code) => {
    const heard = envelopeIn(await agent.raw(text));
    expect(heard.status).toBe(status);
    isEnvelope(heard.json, code);
  });

  test('a request without a Host is answered', async () => {
    const heard = await agent.raw('GET /healthz HTTP/1.0\r\n\r\n');
    expect(heard).toContain('"alive":true');
  });

  test('no TLS at all: the connection ends, and the agent goes on', async () => {
    await new Promise<void>((resolve) => {
      const socket = connectTcp(agent.port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\n\r\n'));
      socket.on('data', () => undefined);
      socket.on('error', () => undefined);
      socket.on('close', () => resolve());
    });
    expect((await agent.ask('/healthz')).status).toBe(200);
  });

  test('a client that dawdles over its headers, or its body, is let go within ten seconds', async () => {
    const since = Date.now();
    const body = `POST /backup HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{`;
    const [headers, slow] = await Promise.all([agent.raw('GET /healthz HTTP/1.1\r\nX: '), agent.raw(body)]);
    for (const heard of [headers, slow]) {
      if (heard !== '') expect(envelopeIn(heard)).toMatchObject({ status: 408, json: { code: 'request-timeout' } });
    }
    expect(Date.now() - since).toBeLessThan(11_000);
  }, 20_000);
});

describe('scopes', () => {
  test('a token without the scope is refused, in the form of the endpoint', async () => {
    const narrow = await agent.enroll(102);
    agent.guests.list();
    await agent.store.write({ sql: 'UPDATE guests SET scopes = \'["metrics"]\' WHERE vmid = 102' });
    const { createGuests } = await import('#agent/guests/service');
    const reread = await createGuests({
      store: agent.store,
      proxmox: { node: 'pve1', resources: async () => ({ guests: [], storages: [] }) },
      clock: { now: Date.now, monotonic: () => performance.now(), after: () => () => undefined },
      journal: () => undefined,
      limits: () => agent.limits,
      endpoints: () => [],
    });
    const session = reread.authenticate({ authorization: `Bearer ${narrow}`, instance: undefined, source: '' });
    expect(session.scopes).toEqual(['metrics']);
    const former = agent.guests.authenticate;
    agent.guests.authenticate = reread.authenticate;
    try {
      const status = async (path: string, options: Ask = {}) => {
        const { status, json } = await agent.ask(path, { token: narrow, ...options });
        return [status, json.code];
      };
      expect(await status('/backup/due')).toEqual([403, 'scope-missing']);
      expect(await status('/identity')).toEqual([200, '']);
      expect(await status('/disks/assign', { method: 'POST', body: {} })).toEqual([200, 'scope-missing']);
      const format = await agent.ask('/disks/format', { token: narrow, method: 'POST', body: { device: 'sdb', fstype: 'ext4' } });
      expect(format).toMatchObject({
        status: 409,
        json: { ok: false, code: 'scope-missing', data: { vmid: 102, device: 'sdb', formatted: false, data_bearing: true } },
      });
    } finally {
      agent.guests.authenticate = former;
    }
  });
});

describe('format: nothing but a confirmed true could ever format, and every refusal says that nothing was', () => {
  const refused = ({ status, json }: Answer, device: string, vmid: number | null = 101) => {
    expect(status).not.toBe(403);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(json).toMatchObject({ ok: false, data: { vmid, device, formatted: false, data_bearing: true, reason: json.error } });
  };

  test.each([1, 'true', 'yes', {}, [true], 0])('confirmed: %j is not taken for true', async (confirmed) => {
    const answer = await agent.ask('/disks/format', {
      token,
      method: 'POST',
      body: { device: 'sdb', fstype: 'ext4', confirmed },
    });
    expect(answer.status).toBe(422);
    refused(answer, 'sdb');
  });

  test.each<[string, Ask, number, string]>([
    ['no token', { token: undefined as never, body: { device: 'sdb', fstype: 'ext4' } }, 401, ''],
    ['a device that is a list', { body: { device: ['sdb'], fstype: 'ext4' } }, 422, ''],
    ['no body', {}, 422, ''],
    ['too much', { body: { device: 'sdb', fstype: 'ext4', pad: 'x'.repeat(17_000) } }, 413, ''],
    ['half a JSON', { body: '{"device":"sdb"' }, 422, ''],
    ['null', { body: 'null' }, 422, ''],
    ['an expectation', { body: { device: 'sdb', fstype: 'ext4' }, headers: { expect: 'tea' } }, 422, ''],
    ['text', { body: 'x', headers: { 'content-type': 'text/plain' } }, 415, ''],
    ['GET', { method: 'GET' }, 405, ''],
    ['not possible yet', { body: { device: 'sdb', fstype: 'ext4', confirmed: true } }, 409, 'sdb'],
  ])('%s', async (what, options, status, device) => {
    const answer = await agent.ask('/disks/format', { token, method: 'POST', ...options });
    expect(answer.status).toBe(status);
    refused(answer, device, what === 'no token' || what === 'GET' ? null : 101);
  });

  test.each([
    ['backup-too-soon', 429],
    ['not-found', 404],
    ['internal', 500],
  ] as const)('a handler that refuses with %s', async (code, status) => {
    const former = agent.handlers.formatDisk;
    agent.handlers.formatDisk = () => {
      throw new FelhomError(code, 'Not now.');
    };
    const answer = await agent.ask('/disks/format', { token, method: 'POST', body: { device: 'sdb', fstype: 'ext4' } });
    agent.handlers.formatDisk = former;
    expect(answer.status).toBe(status);
    refused(answer, 'sdb');
  });
});

describe('assign and eject: a refusal is a 200 with a sentence', () => {
  test.each<[string, unknown]>([
    ['/disks/assign', { uuid: '1234-ABCD', where: '/mnt/felhom/usb', fstype: 'exfat' }],
    ['/disks/assign', { uuid: 7 }],
    ['/disks/eject', { where: '/mnt/felhom/usb' }],
    ['/disks/eject', '{'],
  ])('%s %j', async (path, body) => {
    const { status, json } = await agent.ask(path, { token, method: 'POST', body });
    expect([status, json.ok]).toEqual([200, false]);
    expect(json.error).toMatch(/\w/);
    if (path === '/disks/eject') expect(json.data).toEqual({ vmid: 101, ejected: false, dependent_guests: [] });
  });

  test('a failing token keeps its status', async () => {
    expect((await agent.ask('/disks/eject', { method: 'POST', body: {} })).status).toBe(401);
  });
});

describe('answers', () => {
  test('a backup may be asked for without a body, and with keys that nobody knows', async () => {
    agent.handlers.startBackup = ({ guest, body }) => ({ vmid: guest.vmid, job_id: body.request_id ?? 'none', phase: 'running' });
    expect((await agent.ask('/backup', { token, method: 'POST' })).status).toBe(202);
    const answer = await agent.ask('/backup', { token, method: 'POST', body: { request_id: 'a', quiesced: true } });
    expect([answer.status, answer.json.data.job_id]).toEqual([202, 'a']);
  });

  test.each(['null', '[]', '"x"', '7', 'true'])('a body of %s is no object, and is not taken for one', async (body) => {
    const { status, json } = await agent.ask('/backup', { token, method: 'POST', body });
    expect([status, json.code, json.error]).toEqual([400, 'invalid-request', "The request's body must be object."]);
  });

  test('a number that JSON cannot hold makes a null, not a 500', async () => {
    agent.handlers.getHostMetrics = ({ guest }) => ({
      vmid: guest.vmid,
      ...METRICS,
      host: { ...METRICS.host, cpu_temp_c: Number.NaN, uptime_seconds: 45.5, cpu_percent: Number.POSITIVE_INFINITY },
    });
    const { status, json } = await agent.ask('/host/metrics', { token });
    expect(status).toBe(200);
    expect(json.data.host).toMatchObject({ cpu_temp_c: null, uptime_seconds: 45, cpu_percent: null });
    expect(agent.journal.some(({ sentence }) => sentence.includes('did not fit'))).toBe(true);
  });

  test('what the contract does not know never leaves', async () => {
    agent.handlers.getHostMetrics = ({ guest }) => ({ vmid: guest.vmid, ...METRICS, secret: 'x' }) as never;
    const { json } = await agent.ask('/host/metrics', { token });
    expect(json.data).toEqual({ vmid: 101, ...METRICS });
  });

  test('an answer that would be too large is not sent', async () => {
    const target = { name: 'x'.repeat(200) };
    agent.handlers.getHostMetrics = ({ guest }) =>
      ({
        vmid: guest.vmid,
        ...METRICS,
        stale: Array.from({ length: 3000 }, () => ({ source: target.name, age_seconds: null })),
      }) as never;
    const { status, json, text } = await agent.ask('/host/metrics', { token });
    expect([status, json.code]).toEqual([500, 'internal']);
    expect(text.length).toBeLessThan(1000);
  });

  test('a mistake in a handler is told to nobody but the journal', async () => {
    agent.handlers.getHostMetrics = () => {
      throw new TypeError('cannot read /etc/secret of undefined');
    };
    const { status, json, text } = await agent.ask('/host/metrics', { token });
    expect([status, json.code]).toEqual([500, 'internal']);
    expect(text).not.toContain('secret');
    expect(agent.journal.some(({ level, fields }) => level === 'error' && String(fields?.stack).includes('/etc/secret'))).toBe(
      true,
    );
  });

  test('openapi.json is the document itself; healthz needs no token', async () => {
    const { json } = await agent.ask('/openapi.json');
    expect(json.openapi).toBe('3.1.0');
    expect(Object.keys(json.paths)).toContain('/disks/format');
    expect(json.paths['/backup/status'].get.parameters).toHaveLength(2);
    expect((await agent.ask('/healthz')).json).toEqual({ ok: true, data: { alive: true }, error: '', code: '' });
  });
});

test('after all this the agent is alive, and stops though answers are held', async () => {
  const other = await startTestAgent();
  const otherToken = await other.enroll(101);
  let holding = false;
  other.handlers.getBackupStatus = ({ signal }) =>
    new Promise((resolve) => {
      holding = true;
      signal.addEventListener('abort', () => resolve({ vmid: 101 } as never));
    });
  const held = other.ask('/backup/status?wait=8', { token: otherToken });
  await expect.poll(() => holding).toBe(true);
  const since = Date.now();
  await other.close();
  expect(Date.now() - since).toBeLessThan(2500);
  expect((await held).status).toBe(200);
  expect((await agent.ask('/identity', { token })).json.data.vmid).toBe(101);
});
