/** A task's log, followed as its file grows and over the API. */
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { systemClock } from '#agent/ports/clock';
import { createTaskLog } from '#agent/ports/task-log';
import { parseUpid } from '#agent/ports/upid';

const UPID = 'UPID:pve1:000002DE:0002AD06:6B021F23:vzdump:101:felhom@pve!pve1:';
const pauseMs = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanups.splice(0)) clean();
});

const setup = (options: { file?: string; api?: (start: number) => Promise<string[]> } = {}) => {
  const directory = mkdtempSync(join(tmpdir(), 'felhom-tasks-'));
  const path = join(directory, '3', UPID);
  mkdirSync(dirname(path));
  if (options.file !== undefined) writeFileSync(path, options.file);
  const api = options.api ?? (() => Promise.reject(new Error('must not be asked')));
  const taskLog = createTaskLog({ directory, proxmox: { taskLog: (_upid, start) => api(start) }, clock: systemClock });
  const lines: string[] = [];
  const seenAt: number[] = [];
  const follower = taskLog.follow(UPID, (line) => {
    lines.push(line);
    seenAt.push(performance.now());
  });
  cleanups.push(() => {
    follower.stop();
    rmSync(directory, { recursive: true });
  });
  return { path, lines, seenAt, follower };
};

describe('the file', () => {
  test('is read from its beginning, whole lines only, within 200 ms of the writing', { retry: 2 }, async () => {
    const { path, lines, seenAt, follower } = setup({ file: 'INFO: a\nINFO: b\n' });
    await expect.poll(() => lines).toEqual(['INFO: a', 'INFO: b']);
    appendFileSync(path, 'INFO: hal');
    await pauseMs(120);
    expect(lines).toHaveLength(2);
    const written = performance.now();
    appendFileSync(path, 'f\n  raw öutput\n');
    await expect.poll(() => lines.slice(2)).toEqual(['INFO: half', '  raw öutput']);
    expect((seenAt[2] ?? 1e9) - written).toBeLessThan(200);
    appendFileSync(path, 'TASK OK\nno newline');
    await follower.finish();
    expect(lines.slice(4)).toEqual(['TASK OK', 'no newline']);
  });

  test('a character split over two writes, and a log larger than one read', async () => {
    const many = Array.from({ length: 5000 }, (_, n) => `INFO: line ${n} ${'x'.repeat(40)}`);
    const bytes = Buffer.from('é\n');
    const { path, lines, follower } = setup({ file: `${many.join('\n')}\n` });
    appendFileSync(path, bytes.subarray(0, 1));
    await pauseMs(150);
    appendFileSync(path, bytes.subarray(1));
    await follower.finish();
    expect(lines).toEqual([...many, 'é']);
  });

  test('nothing is handed over after stop', async () => {
    const { path, lines, follower } = setup({ file: '' });
    await pauseMs(60);
    follower.stop();
    appendFileSync(path, 'INFO: late\n');
    await pauseMs(150);
    expect(lines).toEqual([]);
  });
});

describe('the API, where there is no file', () => {
  test('new lines come once, a half written last line again when it is whole', async () => {
    let log = ['INFO: a', 'INFO: started ba'];
    const { lines, follower } = setup({ api: async (start) => log.slice(start) });
    await expect.poll(() => lines).toEqual(['INFO: a', 'INFO: started ba']);
    log = ['INFO: a', 'INFO: started backup', 'INFO: c'];
    await expect.poll(() => lines.slice(2)).toEqual(['INFO: started backup', 'INFO: c']);
    log = [...log, 'TASK OK'];
    await follower.finish();
    expect(lines.slice(4)).toEqual(['TASK OK']);
  });

  test('a failing API is asked again; finish says that it could not read, and may be tried again', async () => {
    let works = false;
    const { lines, follower } = setup({
      api: async (start) => (works ? ['INFO: a'].slice(start) : Promise.reject(new Error('away'))),
    });
    await pauseMs(50);
    await expect(follower.finish()).rejects.toThrow('away');
    works = true;
    await follower.finish();
    expect(lines).toEqual(['INFO: a']);
  });
});

test.each([
  [UPID, { node: 'pve1', starttime: 0x6b021f23, type: 'vzdump', id: '101', user: 'felhom@pve!pve1', logFile: `3/${UPID}` }],
  [
    'UPID:pve1:000002DE:0002AD06:6B021F2A:vzdump::root@pam:',
    expect.objectContaining({ id: '', logFile: expect.stringMatching(/^A\//) }),
  ],
  ['UPID:pve1:000002DE:0002AD06:6B021F23:vzdump:101:felhom@pve!pve1', null],
  ['UPID:pve1:000002DE:0002AD06:6B021F23:vzdump:../../etc:root@pam:', null],
  ['UPID:pve1:000002DE:0002AD06:6B021F23:vzdump:101:root@pam:\n', null],
  ['UPID:pve1:000002DE:0002AD06:6B021F23:vzdump:1\u00001:root@pam:', null],
  ['UPID:pve1:zz:0002AD06:6B021F23:vzdump:101:root@pam:', null],
  [`UPID:pve1:000002DE:0002AD06:6B021F23:vzdump:${'1'.repeat(300)}:root@pam:`, null],
  ['OK', null],
])('the task id %j', (upid, expected) => expect(parseUpid(upid)).toEqual(expected));
