import { afterEach, describe, expect, test, vi } from 'vitest';
import { StoreError } from '#agent/ports/store';
import type { GrantClaims } from '#shared/grant';
import { because, madeFilesystem } from '../disks/made.ts';
import { backupDrive, DAY, type GrantHost, grantHost, HOST, type HostState, heard, inTime, NOW } from './grant-world.ts';
import { makeOperator } from './operator.ts';

const running: GrantHost[] = [];
const start = async (change?: Partial<HostState>): Promise<GrantHost> => {
  const host = await grantHost(change);
  running.push(host);
  return host;
};
afterEach(async () => {
  await Promise.all(running.splice(0).map((host) => host.close()));
});

/** An operation and the operator's signature for it. */
const signedOp = async (host: GrantHost, vmid = 101, fstype: 'ext4' | 'xfs' = 'ext4') => {
  const op = await host.open(vmid, fstype);
  return { op, text: await host.signed(op) };
};

describe('a signature that fits', () => {
  test('is executed once: the drive is erased, the rows and the second file tell it', async () => {
    const host = await start();
    const { op, text } = await signedOp(host);
    const job = await host.carry(text);
    expect(job).toMatchObject({ state: 'done', vmid: 101, permittedBy: 'granted', opId: op.id, boundId: op.durableId });
    expect(host.state.erased).toEqual(['sdb']);
    expect(host.now.ops.find(op.id)).toMatchObject({
      state: 'granted',
      jobId: job.jobId,
      grantedBy: `bela (key ${host.operator.kid})`,
    });
    expect(host.now.trust.counts()).toEqual({ database: 1, file: 1 });
    expect(await host.audit()).toEqual(['op-opened', 'format-begun', 'grant-used']);
    expect(await heard(host.carry(text))).toMatch(/^grant-refused: This signature was used already, at 2026.*\(job fmt-/);
    expect(host.state.erased).toHaveLength(1);
  });

  test('is on record as of the key that root wrote down, whatever name it gives itself', async () => {
    const host = await start();
    const { op, text } = await signedOp(host);
    const { kid, x } = host.operator;
    host.state.keys = new Map([[kid, { x, name: 'karl', state: 'active' }]]);
    await host.carry(text);
    expect(host.now.ops.find(op.id)?.grantedBy).toBe(`karl (key ${kid}; it says bela)`);
  });

  test('may be carried by the guest that asked, and by no other guest', async () => {
    const host = await start();
    const { op, text } = await signedOp(host);
    expect(await heard(host.carry(text, 'guest 105'))).toMatch(/^grant-refused: No operation of this host waits for it/);
    await expect(host.now.guests.grant(105, op.id, text)).rejects.toMatchObject({ code: 'op-not-found' });
    await expect(host.now.guests.grant(101, op.id, text)).resolves.toMatchObject({ state: 'done', op_id: op.id });
  });

  test('carried by two at once it is executed once; the other joins, or hears that it was used', async () => {
    const host = await start();
    const { text } = await signedOp(host);
    const [root, guest] = await Promise.all([heard(host.carry(text)), heard(host.carry(text, 'guest 101'))]);
    expect(root).toMatch(/^job fmt-/);
    expect(guest).toContain(root.slice('job '.length));
    expect([host.state.erased.length, await host.used()]).toEqual([1, 1]);
  });

  test('carried again while its job runs, it joins that job', async () => {
    const host = await start({ ends: false });
    const { text } = await signedOp(host);
    const answers = [heard(host.carry(text)), heard(host.carry(text, 'guest 101'))];
    await vi.waitUntil(() => host.now.jobs.running().length > 0);
    answers.push(heard(host.carry(text)));
    // They wait for its end; on a busy machine the guest may come too late for that.
    await new Promise((resolve) => setTimeout(resolve, 50));
    const [{ jobId } = { jobId: '' }] = host.now.jobs.running();
    await host.now.end(jobId, 'done');
    const [root, guest, again] = await Promise.all(answers);
    expect([root, again]).toEqual([`job ${jobId}`, `job ${jobId}`]);
    expect(guest).toContain(jobId);
    expect(host.state.erased).toHaveLength(1);
  });

  test('of two signatures for the same operation the second is not used up', async () => {
    const host = await start();
    const { op, text } = await signedOp(host);
    const other = await host.signed(op);
    const [one, two] = await Promise.all([heard(host.carry(text)), heard(host.carry(other, 'guest 101'))]);
    expect([one, two].filter((answer) => answer.startsWith('job'))).toHaveLength(1);
    expect([one, two].join()).toMatch(/was granted already, by another signature.*not used up/);
    expect([host.state.erased.length, await host.used()]).toEqual([1, 1]);
  });

  test('waits while a drive is taken out of use or put back', async () => {
    const host = await start();
    const { text } = await signedOp(host);
    let end = (): void => undefined;
    const preparing = new Promise<void>((resolve) => {
      end = resolve;
    });
    void host.now.inTurn(() => preparing);
    const answer = heard(host.carry(text));
    await new Promise((resolve) => setTimeout(resolve, 50));
    host.state.obstacles = ['The Proxmox storage "usb" is enabled.'];
    end();
    expect(await answer).toMatch(/^op-not-prepared: /);
    expect([host.state.erased.length, await host.used()]).toEqual([0, 0]);
  });

  test('of a key that is retired while it waits for its turn is refused, and is not to be carried again', async () => {
    const host = await start();
    const { text } = await signedOp(host);
    let end = (): void => undefined;
    void host.now.inTurn(
      () =>
        new Promise<void>((resolve) => {
          end = resolve;
        }),
    );
    const answer = heard(host.carry(text));
    await new Promise((resolve) => setTimeout(resolve, 50));
    const { kid, x, name } = host.operator;
    host.state.keys = new Map([[kid, { x, name, state: 'retired' }]]);
    end();
    expect(await answer).toMatch(/^grant-refused: .* is retired and may sign no more\.$/);
    expect([host.state.erased.length, await host.used()]).toEqual([0, 0]);
  });

  test('a call that takes long is answered in time and joined by whoever carries the same again', async () => {
    let go = (): void => undefined;
    const slow = new Promise<void>((resolve) => {
      go = resolve;
    });
    const host = await start({ reached: (step) => (step === 'looked' ? slow : undefined) });
    const { text } = await signedOp(host);
    expect(await inTime(host, heard(host.carry(text)))).toMatch(/^drive-not-answering: .*It goes on: ask again/);
    go();
    await vi.waitUntil(() => host.now.jobs.all()[0]?.state === 'done');
    expect(await heard(host.carry(text))).toMatch(/^job fmt-/);
    expect(await heard(host.carry(text))).toMatch(/^grant-refused: This signature was used already/);
    expect(host.state.erased).toHaveLength(1);
  });
});

const PHOTOS = madeFilesystem({ label: 'photos' });

/** What is not as it was when it was asked for, or was signed otherwise: refused, nothing erased, nothing used up. */
const REFUSALS: [what: string, reason: RegExp, make: (host: GrantHost) => Promise<string> | string][] = [
  [
    'another host',
    /^grant-refused: It was signed for the host pve2-.* and this one is pve1-/,
    async (host) => host.signed(await host.open(), 'pve2-k3v7q2m5xw8r4t6y9zbc'),
  ],
  [
    'an operation of another host with the same id: a clone of it',
    /^grant-refused: It was signed for the host pve1-.* and this one is pve1-cccc/,
    async (host) => {
      const { text } = await signedOp(host);
      host.state.hostScope = 'pve1-cccccccccccccccccccc';
      await host.restart();
      return text;
    },
  ],
  [
    'an operation that this host does not know',
    /^grant-refused: No operation of this host waits for it/,
    (host) => host.signed({ durableId: 'byid:backup.Drive.S1.500000000000.0123456789abcdefghjkmnpqrs' }),
  ],
  [
    'the operation that was asked for before this one',
    /^grant-refused: The operation op-.* was closed: The same guest asked for something else/,
    async (host) => {
      const { text } = await signedOp(host, 101, 'ext4');
      await host.open(101, 'xfs');
      return text;
    },
  ],
  [
    'the drive, whose label was changed',
    /^grant-refused: The drive is not as it was/,
    async (host) => {
      const { text } = await signedOp(host);
      host.state.drives = [backupDrive({ filesystems: [PHOTOS] }), ...host.state.drives.slice(1)].map((drive) => ({
        ...drive,
        filesystems: [madeFilesystem({ label: 'renamed' })],
      }));
      return text;
    },
  ],
  [
    'the drive in another role',
    /^grant-refused: The drive is not as it was/,
    async (host) => {
      const { text } = await signedOp(host);
      host.state.drives = [backupDrive({ role: 'system', reasons: [because('system')] })];
      return text;
    },
  ],
  [
    'the drive, which is a customer’s by now',
    /^grant-refused: The drive is not as it was/,
    async (host) => {
      const { text } = await signedOp(host);
      host.state.drives = [backupDrive({ role: 'user-data', reasons: [because('user-data')] })];
      return text;
    },
  ],
  [
    'another drive under its name',
    /^drive-not-found: The drive is not plugged in/,
    async (host) => {
      const { text } = await signedOp(host);
      host.state.drives = [backupDrive({ record: null, identity: { serial: 'S2' } })];
      return text;
    },
  ],
  [
    'a copy of the drive in a copy of this host',
    /^grant-refused: The drive is not as it was/,
    async (host) => {
      const { text } = await signedOp(host);
      host.state.drives = [backupDrive({ identity: { serial: 'S2' } })];
      return text;
    },
  ],
  [
    'a drive that was pulled out',
    /^drive-not-found: The drive is not plugged in/,
    async (host) => {
      const { text } = await signedOp(host);
      host.state.drives = [];
      return text;
    },
  ],
  [
    'a drive with a twin',
    /^drive-ambiguous: The drive cannot be told from sdc/,
    async (host) => {
      const { text } = await signedOp(host);
      host.state.drives = [backupDrive({ twins: ['sdc'] })];
      return text;
    },
  ],
  [
    'a drive that is set aside',
    /^drive-protected: .*serial:S1 in disks.protect/,
    async (host) => {
      const { text } = await signedOp(host);
      host.state.drives = host.state.drives.map((drive) => ({
        ...drive,
        reasons: [...drive.reasons, { ...because('system'), setAside: 'serial:S1' }],
      }));
      return text;
    },
  ],
  [
    'a drive that is mounted',
    /^drive-in-use: The drive is in use: no signature overrides that. It is mounted at \/mnt\/pve\/usb. .*ops prepare op-/,
    async (host) => {
      const { text } = await signedOp(host);
      host.state.holders = [{ kind: 'mount', sentence: 'It is mounted at /mnt/pve/usb.', vmid: null, pid: null }];
      return text;
    },
  ],
  [
    'a drive that a storage expects',
    /^op-not-prepared: The storage "usb" is on it. On the host, as root, run "felhom-agent ops prepare op-/,
    async (host) => {
      const { text } = await signedOp(host);
      host.state.obstacles = ['The storage "usb" is on it.'];
      return text;
    },
  ],
  [
    'a host of which not everything is known',
    /^not-known: .*Then carry the same signature again/,
    async (host) => {
      const { text } = await signedOp(host);
      host.state.missing = [{ source: 'pmxcfs', why: 'not mounted' }];
      return text;
    },
  ],
  [
    'a guest that was made anew under the same number',
    /^drive-unknown-owner: Guest 101 is not the one any more/,
    async (host) => {
      const { text } = await signedOp(host);
      host.state.claims = { ...host.state.claims, instances: new Map([[101, 'net:aa:bb:cc:ff:ff:ff']]) };
      return text;
    },
  ],
  [
    'a guest that was removed',
    /^drive-unknown-owner: Guest 101 is not the one any more/,
    async (host) => {
      const { text } = await signedOp(host);
      host.state.claims = { ...host.state.claims, enrolled: [105] };
      return text;
    },
  ],
  [
    'a guest that may not take free drives any more',
    /^not-yours: .*Then carry the same signature again/,
    async (host) => {
      const { text } = await signedOp(host);
      host.state.claims = { ...host.state.claims, guests: [105] };
      return text;
    },
  ],
  [
    'a key that is retired by now',
    /^grant-refused: .*which is retired and may sign no more/,
    async (host) => {
      const { text } = await signedOp(host);
      host.state.keys.set(host.operator.kid, { x: host.operator.x, name: 'bela', state: 'retired' });
      return text;
    },
  ],
  [
    'a key that nobody listed',
    /^grant-refused: .*which is not among those that may sign/,
    async (host) => (await makeOperator('eve')).sign(HOST, (await host.open()).durableId, NOW),
  ],
  [
    'a file of keys that cannot be used',
    /^grants-off: .*Line 3 of the list of keys is not one/,
    async (host) => {
      const { text } = await signedOp(host);
      host.state.keysProblem = 'Line 3 of the list of keys is not one.';
      return text;
    },
  ],
  [
    'an operation that expired',
    /^grant-refused: The operation op-.* waited for its signature until 2026-11-23T14:00:00.000Z and is over/,
    async (host) => {
      const op = await host.open();
      await host.advance(DAY);
      return host.signed(op);
    },
  ],
  [
    'a drive that does not let itself be locked',
    /^format-failed: .*not used up/,
    async (host) => {
      const { text } = await signedOp(host);
      host.state.failures.set('hold', new Error('EIO'));
      return text;
    },
  ],
  ['a signature with a newline', /^grant-refused: This is not a signature/, async (host) => `${(await signedOp(host)).text}\n`],
];

describe('a signature is refused, with nothing erased and nothing used up, for', () => {
  test.each(REFUSALS)('%s', async (_what, reason, make) => {
    const host = await start();
    const text = await make(host);
    expect(await heard(host.carry(text))).toMatch(reason);
    expect([host.state.erased, await host.used(), host.now.trust.counts().database]).toEqual([[], 0, 0]);
  });

  test('another operation than the one that it is carried to', async () => {
    const host = await start({
      drives: [backupDrive(), backupDrive({ name: 'sdc', record: { ...backupDrive().record, id: 2 } as never })],
    });
    const { text } = await signedOp(host);
    const second = await host.now.ops.open(host.state.drives[1] as never, { vmid: 101, fstype: 'ext4' });
    expect(await heard(host.carry(text, 'guest 101', second.id))).toMatch(
      /^grant-refused: It was signed for another operation than op-/,
    );
    expect(host.state.erased).toEqual([]);
  });

  test('the second operation on the same drive, when it was made for the first', async () => {
    const host = await start();
    const { text } = await signedOp(host, 101);
    const second = await host.open(105);
    expect(await heard(host.carry(text, 'root', second.id))).toMatch(/^grant-refused: It was signed for another operation/);
    // Of either guest, each of its own; the first that is signed changes the drive.
    expect(await heard(host.carry(text))).toMatch(/^job/);
    host.state.drives = host.state.drives.map((drive) => ({ ...drive, role: 'backup' }));
    expect(await heard(host.carry(await host.signed(second)))).toMatch(/^grant-refused: The drive is not as it was/);
    expect(host.state.erased).toHaveLength(1);
  });
});

describe('a drive that becomes another while it is looked at or locked', () => {
  const CHANGES: [what: string, change: Parameters<typeof backupDrive>[0]][] = [
    ['label', { filesystems: [madeFilesystem({ label: 'other' })] }],
    ['serial', { identity: { serial: 'S2' } }],
    ['table', { identity: { tableUuid: 'other' } }],
    ['role', { role: 'system', reasons: [because('system')] }],
    ['partitions', { device: { diskseq: 8, partitions: [] } }],
  ];
  test.each((['looked', 'locked'] as const).flatMap((step) => CHANGES.map(([what, change]) => [what, step, change] as const)))(
    'its %s, when it was %s: nothing is erased, nothing is used up',
    async (_what, step, change) => {
      const host = await start();
      const { text } = await signedOp(host);
      const before = host.state.drives;
      host.state.reached = (now) => {
        if (now === step) host.state.drives = [backupDrive(change)];
      };
      const answer = await heard(host.carry(text));
      expect(answer).toMatch(/^(grant-refused|drive-not-found): .*not used up/);
      expect([host.state.erased, await host.used()]).toEqual([[], 0]);
      host.state.reached = () => undefined;
      host.state.drives = before;
      expect(await heard(host.carry(text))).toMatch(/^job/);
    },
  );
});

test('a guest that tries again and again fills neither the journal nor the database', async () => {
  const host = await start();
  const { op } = await signedOp(host);
  for (let turn = 0; turn < 30; turn += 1) await heard(host.carry('x', 'guest 101', op.id));
  expect(host.said.filter((line) => line.startsWith('A signature was not accepted'))).toHaveLength(1);
  expect(await host.audit()).toEqual(['op-opened']);
});

test('root is shown the name that the drive has now, not the one that another drive may have taken over', async () => {
  const host = await start();
  const { id } = await host.open();
  const devices = async () => {
    const { ops } = await host.now.admin.list();
    return [...ops.map(({ op }) => op.device), (await host.now.admin.show(id)).op.device];
  };
  expect(await devices()).toEqual(['sdb', 'sdb']);
  host.state.drives = [{ ...backupDrive(), name: 'sdc' }];
  expect(await devices()).toEqual(['sdc', 'sdc']);
  host.state.drives = [];
  expect(await devices()).toEqual(['', '']);
});

test('what a guest is told names neither obstacles nor holders of the host', async () => {
  const host = await start();
  const { text } = await signedOp(host);
  host.state.obstacles = ['Guest 105 has it (/etc/pve/lxc/105.conf).'];
  expect(await heard(host.carry(text, 'guest 101'))).not.toMatch(/105|\/etc/);
  host.state.obstacles = [];
  host.state.holders = [{ kind: 'guest', sentence: 'Process 7 (kvm) of guest 105 has /dev/sdb open.', vmid: 105, pid: 7 }];
  expect(await heard(host.carry(text, 'guest 101'))).not.toMatch(/105|kvm/);
  host.state.keysProblem = '/etc/felhom/opsign.keys is a link.';
  expect(await heard(host.carry(text, 'guest 101'))).not.toMatch(/\/etc/);
});

describe('clocks', () => {
  const claimsFor = (durableId: string, iat: number, exp: number): GrantClaims => ({
    ...{ op: 'storage_wipe', host: HOST, durable_id: durableId, iat, exp },
    ...{ jti: 'AAAAAAAAAAAAAAAAAAAAAA', sub: 'bela' },
  });
  const second = (ms: number): number => Math.floor(ms / 1000);
  const HOUR = 3_600_000;

  test.each([
    ['20 h behind', -20 * HOUR],
    ['20 h ahead', 20 * HOUR],
  ])("the operator's %s: accepted", async (_what, offMs) => {
    const host = await start();
    expect(await heard(host.carry(await host.signed(await host.open(), HOST, NOW + offMs)))).toMatch(/^job/);
  });

  test.each([
    ['two days and a minute behind', -48 * HOUR - 60_000],
    ['a day and a minute ahead', 24 * HOUR + 60_000],
  ])("the operator's %s: refused, with both clocks", async (_what, offMs) => {
    const host = await start();
    const op = await host.open();
    const answer = await heard(host.carry(await host.signed(op, HOST, NOW + offMs)));
    expect(answer).toMatch(/^grant-refused: It was signed to be good from .*this host's clock says 2026-11-22T14:00:00/);
    expect(await heard(host.carry(await host.signed(op)))).toMatch(/^job/);
  });

  test('one that is good for a minute only is so for a day longer, by clocks that differ', async () => {
    const host = await start();
    const { durableId } = await host.open();
    const text = host.operator.signClaims(claimsFor(durableId, second(NOW) - 60, second(NOW) - 1));
    expect(await heard(host.carry(text))).toMatch(/^job/);
  });

  test('the host wakes in 2098 and is set right 40 s later: refused meanwhile, then accepted', async () => {
    const host = await start({ synchronised: true });
    await host.now.mark.tick();
    const { op } = await signedOp(host);
    const text = await host.signed(op);
    host.setWall(72 * 365 * DAY);
    host.state.synchronised = false;
    await host.advance(3_600_001);
    await host.now.mark.tick();
    expect(await heard(host.carry(text))).toMatch(/^grant-refused: It was signed to be good from .*2098/);
    host.setWall(-72 * 365 * DAY);
    host.state.synchronised = true;
    await host.advance(40_000);
    await host.now.mark.tick();
    expect(await heard(host.carry(text))).toMatch(/^job/);
  });

  test('no RTC: 1970 until the time is set; the operation waits in this start of the host', async () => {
    const host = await start({ synchronised: true });
    await host.now.mark.tick();
    const { text } = await signedOp(host);
    host.state.bootId = 'boot-2';
    host.state.synchronised = false;
    host.setWall(-NOW);
    await host.restart();
    expect(await heard(host.carry(text))).toMatch(/^grants-off: .*The clock of this host says 1970-.* but it was 2026-/);
    host.setWall(NOW);
    expect(await heard(host.carry(text))).toMatch(/^job/);
  });

  test('a clock that was set back by more than a day: nothing is accepted until root says that it is right', async () => {
    const host = await start({ synchronised: true });
    await host.now.mark.tick();
    host.setWall(-2 * DAY);
    const op = await host.open();
    expect(await heard(host.carry(await host.signed(op)))).toMatch(/^grants-off: .*clock accept/);
    await host.advance(3_600_001);
    await host.now.mark.tick();
    expect(host.problems.get('clock-doubtful')?.evidence).toMatch(/but it was 2026-11-22T14/);
    await host.now.admin.acceptClock();
    expect(host.problems.size).toBe(0);
    expect(await heard(host.carry(await host.signed(op)))).toMatch(/^job/);
    expect(await host.audit()).toContain('clock-accepted');
  });

  test('set back by a day within this start of the host, an operation lives no longer for it', async () => {
    const host = await start();
    const op = await host.open();
    host.setWall(-20 * HOUR);
    await host.advance(DAY);
    expect(await heard(host.carry(await host.signed(op)))).toMatch(/^grant-refused: The operation .* is over/);
  });

  test('ahead by a year within this start of the host, an operation is not over', async () => {
    const host = await start();
    const { text } = await signedOp(host);
    host.setWall(365 * DAY);
    await host.now.register.tick();
    host.setWall(-365 * DAY);
    expect(await heard(host.carry(text))).toMatch(/^job/);
  });

  test('after another start of the host the wall clock decides', async () => {
    const host = await start();
    const { op } = await signedOp(host);
    host.state.bootId = 'boot-2';
    await host.restart();
    expect(host.now.ops.find(op.id)?.state).toBe('open');
    host.setWall(DAY);
    expect(host.now.ops.find(op.id)?.state).toBe('expired');
  });
});

describe('the database does not take it', () => {
  test('nothing is erased and nothing is used up; when there is room again the same signature is good', async () => {
    const host = await start();
    const { op, text } = await signedOp(host);
    host.state.failures.set('write', new StoreError('database or disk is full', 'SQLITE_FULL'));
    expect(await heard(host.carry(text))).toMatch(/^state-failed: .*nothing was erased.*not used up/);
    expect([host.state.erased, host.now.ops.find(op.id)?.state]).toEqual([[], 'open']);
    host.state.failures.clear();
    expect(await heard(host.carry(text))).toMatch(/^job/);
  });

  test('nor the second file, which is proved before: nothing is used up', async () => {
    const host = await start();
    const { text } = await signedOp(host);
    const { trust } = host.now;
    host.state.reached = (step) => {
      if (step === 'proved') throw new Error('ENOSPC');
    };
    expect(await heard(host.carry(text))).toMatch(/^grants-off/);
    expect([host.state.erased, await host.used(), trust.counts()]).toEqual([[], 0, { database: 0, file: 0 }]);
  });

  test('the second file fails after it was proved: used up, and said so; nothing is erased', async () => {
    const host = await start();
    const { op, text } = await signedOp(host);
    host.state.failures.set('file', new Error('EIO'));
    expect(await heard(host.carry(text))).toMatch(
      /^state-failed: The signature was recorded, but not in the file.*nothing was erased.*used up/,
    );
    expect(host.state.erased).toEqual([]);
    expect(host.now.ops.find(op.id)?.state).toBe('granted');
    expect(host.now.jobs.all()[0]).toMatchObject({ state: 'failed', opId: op.id });
    host.state.failures.clear();
    expect(await heard(host.carry(text))).toMatch(/^grant-refused: This signature was used already/);
    // The guest asks again, and the file catches up.
    expect(await heard(host.carry(await host.signed(await host.open())))).toMatch(/^job/);
    expect(host.now.trust.counts()).toEqual({ database: 2, file: 2 });
  });

  test('the program does not begin: used up, and said so', async () => {
    const host = await start();
    const { text } = await signedOp(host);
    host.state.failures.set('go', new Error('gone'));
    expect(await heard(host.carry(text))).toMatch(/^format-failed: .*The signature is used up. Ask for the format again/);
    expect(host.state.erased).toEqual([]);
  });
});
