/** kill -9 of the agent at each step of a job, and answers that get lost: the job ends with the truth, and one vzdump was started. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { askAdmin } from '../contract/admin-socket.ts';
import { type ProcessHost, startProcessHost } from '../contract/process-host.ts';
import type { FaultRule } from '../pve/faults.ts';
import { get } from '../stranger/client.ts';

const VZDUMP = { method: 'POST', path: '/vzdump' } as const;

const waitFor = async <T>(look: () => T | undefined | false, what: string, patienceMs = 20_000): Promise<T> => {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const found = look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

const vzdumps = (host: ProcessHost) => host.pve.world.tasks.filter((task) => task.type === 'vzdump');
const asked = (host: ProcessHost) =>
  host.pve.requests.filter(({ method, path }) => method === 'POST' && path.includes('/vzdump'));

/** The job's last status; long polls, and goes on while the agent is away. */
const ended = async (host: ProcessHost, patienceMs = 90_000) => {
  const deadline = Date.now() + patienceMs;
  let revision = '';
  for (;;) {
    const status = await get(host.address(), `/backup/status?wait=8&after=${encodeURIComponent(revision)}`).catch(() => null);
    if (status?.phase === 'done' || status?.phase === 'failed') return status;
    revision = status?.revision ?? '';
    if (Date.now() > deadline) throw new Error(`the job did not end: ${JSON.stringify(status)}\n${host.said.join('\n')}`);
    if (!status) await new Promise((resolve) => setTimeout(resolve, 100));
  }
};

const withHost = async (body: (host: ProcessHost) => Promise<void>): Promise<void> => {
  const host = await startProcessHost();
  try {
    await body(host);
  } finally {
    await host.close();
  }
};

/** Starts a backup, waits for the line at which vzdump then stands still, and kills the agent. */
const killAtLine = async (host: ProcessHost, line: RegExp): Promise<string> => {
  host.pve.vzdumpFaults.hang = line;
  const started = await host.post('/backup', {});
  await waitFor(() => vzdumps(host)[0]?.log.some((each) => line.test(each)), `the line ${line}`);
  await host.kill();
  return started.json.data.job_id;
};

describe.concurrent('the agent is killed', { timeout: 150_000 }, () => {
  test('before Proxmox got the request: failed, none started', () =>
    withHost(async (host) => {
      host.pve.faults.add({ ...VZDUMP, effect: { hang: true } });
      const started = await host.post('/backup', {});
      await waitFor(() => asked(host).length > 0, 'the request');
      await host.kill();
      host.pve.faults.clear();
      await host.restart();
      const status = await ended(host);
      expect(status).toMatchObject({ phase: 'failed', job_id: started.json.data.job_id, label: null, archive: '' });
      expect(status.error).not.toBe('');
      expect(vzdumps(host)).toHaveLength(0);
      expect(asked(host)).toHaveLength(1);
    }));

  test('after Proxmox started the task, before it answered: the task is found and followed', () =>
    withHost(async (host) => {
      host.pve.vzdumpFaults.copyMs = 3000;
      host.pve.faults.add({ ...VZDUMP, effect: { hang: true, after: 'work' } });
      const started = await host.post('/backup', {});
      await waitFor(() => vzdumps(host).length > 0, 'the task');
      await host.kill();
      host.pve.faults.clear();
      await host.restart();
      expect(await ended(host)).toMatchObject({ phase: 'done', job_id: started.json.data.job_id, label: 'filesystem' });
      expect(vzdumps(host)).toHaveLength(1);
    }));

  test.each([
    ['before the consistency point', /create storage snapshot/],
    ['during the copy', /creating vzdump archive/],
  ])('%s: followed to its end, nothing lost', (_when, line) =>
    withHost(async (host) => {
      const job = await killAtLine(host, line);
      await host.restart();
      expect((await host.get('/backup/status')).json.data).toMatchObject({ phase: 'running', job_id: job });
      host.pve.vzdumpFaults.hang = undefined;
      const status = await ended(host);
      expect(status).toMatchObject({ phase: 'done', job_id: job, label: 'filesystem', mode: 'snapshot', error: '' });
      expect(status.consistency_point_at).not.toBeNull();
      expect(vzdumps(host)).toHaveLength(1);
    }),
  );

  test('while it is asked to stop the job: the next one stops it', () =>
    withHost(async (host) => {
      host.pve.vzdumpFaults.hang = /creating vzdump archive/;
      host.pve.faults.add({ method: 'DELETE', path: '/tasks/', effect: { hang: true } });
      await host.post('/backup', {});
      await waitFor(() => vzdumps(host)[0]?.log.some((each) => each.includes('creating vzdump archive')), 'the copy');
      await askAdmin(join(host.dir, 'agent/run/admin.sock'), 'POST', '/backups/cancel', { vmid: 101 });
      await host.kill();
      expect(vzdumps(host)[0]?.exitstatus).toBeUndefined();
      host.pve.faults.clear();
      await host.restart();
      const status = await ended(host);
      expect(status).toMatchObject({ phase: 'failed', error: expect.stringContaining('stopped by') });
      expect(vzdumps(host)).toHaveLength(1);
    }));

  test('and the task ends while it is away: its verdict is read afterwards', () =>
    withHost(async (host) => {
      const job = await killAtLine(host, /archive file size/);
      host.pve.vzdumpFaults.hang = undefined;
      await waitFor(() => vzdumps(host)[0]?.exitstatus, 'the end of the task');
      await host.restart();
      expect(await ended(host)).toMatchObject({ phase: 'done', job_id: job, label: 'filesystem' });
      expect(vzdumps(host)).toHaveLength(1);
    }));

  test('and the task fails while it is away: failed, with a sentence', () =>
    withHost(async (host) => {
      const job = await killAtLine(host, /creating vzdump archive/);
      host.pve.vzdumpFaults.fail = { text: 'zstd: error 70 : Write error : No space left on device' };
      host.pve.vzdumpFaults.hang = undefined;
      await waitFor(() => vzdumps(host)[0]?.exitstatus, 'the end of the task');
      await host.restart();
      const status = await ended(host);
      expect(status).toMatchObject({ phase: 'failed', job_id: job });
      expect(status.error).toMatch(/\.$/);
      expect(vzdumps(host)).toHaveLength(1);
    }));
});

describe.concurrent('the answer to the POST gets lost', { timeout: 150_000 }, () => {
  const cases: [string, FaultRule['effect'], 'done' | 'failed', number][] = [
    ['596, and the task runs', { answer: 596, after: 'work' }, 'done', 1],
    ['596, and no task was started', { answer: 596 }, 'failed', 0],
    ['reset after the work', { reset: true, after: 'work' }, 'done', 1],
    ['reset before the work', { reset: true }, 'failed', 0],
    ['595: never reached', { answer: 595 }, 'failed', 0],
  ];
  test.each(cases)('%s: no second vzdump', (_how, effect, phase, tasks) =>
    withHost(async (host) => {
      host.pve.faults.add({ ...VZDUMP, effect, times: 1 });
      await host.post('/backup', {});
      expect(await ended(host)).toMatchObject({ phase });
      expect(vzdumps(host)).toHaveLength(tasks);
      expect(asked(host)).toHaveLength(1);
    }),
  );
});

describe("nobody reads the agent's log any more", { timeout: 60_000 }, () => {
  test('the job goes on to its end, in the same process', () =>
    withHost(async (host) => {
      host.agent.stderr?.destroy();
      const started = await host.post('/backup', {});
      expect(await ended(host)).toMatchObject({ phase: 'done', job_id: started.json.data.job_id, label: 'filesystem' });
      expect(host.agent.exitCode).toBeNull();
    }));
});

describe('Proxmox restarts its daemons in the middle of a job', () => {
  let host: ProcessHost;
  beforeAll(async () => {
    host = await startProcessHost();
  }, 60_000);
  afterAll(() => host.close());

  test('the job is followed all the same', { timeout: 60_000 }, async () => {
    host.pve.vzdumpFaults.hang = /creating vzdump archive/;
    const started = await host.post('/backup', {});
    await waitFor(() => vzdumps(host)[0]?.log.some((line) => line.includes('creating vzdump archive')), 'the copy');
    await host.pve.faults.restart(3000);
    host.pve.vzdumpFaults.hang = undefined;
    expect(await ended(host)).toMatchObject({ phase: 'done', job_id: started.json.data.job_id, label: 'filesystem' });
    expect(vzdumps(host)).toHaveLength(1);
  });
});
