import { rm, writeFile } from 'node:fs/promises';
import { afterEach, expect, test } from 'vitest';
import { getBackupDue, getBackupStatus, startBackup } from '#shared/wire/backups';
import { notDue as DUE } from '../unit/controller/fake-agent.ts';
import { bootstrapOf, cleanUp, envelope, later, makeLeaf, refused, startAgent, startClient, TOKEN } from './controller-agent.ts';

const GOOD = makeLeaf();
const OTHER = makeLeaf();

type Start = Parameters<typeof startAgent>;
const agentWith = async (leaf: Start[0], handle: Start[1], version?: Start[2]) => {
  const agent = await startAgent(leaf, handle, version);
  later(() => agent.close());
  return agent;
};
const says =
  (text: string, status = 200): Start[1] =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(text);
  };
afterEach(cleanUp);

test('a pinned agent is called with token and instance, on one kept connection', async () => {
  const agent = await agentWith(GOOD, says(envelope({ ...DUE, more: 'later agents say more' })));
  const { client } = await startClient(bootstrapOf([[agent.port, [GOOD.fingerprint]]]));
  await expect(client.call(getBackupDue)).resolves.toMatchObject(DUE);
  await client.call(getBackupStatus, { query: { wait: '8', after: 'e/1 2' } }).catch(() => undefined);
  expect(agent.requests[0]).toMatchObject({
    line: 'GET /backup/due',
    authorization: `Bearer ${TOKEN}`,
    instance: 'test-instance',
  });
  expect(agent.requests[1]?.line).toBe('GET /backup/status?wait=8&after=e%2F1+2');
  expect(agent.connections).toBe(1);
});

test.each(['TLSv1.2', 'TLSv1.3'] as const)('%s: a man in the middle receives not one byte of a request', async (version) => {
  const agent = await agentWith(OTHER, says(envelope(DUE)), version);
  const { client } = await startClient(bootstrapOf([[agent.port, [GOOD.fingerprint]]]));
  await expect(client.call(getBackupDue)).rejects.toMatchObject({ code: 'agent-pin-mismatch' });
  await expect(client.call(startBackup, { body: {} })).rejects.toMatchObject({ code: 'agent-pin-mismatch' });
  expect(agent).toMatchObject({ bytes: 0, requests: [] });
});

test.each(['TLSv1.2', 'TLSv1.3'] as const)('%s: nor after a good session, which is never resumed', async (version) => {
  const good = await startAgent(GOOD, says(envelope(DUE)), version);
  const { client } = await startClient(bootstrapOf([[good.port, [GOOD.fingerprint]]]));
  await client.call(getBackupDue);
  await good.close();
  const middle = await startAgent(OTHER, says(envelope(DUE)), version, good.port);
  later(() => middle.close());
  await expect(client.call(getBackupDue)).rejects.toMatchObject({ code: 'agent-pin-mismatch' });
  await expect(client.call(getBackupDue)).rejects.toMatchObject({ code: 'agent-pin-mismatch' });
  expect(middle).toMatchObject({ bytes: 0, requests: [] });
});

test('any of several pins will do', async () => {
  const agent = await agentWith(OTHER, says(envelope(DUE)));
  const { client } = await startClient(bootstrapOf([[agent.port, [GOOD.fingerprint, OTHER.fingerprint]]]));
  await expect(client.call(getBackupDue)).resolves.toMatchObject(DUE);
});

test('the second address is tried when the first is not there, or is somebody else; a POST too', async () => {
  const middle = await agentWith(OTHER, says(envelope(DUE)));
  const agent = await agentWith(GOOD, says(envelope({ vmid: 101, job_id: 'j', phase: 'running' }), 202));
  const pins = [GOOD.fingerprint];
  const { client } = await startClient(
    bootstrapOf([
      [1, pins],
      [middle.port, pins],
      [agent.port, pins],
    ]),
  );
  await expect(client.call(startBackup, { body: { request_id: 'r1' } })).resolves.toMatchObject({ job_id: 'j' });
  expect(agent.requests).toMatchObject([{ line: 'POST /backup', body: '{"request_id":"r1"}' }]);
  expect(middle.bytes).toBe(0);
});

test('a bootstrap file that changes on disk counts from the next call', async () => {
  const first = await agentWith(GOOD, says(envelope(DUE)));
  const second = await agentWith(OTHER, says(envelope({ ...DUE, reason: 'the other' })));
  const { client, push } = await startClient(bootstrapOf([[first.port, [GOOD.fingerprint]]]));
  await client.call(getBackupDue);
  await push(bootstrapOf([[second.port, [OTHER.fingerprint]]]));
  await expect(client.call(getBackupDue)).resolves.toMatchObject({ reason: 'the other' });
  expect(first.requests).toHaveLength(1);
});

test('refused with a token that was pushed anew in the meantime: asked again with the new one', async () => {
  const fresh = `fht_101_${'B'.repeat(43)}`;
  const agent = await agentWith(GOOD, () => undefined);
  const first = bootstrapOf([[agent.port, [GOOD.fingerprint]]]);
  const { client, push } = await startClient(first);
  agent.handle = async (request, response, body) => {
    const known = request.headers.authorization === `Bearer ${fresh}`;
    if (!known) await push({ ...first, token: fresh });
    says(known ? envelope(DUE) : refused('token-superseded', 'Old.'), known ? 200 : 401)(request, response, body);
  };
  await expect(client.call(getBackupDue)).resolves.toMatchObject(DUE);
  expect(agent.requests).toHaveLength(2);
});

test.each([
  ['token-missing', 401],
  ['token-unknown', 401],
  ['token-revoked', 401],
  ['token-superseded', 401],
  ['token-wrong-guest', 401],
  ['scope-missing', 403],
  ['backup-slot-busy', 409],
  ['duplicate-instance', 409],
  ['backup-too-soon', 429],
  ['a-code-of-a-later-agent', 418],
])('%s passes through with its sentence', async (code, status) => {
  const agent = await agentWith(GOOD, says(refused(code, 'A sentence.'), status));
  const { client } = await startClient(bootstrapOf([[agent.port, [GOOD.fingerprint]]]));
  await expect(client.call(startBackup, { body: {} })).rejects.toMatchObject({ code, message: 'A sentence.' });
  expect(agent.requests).toHaveLength(1);
});

test('a refusal in a 200 is a refusal', async () => {
  const agent = await agentWith(GOOD, says(refused('not-known', 'Nothing is known.')));
  const { client } = await startClient(bootstrapOf([[agent.port, [GOOD.fingerprint]]]));
  await expect(client.call(getBackupDue)).rejects.toMatchObject({ code: 'not-known' });
});

test.each([
  ['not JSON', '<html>', 200],
  ['an empty body', '', 200],
  ['no envelope', JSON.stringify(DUE), 200],
  ['wrong types', envelope({ vmid: '101', due: 'yes', reason: 1 }), 200],
  ['a field missing', envelope({ vmid: 101 }), 200],
  ['null for data', envelope(null), 200],
  ['ok in a 500', envelope(DUE), 500],
  ['a failure without a code', refused('', 'x'), 400],
  ['more than a mebibyte', envelope({ ...DUE, reason: 'x'.repeat(1024 * 1024) }), 200],
])('%s is not believed', async (_what, text, status) => {
  const agent = await agentWith(GOOD, says(text, status));
  const { client } = await startClient(bootstrapOf([[agent.port, [GOOD.fingerprint]]]));
  await expect(client.call(getBackupDue)).rejects.toMatchObject({ code: 'agent-answer-unreadable' });
});

test("the host's time of an answer is told to whoever asks for it", async () => {
  const agent = await agentWith(GOOD, (_request, response) => {
    response.writeHead(200, { date: 'Sun, 01 Mar 2026 04:00:00 GMT' }).end(envelope(DUE));
  });
  const { client } = await startClient(bootstrapOf([[agent.port, [GOOD.fingerprint]]]));
  const told: number[] = [];
  await client.call(getBackupDue, { onHostTime: (ms) => told.push(ms) });
  expect(told).toEqual([Date.parse('2026-03-01T04:00:00Z')]);
  agent.handle = (_request, response) => {
    response.sendDate = false;
    response.end(envelope(DUE));
  };
  await client.call(getBackupDue, { onHostTime: (ms) => told.push(ms) });
  expect(told).toHaveLength(1);
});

test('an agent that does not answer in time', async () => {
  const agent = await agentWith(GOOD, () => undefined);
  const { client } = await startClient(bootstrapOf([[agent.port, [GOOD.fingerprint]]]));
  await expect(client.call(getBackupDue, { timeoutMs: 200 })).rejects.toMatchObject({ code: 'agent-unreachable' });
});

test('a call that is given up ends at once', async () => {
  const agent = await agentWith(GOOD, () => undefined);
  const { client } = await startClient(bootstrapOf([[agent.port, [GOOD.fingerprint]]]));
  await expect(client.call(getBackupDue, { signal: AbortSignal.timeout(50) })).rejects.toMatchObject({ code: 'cancelled' });
});

test('a connection that is cut: a GET is asked again, a POST is not', async () => {
  let cuts = 1;
  const agent = await agentWith(GOOD, (request, response, body) => {
    if (cuts-- > 0) agent.cut();
    else says(envelope(DUE))(request, response, body);
  });
  const { client } = await startClient(bootstrapOf([[agent.port, [GOOD.fingerprint]]]));
  await expect(client.call(getBackupDue)).resolves.toMatchObject(DUE);
  expect(agent.requests).toHaveLength(2);
  cuts = 1;
  await expect(client.call(startBackup, { body: {} })).rejects.toMatchObject({ code: 'agent-unreachable' });
  expect(agent.requests).toHaveLength(3);
});

test('a bootstrap file that is missing, or not one', async () => {
  const { client, file } = await startClient(bootstrapOf([[1, [GOOD.fingerprint]]]));
  await writeFile(file, '{"vmid":101,"token":"secret"');
  const error = await client.call(getBackupDue).catch((thrown: Error) => thrown);
  expect(error).toMatchObject({ code: 'bootstrap-invalid' });
  expect(JSON.stringify(error) + String((error as Error).stack) + String((error as Error).cause)).not.toContain('secret');
  await writeFile(file, '{"vmid":101}');
  await expect(client.call(getBackupDue)).rejects.toMatchObject({ code: 'bootstrap-invalid' });
  await rm(file);
  await expect(client.call(getBackupDue)).rejects.toMatchObject({ code: 'bootstrap-missing' });
});

test('nobody listens', async () => {
  const { client } = await startClient(bootstrapOf([[1, [GOOD.fingerprint]]]));
  await expect(client.call(getBackupDue)).rejects.toMatchObject({ code: 'agent-unreachable' });
});
