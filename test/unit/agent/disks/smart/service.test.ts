import { describe, expect, test } from 'vitest';
import { createSmart, type SmartPorts } from '#agent/disks/smart/service';
import type { NewProblem } from '#agent/health/problems';
import type { SmartAnswer, Smartctl } from '#agent/ports/smartctl';
import type { KernelDevice } from '#agent/ports/sysfs';
import { fakeClock, settle } from '../../fake-clock.ts';
import { ASLEEP, FAILING, HEALTHY, NO_POWER_MODE, recorded, UNKNOWN_BRIDGE } from './fixtures.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const drive = (facts: Partial<KernelDevice> = {}): KernelDevice => ({
  name: 'sda',
  numbers: '8:0',
  rotational: true,
  usb: false,
  slaves: [],
  partitions: [],
  dm: null,
  sizeBytes: 1e12,
  diskseq: 1,
  removable: false,
  readOnly: false,
  path: '/sys/devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda',
  transport: 'sata',
  model: 'DISK',
  serial: 'S1',
  wwn: '',
  usbDevice: null,
  pciAddresses: [],
  holders: [],
  backingFile: null,
  md: null,
  sectorsWritten: 0,
  sectorsRead: 0,
  suspended: false,
  logicalSectorBytes: 512,
  ...facts,
});
const USB = {
  name: 'sdb',
  usb: true,
  transport: 'usb',
  diskseq: 2,
  path: '/sys/devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb',
};

const said = (text: string): SmartAnswer => ({ said: true, text });
const HUNG: SmartAnswer = { said: false, why: 'hung' };

/** A host whose drives answer what the test says; a call reads `read sda strict`, `power sda`, `read sdb sat never`, `scan`. */
const host = (answer: (call: string) => SmartAnswer | Promise<SmartAnswer>, changes: Partial<SmartPorts> = {}) => {
  const time = fakeClock();
  const calls: string[] = [];
  const kept = new Map<string, string>();
  const problems: (NewProblem | 'cleared')[] = [];
  const ask = async (...words: string[]) => {
    const call = words.filter((word) => word !== '').join(' ');
    calls.push(call);
    return answer(call);
  };
  const short = (path: string) => path.replace('/dev/', '');
  const smartctl: Smartctl = {
    read: ({ path, type }, guard) => ask('read', short(path), type, guard),
    power: ({ path, type }) => ask('power', short(path), type),
    scan: () => ask('scan'),
  };
  const start = () =>
    createSmart({
      clock: time.clock,
      smartctl,
      bootId: 'boot',
      problems: { raise: (problem) => problems.push(problem), clear: () => problems.push('cleared') },
      kept: ({ serial }) => kept.get(serial) ?? null,
      keep: async ({ serial }, text) => void kept.set(serial, text),
      ...changes,
    });
  return { ...time, start, smart: start(), calls, kept, problems, taken: () => calls.splice(0) };
};
const always = (text: string) => host(() => said(text));

describe('how often', () => {
  test('each drive is asked at most once an hour, whoever ticks how often', async () => {
    const { smart, advance, calls } = always(HEALTHY);
    const devices = [drive(), drive({ name: 'nvme0n1', diskseq: 3, rotational: false, transport: 'nvme' })];
    for (let minute = 0; minute < 7 * 24 * 60; minute += 1) {
      await smart.tick(devices);
      await advance(MINUTE);
    }
    for (const name of ['sda', 'nvme0n1']) {
      const count = calls.filter((call) => call.includes(name)).length;
      expect(count).toBeGreaterThan(7 * 24 * 0.9);
      expect(count).toBeLessThanOrEqual(7 * 24);
    }
  }, 60_000);

  test('one after the other, never two at a time', async () => {
    let running = 0;
    let most = 0;
    const { smart } = host(async () => {
      running += 1;
      most = Math.max(most, running);
      await settle();
      running -= 1;
      return said(HEALTHY);
    });
    const devices = [drive(), drive({ name: 'sdb', diskseq: 2 }), drive({ name: 'sdc', diskseq: 3 })];
    await Promise.all([smart.tick(devices), smart.tick(devices), smart.isAsleep(devices[0] ?? drive())]);
    expect(most).toBe(1);
  });

  test('a restart of the agent asks no sooner', async () => {
    const { smart, start, advance, taken } = always(HEALTHY);
    await smart.tick([drive()]);
    await advance(30 * MINUTE);
    taken();
    const second = start();
    await second.tick([drive()]);
    expect(taken()).toEqual([]);
    expect(second.of('sda')).toMatchObject({ health: 'PASSED', temperature_c: 31, ageMs: 30 * MINUTE });
    await advance(36 * MINUTE);
    await second.tick([drive()]);
    expect(taken()).toEqual(['read sda strict']);
  });

  test('what cannot spin is asked also where it does not tell its power mode', async () => {
    const { smart, calls } = always(HEALTHY);
    await smart.tick([drive({ rotational: false })]);
    expect(calls).toEqual(['read sda lenient']);
  });

  test.each([
    ['vda', 'virtio', 'Virtual drives have no SMART.'],
    ['loop3', 'loop', 'A loop device has no SMART.'],
    ['mmcblk0', 'mmc', 'Memory cards have no SMART.'],
  ])('%s is never asked', async (name, transport, reason) => {
    const { smart, calls } = always(HEALTHY);
    await smart.tick([drive({ name, transport })]);
    expect(smart.of(name)).toMatchObject({ health: 'UNKNOWN', reasons: [reason], ageMs: null });
    expect(calls).toEqual([]);
  });
});

describe('sleep', () => {
  /** Asleep or awake as the test says. */
  const sleeper = () => {
    let asleep = true;
    const world = host(() => said(asleep ? ASLEEP : HEALTHY));
    return {
      ...world,
      set: (value: boolean) => {
        asleep = value;
      },
    };
  };

  test('a drive asleep keeps its last values, with their age', async () => {
    const { smart, advance, set } = sleeper();
    set(false);
    await smart.tick([drive()]);
    await advance(2 * HOUR);
    set(true);
    await smart.tick([drive()]);
    expect(smart.of('sda')).toEqual({
      health: 'PASSED',
      temperature_c: 31,
      percentage_used: null,
      power_on_hours: 5,
      standby: true,
      reasons: ['The drive sleeps and was not woken.'],
      ageMs: 2 * HOUR,
    });
  });

  test('asleep, it is looked at hourly and nothing else is asked of it', async () => {
    const { smart, advance, taken } = sleeper();
    await smart.tick([drive()]);
    expect(taken()).toEqual(['read sda strict']);
    for (let minute = 0; minute < 24 * 60; minute += 1) {
      await advance(MINUTE);
      await smart.tick([drive()]);
    }
    const calls = taken();
    expect(new Set(calls)).toEqual(new Set(['power sda']));
    expect(calls.length).toBeLessThanOrEqual(24);
  });

  test('seen awake again it is left alone for ten minutes, then read', async () => {
    const { smart, advance, taken, set } = sleeper();
    await smart.tick([drive()]);
    set(false);
    await advance(66 * MINUTE);
    taken();
    await smart.tick([drive()]);
    expect(taken()).toEqual(['power sda']);
    await advance(9 * MINUTE);
    await smart.tick([drive()]);
    expect(taken()).toEqual([]);
    await advance(2 * MINUTE);
    await smart.tick([drive()]);
    expect(taken()).toEqual(['read sda strict']);
    expect(smart.of('sda')).toMatchObject({ health: 'PASSED', standby: false });
  });

  test('so is one that was woken on purpose', async () => {
    const { smart, advance, taken, set } = sleeper();
    await smart.tick([drive()]);
    await advance(2 * HOUR);
    set(false);
    smart.woken('sda');
    taken();
    await smart.tick([drive()]);
    expect(taken()).toEqual([]);
    await advance(11 * MINUTE);
    await smart.tick([drive()]);
    expect(taken()).toEqual(['read sda strict']);
  });

  test('one that the kernel has put to sleep is not touched', async () => {
    const { smart, calls } = always(HEALTHY);
    const suspended = drive({ suspended: true });
    await smart.tick([suspended]);
    expect(await smart.isAsleep(suspended)).toBe(true);
    expect(smart.of('sda')).toMatchObject({ standby: true });
    expect(calls).toEqual([]);
  });

  test('whoever wants to know whether it sleeps is answered for a minute from one look', async () => {
    const { smart, advance, taken, set } = sleeper();
    expect(await Promise.all([smart.isAsleep(drive()), smart.isAsleep(drive())])).toEqual([true, true]);
    set(false);
    expect(await smart.isAsleep(drive())).toBe(true);
    expect(taken()).toEqual(['power sda']);
    await advance(MINUTE);
    expect(await smart.isAsleep(drive())).toBe(false);
    expect(taken()).toEqual(['power sda']);
  });

  test('it waits for the reading under way', async () => {
    const { smart, calls } = sleeper();
    const tick = smart.tick([drive()]);
    expect(await smart.isAsleep(drive())).toBe(true);
    await tick;
    expect(calls).toEqual(['read sda strict']);
  });

  test('nothing is asked of what cannot spin', async () => {
    const { smart, calls } = always(ASLEEP);
    expect(await smart.isAsleep(drive({ rotational: false }))).toBe(false);
    expect(await smart.isAsleep(drive({ name: 'nvme0n1', rotational: false, transport: 'nvme' }))).toBe(false);
    expect(calls).toEqual([]);
  });
});

describe('what replaces what', () => {
  const replies = (...texts: SmartAnswer[]) => {
    const queue = [...texts];
    return host(() => queue.shift() ?? said('{}'));
  };

  test.each([
    ['an empty answer', said('')],
    ['half an answer', said(HEALTHY.slice(0, 40))],
    ['a drive that could not be opened', said(recorded('host-loop-as-sat.txt'))],
    ['a verdict that is missing', said(JSON.stringify({ temperature: { current: 60 } }))],
    ['no smartctl', { said: false, why: 'missing' } as const],
    ['a drive that hangs', HUNG],
  ])('%s does not take the place of a good one', async (_what, bad) => {
    const { smart, advance, kept } = replies(said(FAILING), bad);
    await smart.tick([drive()]);
    const before = kept.get('S1');
    await advance(2 * HOUR);
    await smart.tick([drive()]);
    expect(smart.of('sda')).toMatchObject({ health: 'FAILING', temperature_c: 40, ageMs: 2 * HOUR });
    expect(smart.of('sda').reasons.length).toBeGreaterThan(1);
    expect(kept.get('S1')).toBe(before);
  });

  test('figures without a verdict stay when the next answer is empty', async () => {
    const { smart, advance } = replies(said(JSON.stringify({ temperature: { current: 44 } })), said('{}'));
    await smart.tick([drive()]);
    await advance(2 * HOUR);
    await smart.tick([drive()]);
    expect(smart.of('sda')).toMatchObject({ health: 'UNKNOWN', temperature_c: 44, ageMs: 2 * HOUR });
  });

  test('a good one does', async () => {
    const { smart, advance, kept } = replies(said(FAILING), said(HEALTHY));
    await smart.tick([drive()]);
    await advance(2 * HOUR);
    await smart.tick([drive()]);
    expect(smart.of('sda')).toMatchObject({ health: 'PASSED', ageMs: 0, reasons: [] });
    expect(JSON.parse(kept.get('S1') ?? '')).toMatchObject({ reading: { health: 'PASSED' } });
  });

  test('another drive under the same name begins anew', async () => {
    const { smart, advance } = replies(said(FAILING), HUNG);
    await smart.tick([drive()]);
    await advance(MINUTE);
    await smart.tick([drive({ diskseq: 9, serial: 'S2' })]);
    expect(smart.of('sda')).toMatchObject({ health: 'UNKNOWN', temperature_c: null, ageMs: null });
  });

  test('a drive plugged in again has what was kept of it, and is asked', async () => {
    const { smart, advance, taken } = replies(said(FAILING), HUNG);
    await smart.tick([drive()]);
    await smart.tick([]);
    await advance(MINUTE);
    taken();
    await smart.tick([drive({ diskseq: 9 })]);
    expect(smart.of('sda')).toMatchObject({ health: 'FAILING', ageMs: MINUTE });
    expect(taken()).toEqual(['read sda strict']);
  });

  test('what a drive says that was pulled out meanwhile is not said of the next', async () => {
    const other = drive({ diskseq: 9, serial: 'S2' });
    const { smart } = host(async (call): Promise<SmartAnswer> => {
      if (call.startsWith('power')) return said(HEALTHY);
      await smart.isAsleep(other);
      return said(FAILING);
    });
    await smart.tick([drive()]);
    expect(smart.of('sda').health).toBe('UNKNOWN');
  });

  test.each([
    '{',
    '{"at": 5}',
    '{"at": "x", "reading": {"health": "PASSED", "reasons": []}}',
    '{"at":5,"reading":{"health":"GOOD","reasons":[]}}',
  ])('what was kept and cannot be read is nothing: %s', async (text) => {
    const { smart } = host(() => HUNG, { kept: () => text });
    await smart.tick([drive()]);
    expect(smart.of('sda').health).toBe('UNKNOWN');
  });
});

describe('a drive that hangs', () => {
  test('is named, keeps the others from nothing, and has one smartctl at most', async () => {
    const world = host((call) => (call.includes('sda') ? HUNG : said(HEALTHY)));
    const { smart, advance, taken } = world;
    const devices = [drive(), drive({ name: 'sdb', diskseq: 2, serial: 'S2' })];
    await smart.tick(devices);
    expect(smart.of('sda')).toMatchObject({ health: 'UNKNOWN', reasons: ['The drive does not answer smartctl.'] });
    expect(smart.of('sdb').health).toBe('PASSED');
    expect([...smart.notAnswering()]).toEqual(['sda']);
    expect(await smart.isAsleep(drive())).toBe(false);
    expect(taken()).toEqual(['read sda strict', 'read sdb strict']);
    await advance(4 * MINUTE);
    await smart.tick(devices);
    expect(taken()).toEqual([]);
    await advance(MINUTE);
    await smart.tick(devices);
    expect(taken()).toEqual(['read sda strict']);
  });

  test('of one that hung when its sleep was asked for, only that is asked again', async () => {
    let hangs = true;
    const { smart, advance, taken } = host(() => (hangs ? HUNG : said(HEALTHY)));
    expect(await smart.isAsleep(drive())).toBe(false);
    await smart.tick([drive()]);
    await advance(5 * MINUTE);
    await smart.tick([drive()]);
    expect(taken()).toEqual(['power sda', 'power sda']);
    hangs = false;
    await advance(5 * MINUTE);
    await smart.tick([drive()]);
    expect(taken()).toEqual(['power sda']);
    expect([...smart.notAnswering()]).toEqual([]);
  });
});

describe('USB enclosures', () => {
  test('one that does not tell whether its drive sleeps is asked once a plugging in, also over a restart', async () => {
    const { smart, start, advance, taken } = host((call) => said(call.endsWith('never') ? HEALTHY : NO_POWER_MODE));
    await smart.tick([drive(USB)]);
    expect(taken()).toEqual(['read sdb strict', 'read sdb never']);
    expect(smart.of('sdb').health).toBe('PASSED');
    for (const one of [smart, start()]) {
      await advance(5 * HOUR);
      await one.tick([drive(USB)]);
      expect(await one.isAsleep(drive(USB))).toBe(false);
    }
    expect(taken()).toEqual([]);
    await smart.tick([drive({ ...USB, diskseq: 7 })]);
    expect(taken()).toEqual(['read sdb strict', 'read sdb never']);
  });

  test('one that smartctl does not know is asked as most are, and that is learned', async () => {
    const { smart, advance, taken } = host((call) => said(call.includes(' sat ') ? HEALTHY : UNKNOWN_BRIDGE));
    await smart.tick([drive(USB)]);
    expect(taken()).toEqual(['read sdb strict', 'read sdb sat strict']);
    expect(smart.of('sdb').health).toBe('PASSED');
    await advance(2 * HOUR);
    await smart.tick([drive(USB)]);
    expect(taken()).toEqual(['read sdb sat strict']);
  });

  test.each([
    ['does not answer so either', {}, ['read sdb strict', 'read sdb sat strict']],
    ['calls itself removable, as sticks do', { removable: true }, ['read sdb strict']],
  ])('one that %s is not shown as failing', async (_what, facts, expected) => {
    const { smart, calls, problems } = host((call) =>
      said(call.includes(' sat ') ? recorded('host-loop-as-sat.txt') : UNKNOWN_BRIDGE),
    );
    await smart.tick([drive({ ...USB, ...facts })]);
    expect(calls).toEqual(expected);
    expect(smart.of('sdb')).toMatchObject({ health: 'UNKNOWN', reasons: [expect.stringContaining('-d sat')] });
    expect(problems).not.toContainEqual(expect.objectContaining({ code: 'drive-failing' }));
  });
});

describe('drives behind a RAID controller', () => {
  const entry = (name: string, type: string) => ({ name, type, protocol: 'SCSI' });
  const SCAN = JSON.stringify({
    devices: [
      entry('/dev/sda', 'scsi'),
      entry('/dev/bus/0', 'megaraid,8'),
      entry('/dev/bus/0', 'megaraid,9'),
      entry('/dev/bus/1', 'megaraid,3'),
    ],
  });
  const VIRTUAL = JSON.stringify({ smart_support: { available: false }, smartctl: { exit_status: 4 } });

  test('are the ones that count', async () => {
    const { smart, calls } = host((call) => {
      if (call === 'scan') return said(SCAN);
      if (call.includes('megaraid,9')) return said(FAILING);
      return said(call.includes('megaraid') ? HEALTHY : VIRTUAL);
    });
    await smart.tick([drive({ transport: 'sas' })]);
    expect(calls).toEqual(['read sda strict', 'scan', 'read bus/0 megaraid,8 strict', 'read bus/0 megaraid,9 strict']);
    expect(smart.of('sda')).toMatchObject({
      health: 'FAILING',
      temperature_c: 40,
      reasons: ['Drive megaraid,9 behind the RAID controller: The drive itself reports that it is failing.'],
    });
  });

  test('one that does not answer is not well', async () => {
    const { smart } = host((call) => {
      if (call === 'scan') return said(SCAN);
      if (call.includes('megaraid,9')) return HUNG;
      return said(call.includes('megaraid') ? HEALTHY : VIRTUAL);
    });
    await smart.tick([drive({ transport: 'sas' })]);
    expect(smart.of('sda')).toMatchObject({
      health: 'UNKNOWN',
      reasons: ['Drive megaraid,9 behind the RAID controller: It did not answer.'],
    });
  });

  test('a name or type that does not look like one reaches no argument list', async () => {
    const scan = JSON.stringify({
      devices: [
        entry('/dev/bus/0', '-s,1'),
        entry('/dev/bus/0', 'megaraid,8 --all'),
        entry('-d', 'megaraid,8'),
        entry('/dev/bus/0/../../sda', 'megaraid,8'),
      ],
    });
    const { smart, calls } = host((call) => said(call === 'scan' ? scan : VIRTUAL));
    await smart.tick([drive({ transport: 'sas' })]);
    expect(calls).toEqual(['read sda strict', 'scan']);
    expect(smart.of('sda')).toMatchObject({ health: 'UNKNOWN', reasons: ['The drive has no SMART.'] });
  });
});

describe('the problem', () => {
  /** Healthy or failing as the test says. */
  const patient = () => {
    let text = HEALTHY;
    const world = host(() => said(text));
    return {
      ...world,
      set: (next: string) => {
        text = next;
      },
    };
  };

  test('is raised with the first evidence, and names the drive by what every guest may know of it, and what to do', async () => {
    const { smart, problems, set } = patient();
    set(FAILING);
    await smart.tick([drive()]);
    expect(problems.at(-1)).toEqual({
      code: 'drive-failing',
      vmid: null,
      sentence: 'The drive sda is failing: what is on it may be lost at any time.',
      evidence: 'sda: The drive itself reports that it is failing.',
      nextStep: expect.stringContaining('disks show sda'),
    });
  });

  test('several drives are one problem', async () => {
    const { smart, problems, set } = patient();
    set(FAILING);
    await smart.tick([drive(), drive({ name: 'sdb', diskseq: 2, serial: 'S2' })]);
    expect(problems.at(-1)).toMatchObject({
      sentence: expect.stringContaining('2 drives'),
      evidence: expect.stringMatching(/^sda: .*\nsdb: /),
    });
  });

  test('is not cleared by one good reading, but by hours of them', async () => {
    const { smart, problems, set, advance } = patient();
    set(FAILING);
    await smart.tick([drive()]);
    set(HEALTHY);
    const state: string[] = [];
    for (let hour = 0; hour < 5; hour += 1) {
      await advance(66 * MINUTE);
      await smart.tick([drive()]);
      const last = problems.at(-1);
      state.push(last === 'cleared' ? last : 'raised');
    }
    expect(state).toEqual(['raised', 'raised', 'raised', 'cleared', 'cleared']);
  });

  test('stays while the drive says nothing, asleep or hung', async () => {
    const { smart, problems, set, advance } = patient();
    set(FAILING);
    await smart.tick([drive()]);
    set(ASLEEP);
    for (let hour = 0; hour < 10; hour += 1) {
      await advance(HOUR);
      await smart.tick([drive()]);
    }
    expect(problems.at(-1)).toMatchObject({ code: 'drive-failing' });
  });

  test('is there again after a restart, and not cleared in between', async () => {
    const { smart, start, problems, set } = patient();
    set(FAILING);
    await smart.tick([drive()]);
    problems.splice(0);
    await start().tick([drive()]);
    expect(problems).not.toContain('cleared');
    expect(problems.at(-1)).toMatchObject({ code: 'drive-failing' });
  });

  test('of an earlier run is not cleared before every drive was asked', async () => {
    let answer = (): void => undefined;
    const { smart, problems } = host(
      () =>
        new Promise((resolve) => {
          answer = () => resolve(said(HEALTHY));
        }),
    );
    const tick = smart.tick([drive()]);
    await settle();
    expect(problems).toEqual([]);
    answer();
    await tick;
    expect(problems).toEqual(['cleared']);
  });

  test('goes with the drive that was pulled out', async () => {
    const { smart, problems, set } = patient();
    set(FAILING);
    await smart.tick([drive()]);
    await smart.tick([]);
    expect(problems.at(-1)).toBe('cleared');
  });
});
