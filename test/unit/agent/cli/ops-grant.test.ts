/** `felhom-agent ops grant`: an agent that gives no answer has not refused. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { opsGrantCommand } from '#agent/cli/ops-grant';

const cleanup: (() => void)[] = [];
afterEach(() => {
  for (const step of cleanup.splice(0)) step();
});

const JOB = {
  ...{ job_id: 'fmt-1', type: 'format', vmid: 101, device: 'sdb', model: 'USB', serial: 'S1', size_bytes: 1, fstype: 'ext4' },
  ...{ state: 'running', phase: 'wiping', permitted_by: 'granted', op_id: 'op-123456789abc', started_at: '2026-11-22T14:00:00Z' },
  ...{ finished_at: null, durable_id: '', error: '' },
};

/** What it says and how it ends, with an agent that answers so; null: there is none. */
const carry = async (answer: RequestListener | null) => {
  const dir = mkdtempSync(join(tmpdir(), 'felhom-carry-'));
  cleanup.push(() => rmSync(dir, { recursive: true, force: true }));
  const [config, line] = [join(dir, 'agent.yaml'), join(dir, 'line')];
  writeFileSync(config, `listen: [{address: 127.0.0.1, port: 8443}]\nruntime_dir: ${dir}\n`);
  writeFileSync(line, 'eyJ.eyJ.abc\n');
  if (answer !== null) {
    const server: Server = createServer(answer);
    await new Promise<void>((resolve) => server.listen(join(dir, 'admin.sock'), resolve));
    cleanup.push(() => void server.close());
  }
  const said: string[] = [];
  let status = 0;
  const io = {
    out: (text: string) => void said.push(text),
    err: (text: string) => void said.push(text),
    exit: (code: number) => {
      status = code;
    },
  };
  const thrown = await opsGrantCommand(io)
    .parseAsync([line, '--config', config], { from: 'user' })
    .then(
      () => '',
      (error: Error) => error.message,
    );
  return { said: said.join('\n'), status, thrown };
};

const reply =
  (...answers: (object | null)[]): RequestListener =>
  (request, response) => {
    request.resume();
    const next = answers.length > 1 ? answers.shift() : answers[0];
    if (next === null || next === undefined) response.destroy();
    else response.end(JSON.stringify(next));
  };
const ok = (data: object) => ({ ok: true, data, error: '', code: '' });

test('an agent that ends before it answers may have accepted it', async () => {
  const { said, status, thrown } = await carry(reply(null));
  expect(thrown).toBe('');
  expect(said).toMatch(/Whether the signature was accepted is not known.*felhom-agent ops list/);
  expect(status).toBe(3);
});

test('an agent that is started anew while the drive is being erased is waited for', async () => {
  const { said, status } = await carry(reply(ok(JOB), null, ok({ ...JOB, state: 'done', durable_id: 'uuid:1234' })));
  expect(said).toMatch(/is erased and holds an empty ext4 \(uuid:1234\)/);
  expect(status).toBe(0);
});

test('one that does not know the format any more did not refuse it either', async () => {
  const { said, status } = await carry(reply(ok(JOB), { ok: false, data: null, error: 'There is no format fmt-1.', code: 'x' }));
  expect(said).toMatch(/There is no format fmt-1\. How it ends, "felhom-agent ops show op-123456789abc" tells/);
  expect(status).toBe(3);
});

test.each<[string, RequestListener | null, RegExp]>([
  [
    'a refusal',
    reply({ ok: false, data: null, error: 'This signature was used already.', code: 'grant-refused' }),
    /used already/,
  ],
  ['no agent', null, /does not run/],
])('%s is one', async (_what, answer, why) => {
  const { said, thrown } = await carry(answer);
  expect(thrown).toMatch(why);
  expect(said).not.toMatch(/not known|accepted/);
});
