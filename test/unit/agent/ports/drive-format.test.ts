/** How the agent starts the program that formats, and what it takes for its end: with a shell in the program's place. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readBootId } from '#agent/ports/boot-id';
import { systemClock } from '#agent/ports/clock';
import { createDriveFormat, DriveFormatError, type FormatOrder, type FormatState } from '#agent/ports/drive-format';
import { startTimeIn } from '#agent/ports/process-start';

const ORDER: Omit<FormatOrder, 'stateFile'> = {
  ...{ jobId: 'job-1', device: '/dev/x', numbers: '8:16', diskseq: 7, sizeBytes: 1 },
  fstype: 'ext4',
  root: { uid: 0, gid: 0 },
};

let stateDir = '';
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'felhom-drive-format-'));
  mkdirSync(join(stateDir, 'formats'));
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

/** A program in the shell's words; its order is $1. */
const saying = (script: string, holdMs = 10_000, beginMs = 10_000) =>
  createDriveFormat({
    ...{ clock: systemClock, stateDir, byScope: false, holdMs, beginMs },
    program: ['/bin/sh', '-c', script, 'felhom-fake'],
  });

const write = (content: string, jobId = 'job-1'): void => writeFileSync(join(stateDir, 'formats', `${jobId}.json`), content);

const failure = async (work: Promise<unknown>): Promise<DriveFormatError> => {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DriveFormatError);
  return error as DriveFormatError;
};

const isThere = (pid: number): boolean => {
  try {
    return !/^State:\s*[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};

/** Seconds that no other run's processes sleep. */
const LONG = 1_000_000 + process.pid;

describe('holding', () => {
  test('it is told all that it must know as its one argument, and where to write down how far it is', async () => {
    const held = await saying(`echo "$1" > ${stateDir}/order; echo '{"held":true}'; cat > ${stateDir}/heard`).hold(ORDER);
    await held.letGo();
    expect(JSON.parse(readFileSync(join(stateDir, 'order'), 'utf8'))).toEqual({
      ...ORDER,
      stateFile: join(stateDir, 'formats/job-1.json'),
    });
    expect([readFileSync(join(stateDir, 'heard'), 'utf8'), isThere(held.pid)]).toEqual(['', false]);
  });

  test.each([
    [
      'says why not',
      'echo \'{"failed":{"code":"busy","why":"mounted"}}\'; exit 1',
      { code: 'busy', message: 'drive-format /dev/x: busy: mounted' },
    ],
    [
      'ends without a word',
      'echo oops >&2; exit 3',
      { code: 'internal', message: 'drive-format /dev/x: internal: ended with 3: oops' },
    ],
    ['says nothing of use', 'echo garbage; echo 7', { code: 'internal' }],
    ['says what is no answer', 'echo \'{"begun":true}\'', { code: 'internal' }],
    ['is killed', 'kill -9 $$', { code: 'internal', message: expect.stringContaining('SIGKILL') }],
  ])('one that %s', async (_what, script, expected) => {
    expect(await failure(saying(script).hold(ORDER))).toMatchObject(expected);
  });

  test('one that cannot be started', async () => {
    const formats = createDriveFormat({ clock: systemClock, stateDir, byScope: false, program: ['/nowhere/drive-format'] });
    expect(await failure(formats.hold(ORDER))).toMatchObject({ code: 'internal', message: expect.stringContaining('ENOENT') });
  });

  test('one that heeds nothing is ended all the same when the drive is let go', async () => {
    const held = await saying(`trap '' TERM INT HUP; echo '{"held":true}'; while :; do sleep ${LONG}; done`).hold(ORDER);
    await held.letGo();
    expect(isThere(held.pid)).toBe(false);
  });

  test('one that never answers is given up in time', async () => {
    const started = performance.now();
    expect(await failure(saying(`echo $$ > ${stateDir}/pid; sleep ${LONG}`, 500).hold(ORDER))).toMatchObject({ code: 'hung' });
    expect(performance.now() - started).toBeLessThan(3_000);
    await expect.poll(() => isThere(Number(readFileSync(join(stateDir, 'pid'), 'utf8')))).toBe(false);
  });

  test('a job whose id would be another file is none', async () => {
    await expect(saying('exit 0').hold({ ...ORDER, jobId: '../x' })).rejects.toThrow('a job id that is none');
  });
});

describe('letting it begin', () => {
  const HELD = `echo '{"held":true}'; read go;`;

  test('it has begun when it says so', async () => {
    const held = await saying(`${HELD} echo "$go" > ${stateDir}/heard; echo '{"begun":true}'; exec sleep 60`).hold(ORDER);
    await held.go();
    expect([readFileSync(join(stateDir, 'heard'), 'utf8'), isThere(held.pid)]).toEqual(['go\n', true]);
    process.kill(held.pid, 'SIGKILL');
  });

  test('it has not begun when it says why not, or ends', async () => {
    const refused = await saying(`${HELD} echo '{"failed":{"code":"changed","why":"gone"}}'`).hold(ORDER);
    expect(await failure(refused.go())).toMatchObject({ code: 'changed' });
    const ended = await saying(`${HELD} exit 1`).hold(ORDER);
    expect(await failure(ended.go())).toMatchObject({ code: 'internal' });
  });

  test('it ended before it could say that it has begun: its file knows', async () => {
    const state = JSON.stringify({ jobId: 'job-1', pid: 1, startTime: '', bootId: '', phase: 'wiping', outcome: null });
    const held = await saying(`${HELD} echo '${state}' > ${stateDir}/formats/job-1.json; kill -9 $$`).hold(ORDER);
    await held.go();
  });
});

describe('let begin, it is nobody’s any more', () => {
  const HELD = `echo '{"held":true}'; read go;`;
  const end = (pid: number): void => {
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // It was ended already.
    }
  };

  test('an agent that ends before it has heard that it began does not end it', async () => {
    const held = await saying(`${HELD} sleep 1; echo '{"begun":true}'; exec sleep ${LONG}`).hold(ORDER);
    try {
      await Promise.all([held.go(), held.letGo()]);
      await new Promise((resolve) => setTimeout(resolve, 3_000));
      expect(isThere(held.pid)).toBe(true);
    } finally {
      end(held.pid);
    }
  });

  test('one that is not heard of is not waited for: all other deeds wait for this one', async () => {
    const held = await saying(`${HELD} exec sleep ${LONG}`, 10_000, 300).hold(ORDER);
    try {
      const started = performance.now();
      await held.go();
      expect([performance.now() - started < 3_000, isThere(held.pid)]).toEqual([true, true]);
    } finally {
      end(held.pid);
    }
  });
});

describe('what a state file says', () => {
  const own = async (): Promise<FormatState> => ({
    ...{ jobId: 'job-1', pid: process.pid, startTime: startTimeIn(readFileSync('/proc/self/stat', 'utf8')) },
    ...{ bootId: await readBootId(), phase: 'making', outcome: null },
  });
  const state = () => saying('exit 0').state('job-1');
  const forget = () => saying('exit 0').forget('job-1');

  test('its process is there', async () => {
    write(JSON.stringify(await own()));
    expect(await state()).toEqual({ state: await own(), alive: true });
  });

  test.each<[string, Partial<FormatState>]>([
    ['another process has its number', { startTime: '1' }],
    ['no process has its number', { pid: 2 ** 22 + 1 }],
    ['it was before the host was started', { bootId: 'another' }],
  ])('%s: it has ended', async (_what, change) => {
    write(JSON.stringify({ ...(await own()), ...change }));
    expect(await state()).toEqual({ state: { ...(await own()), ...change }, alive: false });
  });

  test('how it ended', async () => {
    const outcome = { ok: true, uuid: 'u', partition: '/dev/x1' } as const;
    write(JSON.stringify({ ...(await own()), pid: 2 ** 22 + 1, phase: 'ended', outcome }));
    expect(await state()).toMatchObject({ alive: false, state: { phase: 'ended', outcome } });
  });

  test('it writes how it ended and ends while it is looked at: that is not missed', async () => {
    const before = { ...(await own()), pid: 2 ** 22 + 1 };
    const after = { ...before, phase: 'ended', outcome: { ok: true, uuid: 'u', partition: '/dev/x1' } };
    // Whoever reads it first gets the one, and the next the other.
    const file = join(stateDir, 'formats/job-1.json');
    execFileSync('/usr/bin/mkfifo', [file]);
    const script = `printf %s "$1" > ${file}; sleep 0.1; printf %s "$2" > ${file}`;
    const writer = spawn('/bin/sh', ['-c', script, 'sh', JSON.stringify(before), JSON.stringify(after)]);
    try {
      expect(await state()).toEqual({ state: after, alive: false });
    } finally {
      writer.kill('SIGKILL');
    }
  });

  test.each<[string, (text: string) => string]>([
    ['empty', () => ''],
    ['cut off', (text) => text.slice(0, 40)],
    ['no JSON', () => '\0\0\0'],
    ['null', () => 'null'],
    ['of another job', (text) => text.replace('job-1', 'job-2')],
    ['of a phase that there is not', (text) => text.replace('making', 'thinking')],
    ['without a process', (text) => text.replace(/"pid":\d+/, '"pid":"x"')],
  ])('%s: it may have written, nobody is at it, and it has no outcome', async (_what, damage) => {
    write(damage(JSON.stringify(await own())));
    expect(await state()).toMatchObject({ state: { jobId: 'job-1', phase: 'wiping', outcome: null }, alive: false });
  });

  test('an outcome that is none is none', async () => {
    write(JSON.stringify({ ...(await own()), outcome: { ok: true } }));
    expect(await state()).toEqual({ state: await own(), alive: true });
  });

  test('it cannot be read at all: that is no answer', async () => {
    mkdirSync(join(stateDir, 'formats/job-1.json'));
    await expect(state()).rejects.toMatchObject({ code: 'EISDIR' });
  });

  test('none was ever made, and none is left of what is forgotten', async () => {
    expect(await state()).toBe(null);
    write('{}');
    await forget();
    await forget();
    expect(await state()).toBe(null);
  });
});

test('what this host can make, and of which size', async () => {
  const formats = saying('exit 0');
  expect(await formats.missing('ext4')).toBe('');
  expect(formats.minBytes('xfs')).toBeGreaterThan(formats.minBytes('ext4'));
});
