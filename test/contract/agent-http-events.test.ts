/** GET /events over real TLS: begins with how things stand, tells each guest its own, and never outlives its token, its client or the agent. */
import { request } from 'node:https';
import { connect } from 'node:tls';
import { Value } from 'typebox/value';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Job, newJob } from '#agent/backups/jobs';
import { statusView } from '#agent/backups/view';
import type { FormatJob } from '#agent/disks/format/format';
import type { Problem, ProblemChange } from '#agent/health/problems';
import { createEventHub } from '#agent/http/event-hub';
import type { Clock } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import { GuestEvent } from '#shared/wire/events';
import { startTestAgent, type TestAgent } from './agent-http-helpers.ts';

/** Real timers; those of the keep-alive run when the test says so. */
const beating = () => {
  const beats = new Set<() => void>();
  const clock: Clock = {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    after: (ms, call) => {
      if (ms === 15_000) {
        beats.add(call);
        return () => beats.delete(call);
      }
      const timer = setTimeout(call, ms);
      return () => clearTimeout(timer);
    },
  };
  const beat = (): void => {
    for (const call of [...beats]) {
      beats.delete(call);
      call();
    }
  };
  return { clock, beat, streams: () => beats.size };
};

let agent: TestAgent;
let token: string;
let { clock, beat, streams } = beating();
let open: Problem[] = [];
let tellJob: (job: Job) => void;
let tellArchives: (vmid: number) => void;
let tellProblem: (change: ProblemChange) => void;
let tellFormat: (job: FormatJob) => void;
let tellOps: (vmid: number) => void;
let readStatus: () => Promise<void>;

const job = (vmid: number, facts: Partial<Job> = {}): Job => ({
  ...newJob({ jobId: `job-${vmid}`, vmid, requestId: null, storage: 'bak', createdAt: 1000, intends: ['db'] } as Parameters<
    typeof newJob
  >[0]),
  state: 'running',
  ...facts,
});

const problem = (vmid: number | null, evidence = '2 attempts'): Problem => ({
  code: 'backup-failing',
  severity: 'warning',
  vmid,
  sentence: 'The backup failed twice.',
  evidence,
  nextStep: 'Ask the operator to look.',
  since: 0,
});

beforeEach(async () => {
  ({ clock, beat, streams } = beating());
  agent = await startTestAgent({ clock, limits: { requestsPerSecond: 1000, streams: 2 } });
  token = await agent.enroll(101);
  open = [];
  readStatus = async () => undefined;
  const hub = createEventHub({
    backups: {
      status: async (vmid) => {
        await readStatus();
        return statusView(vmid, null, 'r.1');
      },
      onChange: (listener) => {
        tellJob = listener;
      },
    },
    problems: {
      list: (vmid) => open.filter((one) => one.vmid === null || one.vmid === vmid),
      onChange: (listener) => {
        tellProblem = listener;
      },
    },
    formats: {
      onChange: (listener) => {
        tellFormat = listener;
      },
    },
  });
  tellArchives = hub.archivesChanged;
  tellOps = hub.opsChanged;
  agent.handlers.getEvents = ({ guest, signal }, send) => hub.follow(guest, send, signal);
});
afterEach(() => agent.close());

interface Stream {
  status: number;
  type: string | undefined;
  text: () => string;
  events: () => GuestEvent[];
  ids: () => string[];
  ended: Promise<void>;
  leave: () => void;
}

const listen = (as = token): Promise<Stream> =>
  new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${as}` };
    const call = request({
      host: '127.0.0.1',
      port: agent.port,
      path: '/events',
      rejectUnauthorized: false,
      agent: false,
      headers,
    });
    call.once('error', reject);
    call.once('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('error', () => undefined);
      const ended = new Promise<void>((over) => response.once('close', over));
      const blocks = () => text.split('\n\n').filter((block) => block.includes('event: '));
      resolve({
        status: response.statusCode ?? 0,
        type: response.headers['content-type'],
        text: () => text,
        events: () =>
          blocks().map((block) => ({
            event: /^event: (.*)$/m.exec(block)?.[1],
            data: JSON.parse(/^data: (.*)$/m.exec(block)?.[1] ?? ''),
          })) as GuestEvent[],
        ids: () => blocks().map((block) => /^id: (.*)$/m.exec(block)?.[1] ?? ''),
        ended,
        leave: () => call.destroy(),
      });
    });
    call.end();
  });

const heard = async (stream: Stream, count: number): Promise<GuestEvent[]> => {
  await expect.poll(() => stream.events().length).toBe(count);
  return stream.events();
};

test('the first event is how things stand; what follows are the changes, each with an id of its own', async () => {
  open = [problem(101), problem(102), problem(null, 'of the host')];
  const stream = await listen();
  expect([stream.status, stream.type]).toEqual([200, 'text/event-stream; charset=utf-8']);
  const [hello] = await heard(stream, 1);
  expect(hello).toMatchObject({ event: 'hello', data: { vmid: 101, job: { phase: 'idle' } } });
  expect(hello?.event === 'hello' && hello.data.problems.map(({ vmid }) => vmid)).toEqual([101, null]);
  expect(stream.text()).toMatch(/^retry: \d+\n\n/);

  tellJob(job(101));
  tellJob(job(101, { consistencyPointAt: 2000 }));
  tellProblem({ kind: 'cleared', problem: problem(null) });
  const events = await heard(stream, 4);
  expect(events.slice(1)).toMatchObject([
    { event: 'job', data: { vmid: 101, job_id: 'job-101', phase: 'running', consistency_point_at: null } },
    { event: 'job', data: { consistency_point_at: '1970-01-01T00:00:02.000Z' } },
    {
      event: 'problem',
      data: { change: 'cleared', problem: { code: 'backup-failing', next_step: 'Ask the operator to look.' } },
    },
  ]);
  for (const event of events) expect(Value.Errors(GuestEvent, event)).toEqual([]);
  const ids = stream.ids();
  expect(new Set(ids).size).toBe(4);
  expect(new Set(ids.map((id) => id.split('.')[0])).size).toBe(1);
  stream.leave();
});

const FORMAT: FormatJob = {
  ...{ jobId: 'fmt-1', vmid: 101, drive: 1, device: 'sdb', model: 'SSD', serial: 'S1', sizeBytes: 5e11, fstype: 'ext4' },
  ...{ permittedBy: 'blank', askedId: '', boundId: '', opId: '', state: 'done', phase: 'ended', uuid: 'u-1', error: '' },
  ...{ startedAt: 1000, finishedAt: 2000 },
};

test('formats and operations are told to the guest that they are for', async () => {
  const stream = await listen();
  await heard(stream, 1);
  tellFormat({ ...FORMAT, vmid: 102 });
  tellFormat(FORMAT);
  tellOps(102);
  tellOps(101);
  const [, format, ops] = await heard(stream, 3);
  expect(format).toMatchObject({ event: 'format', data: { job_id: 'fmt-1', state: 'done', durable_id: 'uuid:u-1' } });
  expect(ops).toEqual({ event: 'ops', data: { vmid: 101 } });
  for (const event of [format, ops]) expect(Value.Errors(GuestEvent, event)).toEqual([]);
  stream.leave();
});

test('a guest hears of itself and of the host, never of another guest', async () => {
  const stream = await listen();
  await heard(stream, 1);
  tellJob(job(102));
  tellArchives(102);
  tellArchives(101);
  tellProblem({ kind: 'raised', problem: problem(102) });
  tellProblem({ kind: 'raised', problem: problem(null) });
  tellJob(job(101));
  expect((await heard(stream, 4)).map(({ event }) => event)).toEqual(['hello', 'archives', 'problem', 'job']);
  expect(stream.text()).not.toContain('102');
  stream.leave();
});

test('a token without the scope "backup" hears of problems only', async () => {
  const { authenticate } = agent.guests;
  agent.guests.authenticate = (shown) => ({ ...authenticate(shown), scopes: ['metrics'] });
  const stream = await listen();
  expect((await heard(stream, 1))[0]).toMatchObject({ event: 'hello', data: { job: null } });
  tellJob(job(101));
  tellArchives(101);
  tellProblem({ kind: 'raised', problem: problem(101) });
  expect((await heard(stream, 2)).map(({ event }) => event)).toEqual(['hello', 'problem']);
  stream.leave();
});

test('what changes while the first event is made comes right after it, the newest of each', async () => {
  let answer = (): void => undefined;
  let asked = false;
  readStatus = () =>
    new Promise((resolve) => {
      asked = true;
      answer = resolve;
    });
  const opening = listen();
  await expect.poll(() => asked).toBe(true);
  tellJob(job(101));
  tellJob(job(101, { state: 'done' }));
  tellProblem({ kind: 'raised', problem: problem(101) });
  answer();
  const stream = await opening;
  expect(await heard(stream, 3)).toMatchObject([
    { event: 'hello' },
    { event: 'job', data: { phase: 'done' } },
    { event: 'problem' },
  ]);
  stream.leave();
});

test('a quiet stream is kept alive by comments', async () => {
  const stream = await listen();
  await heard(stream, 1);
  const before = stream.text();
  beat();
  beat();
  await expect.poll(() => stream.text()).toBe(`${before}:\n\n:\n\n`);
  stream.leave();
  await expect.poll(streams).toBe(0);
});

test.each<[string, () => Promise<unknown>]>([
  ['revoking', () => agent.guests.revoke(101)],
  ['rotating without an overlap', () => agent.guests.rotate(101, 0)],
  ['stopping the agent', () => agent.close()],
])('%s ends the stream within a second', async (_what, act) => {
  const stream = await listen();
  await heard(stream, 1);
  const since = Date.now();
  const acted = act();
  await stream.ended;
  expect(Date.now() - since).toBeLessThan(1000);
  await acted;
  expect(streams()).toBe(0);
  expect(agent.journal.filter(({ level }) => level === 'error')).toEqual([]);
  if (_what.startsWith('stopping')) agent = await startTestAgent();
});

test('when the overlap of a replaced token ends, its stream ends with the next sign of life', async () => {
  let offset = 0;
  const { now } = clock;
  clock.now = () => now() + offset;
  const stream = await listen();
  await heard(stream, 1);
  await agent.guests.rotate(101, 60);
  beat();
  await expect.poll(() => stream.text().endsWith(':\n\n')).toBe(true);
  offset = 61_000;
  beat();
  await stream.ended;
});

test('streams count against the limit of the token, and a client that goes gives its place back', async () => {
  const [first, second] = [await listen(), await listen()];
  const third = await listen();
  await third.ended;
  expect([third.status, JSON.parse(third.text()).code]).toEqual([429, 'too-many-streams']);
  first.leave();
  await expect
    .poll(async () => {
      const again = await listen();
      again.leave();
      return again.status;
    })
    .toBe(200);
  second.leave();
});

test.each<[string, () => void, number, string]>([
  ['no token', () => (token = ''), 401, 'token-unknown'],
  [
    'a database that fails',
    () => {
      readStatus = () => Promise.reject(new FelhomError('state-failed', 'The database failed.'));
    },
    409,
    'state-failed',
  ],
])('%s is refused in the envelope, before any event', async (_what, spoil, status, code) => {
  spoil();
  const stream = await listen(token || `fht_101_${'A'.repeat(43)}`);
  await stream.ended;
  expect([stream.status, stream.type]).toEqual([status, 'application/json; charset=utf-8']);
  expect(JSON.parse(stream.text())).toMatchObject({ ok: false, code });
});

test('a token that is revoked while the first event is made is told so, and nothing follows', async () => {
  let settled = false;
  const { getEvents } = agent.handlers;
  agent.handlers.getEvents = (call, send) => {
    // As near to the refusal as it can come.
    call.signal.addEventListener('abort', () => answer());
    return getEvents(call, send).finally(() => {
      settled = true;
    });
  };
  let asked = false;
  let answer = (): void => undefined;
  readStatus = () =>
    new Promise((resolve) => {
      asked = true;
      answer = resolve;
    });
  const opening = listen();
  await expect.poll(() => asked).toBe(true);
  await agent.guests.revoke(101);
  const stream = await opening;
  await stream.ended;
  expect([stream.status, JSON.parse(stream.text()).code]).toEqual([401, 'token-revoked']);
  await expect.poll(() => settled).toBe(true);
  await new Promise((resolve) => setImmediate(resolve));
  expect(agent.journal.filter(({ level }) => level === 'error')).toEqual([]);
});

test('a client that does not read is let go, and what waits for it stays bounded', async () => {
  const socket = connect({ host: '127.0.0.1', port: agent.port, rejectUnauthorized: false }, () => {
    socket.write(`GET /events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\n\r\n`);
  });
  let closed = false;
  socket.on('error', () => undefined);
  socket.once('close', () => {
    closed = true;
  });
  await expect.poll(streams).toBe(1);
  socket.pause();
  const before = process.memoryUsage().rss;
  const long = 'x'.repeat(10_000);
  for (let sent = 0; streams() > 0 && sent < 20_000; sent += 1) {
    tellProblem({ kind: 'raised', problem: problem(101, long) });
    if (sent % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  expect(streams()).toBe(0);
  expect(agent.journal.some(({ sentence }) => sentence.includes('too slowly'))).toBe(true);
  expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024);
  socket.resume();
  await expect.poll(() => closed).toBe(true);
  expect((await agent.ask('/identity', { token })).status).toBe(200);
});

test('a client that goes is written to no more, whatever the handler does', async () => {
  agent.handlers.getEvents = (_call, send) => {
    send({ event: 'archives', data: { vmid: 101 } });
    return new Promise(() => undefined);
  };
  const stream = await listen();
  await heard(stream, 1);
  expect(streams()).toBe(1);
  stream.leave();
  await expect.poll(streams).toBe(0);
});

test('the document shows the stream', async () => {
  const { json } = await agent.ask('/openapi.json');
  expect(Object.keys(json.paths['/events'].get.responses[200].content)).toEqual(['text/event-stream']);
});
