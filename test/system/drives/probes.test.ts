/** Drives read and looked into for real: what is found, that nothing is written, that nobody is disturbed, and what a dead one does. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  copyFileSync,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemClock } from '#agent/ports/clock';
import { type RunForOutcome, runForOutcome } from '#agent/ports/command';
import { createDriveCheck } from '#agent/ports/drive-check';
import { createProbe } from '#agent/ports/probe';
import { hungDrive, hungMissing } from './hung.ts';
import { kernelMounts, type Lab, type LabDrive, type LabFilesystem, labMissing, outcome, run, withLab } from './lab.ts';
import { deviceOf, digestOf, driveCheck, probesOf, statOf, until } from './touching.ts';

const MIB = 1024 ** 2;

const skipped = (missing: string): string => (missing === '' ? '' : ` (skipped: ${missing})`);

const poke = async (device: string, at: number, bytes: number[]): Promise<void> => {
  const handle = await open(device, 'r+');
  await handle.write(Buffer.from(bytes), 0, bytes.length, at);
  await handle.sync();
  await handle.close();
};

describe.skipIf(labMissing !== '')(`reading drives${skipped(labMissing)}`, () => {
  test('a blank one is clean; one with a table and file systems has all of them, with their identities', async () => {
    await withLab(async (lab) => {
      const blank = await lab.drive({ name: 'blank', mb: 16 });
      const full = await lab.drive({ name: 'full' });
      const [first = '', second = ''] = await lab.partition(full, 'label: gpt\n,20M\n,\n');
      const uuid = await lab.mkfs(first, 'ext4', { label: 'Ä "b"' });
      const { read } = probesOf();
      const { probes, looks } = await read(blank, full);
      expect(probes.get(blank.name)).toMatchObject({ known: true, value: { clean: true, signatures: [], ambivalent: [] } });
      const part = first.slice('/dev/'.length);
      expect(probes.get(full.name)).toMatchObject({ known: true, value: { clean: false } });
      const found = probes.get(full.name);
      const value = found?.known ? found.value : undefined;
      expect(value?.signatures).toContainEqual({ device: part, type: 'ext4', offset: 1080, uuid, label: 'Ä "b"' });
      expect(value?.signatures.filter(({ device }) => device === full.name).map(({ type }) => type)).toEqual([
        'gpt',
        'gpt',
        'PMBR',
      ]);
      expect(Object.keys(value?.partitionUuids ?? {})).toEqual([part, second.slice('/dev/'.length)]);
      const table = JSON.parse(await run('sfdisk', '--json', full.device)) as { partitiontable: { id: string } };
      expect(value?.tableUuid).toBe(table.partitiontable.id.toLowerCase());
      expect(looks).toEqual(new Map([[part, { known: true, value: { found: 'nothing' } }]]));
    });
  });

  test('two file systems that exclude each other, and a drive whose places cannot be read: neither is clean', async () => {
    await withLab(async (lab) => {
      const two = await lab.drive({ name: 'two', mb: 16 });
      await lab.mkfs(two.device, 'vfat');
      await poke(two.device, 0x438, [0x53, 0xef]);
      expect((await outcome('blkid', '-p', two.device)).exit).toBe(8);
      const dead = await lab.drive({ name: 'dead', mb: 16 });
      await lab.mkfs(dead.device, 'ext4');
      truncateSync(dead.file, 0);
      await run('blockdev', '--flushbufs', dead.device);
      // The trap: both programs say "nothing", and neither says why.
      expect(await outcome('blkid', '-p', dead.device)).toEqual({ exit: 2, stdout: '', stderr: '' });
      expect(JSON.parse((await outcome('wipefs', '--json', '-n', dead.device)).stdout)).toEqual({ signatures: [] });
      const { probes } = await probesOf().read(two, dead);
      expect(probes.get(two.name)).toMatchObject({ known: true, value: { clean: false, ambivalent: [two.name] } });
      expect(probes.get(dead.name)).toMatchObject({ known: false });
    });
  });

  test('a drive that sleeps is not read once in a thousand times', async () => {
    await withLab(async (lab) => {
      const drive = await lab.drive({ name: 'asleep' });
      await lab.mkfs(drive.device, 'ext4');
      const { probes } = probesOf({ isAsleep: async () => true, mounts: async () => ({ known: true, value: [] }) });
      const device = await deviceOf(drive);
      const before = statOf(drive);
      for (let times = 0; times < 1000; times += 1)
        expect((await probes.read([device], { known: false, why: '' })).asleep.size).toBe(1);
      expect(statOf(drive)).toBe(before);
    });
  });

  test('reading and looking never closes a device that was open for writing, which udev would look at anew', async () => {
    await withLab(async (lab) => {
      const drive = await lab.drive({ name: 'quiet' });
      await lab.mkfs(drive.device, 'ext4');
      const watch = await watchWrites(lab, drive.device);
      const { read } = probesOf();
      expect((await read(drive)).looks.get(drive.name)).toMatchObject({ known: true });
      expect(await driveCheck().exclusive(drive.device)).toBe('free');
      await driveCheck().flush(drive.device);
      await new Promise((resolve) => setTimeout(resolve, 200));
      expect(watch.seen()).toBe('');
      await poke(drive.device, 0, [0]);
      await until(() => watch.seen() !== '');
    });
  });
});

test.skipIf(labMissing !== '')(`what was flushed is behind the drive${skipped(labMissing)}`, async () => {
  await withLab(async (lab) => {
    const drive = await lab.drive({ name: 'flushed', mb: 8 });
    const handle = await open(drive.device, 'r+');
    await handle.write(Buffer.from('written'), 0, 7, MIB);
    const behind = (): string => readFileSync(drive.file).toString('latin1', MIB, MIB + 7);
    expect(behind()).not.toBe('written');
    await driveCheck().flush(drive.device);
    expect(behind()).toBe('written');
    await handle.close();
    await expect(driveCheck().flush(drive.file)).rejects.toMatchObject({ reason: 'failed' });
  });
});

const NOISE = Array.from({ length: 4096 }, () => 0xa5);

const isReadOnly = ({ name }: Pick<LabDrive, 'name'>): boolean => readFileSync(`/sys/block/${name}/ro`, 'utf8') === '1\n';

/** inotify(7) tells of closed writers, as udev is told: perl has no words for it, so it makes the calls themselves. */
const watchWrites = async (lab: Lab, device: string): Promise<{ seen(): string }> => {
  const [init, add] = process.arch === 'arm64' ? [26, 27] : [294, 254];
  const script = `$|=1; $fd=syscall(${init},0); $p=$ARGV[0]; syscall(${add},$fd,$p,8)>0 or die; print "ready\\n"; open(F,"<&=$fd"); while(sysread(F,$b,4096)){print "closed\\n"}`;
  const child = spawn('/usr/bin/perl', ['-e', script, device], { stdio: ['ignore', 'pipe', 'inherit'] });
  lab.undo(() => child.kill());
  let out = '';
  child.stdout.on('data', (data) => {
    out += String(data);
  });
  await until(() => out.startsWith('ready\n'));
  return { seen: () => out.slice('ready\n'.length) };
};

/** A file system as it is while it is in use: its journal holds what a mount would write back. */
const withDirtyJournal = async (lab: Lab, fstype: LabFilesystem, mb: number, fill: (root: string) => void): Promise<LabDrive> => {
  const used = await lab.drive({ name: `${fstype}-used`, mb });
  await lab.mkfs(used.device, fstype);
  const point = join(lab.dir, `${fstype}-mnt`);
  await lab.mount(used.device, point);
  fill(point);
  // What was there for a while is in its place, and not in the journal alone.
  await lab.umount(point);
  await lab.mount(used.device, point);
  const news = await open(join(point, 'news'), 'w');
  await news.write('x');
  // Into the journal, and no further.
  await news.sync();
  await news.close();
  const copy = join(lab.dir, `${fstype}-cut.img`);
  copyFileSync(used.file, copy);
  await lab.umount(point);
  // Two that carry the same are another matter.
  await lab.detach(used);
  return lab.attach(copy, { name: `${fstype}-cut` });
};

describe.skipIf(labMissing !== '')(`looking into file systems${skipped(labMissing)}`, () => {
  const archives = (root: string): void => {
    mkdirSync(join(root, 'dump'));
    writeFileSync(join(root, 'dump', 'vzdump-lxc-101-2026_11_20-02_00_00.tar.zst'), 'x');
  };
  const cases: [LabFilesystem, number, 'vzdump' | 'chunks' | 'nothing', (root: string) => void][] = [
    ['ext4', 64, 'vzdump', archives],
    ['xfs', 320, 'chunks', (root) => mkdirSync(join(root, '.chunks'))],
    ['btrfs', 128, 'nothing', (root) => writeFileSync(join(root, 'photo'), 'x')],
  ];

  test.each(cases)('%s in use when its drive was cut off: nothing is written by the look', async (fstype, mb, found, fill) => {
    if (!(await kernelMounts(fstype))) return;
    await withLab(async (lab) => {
      const drive = await withDirtyJournal(lab, fstype, mb, fill);
      const before = await digestOf(drive.file);
      const { looks } = await probesOf().read(drive);
      expect(looks.get(drive.name)).toEqual({ known: true, value: { found } });
      expect(await driveCheck().exclusive(drive.device)).toBe('free');
      await run('sync', drive.file);
      expect(await digestOf(drive.file)).toBe(before);
      expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(drive.device);
    });
  });

  test('when it is told what was found, the drive is free again', async () => {
    await withLab(async (lab) => {
      const drive = await lab.drive({ name: 'free' });
      await lab.mkfs(drive.device, 'ext4');
      for (let times = 0; times < 3; times += 1) {
        await driveCheck().look(drive.device, 'ext4');
        closeSync(openSync(drive.device, constants.O_RDONLY | constants.O_EXCL));
      }
    });
  });

  test('nobody else sees the mount, and what the host unmounts meanwhile is free', async () => {
    await withLab(async (lab) => {
      const namespace = 'echo "{\\"failed\\":{\\"code\\":\\"\\",\\"why\\":\\"$(readlink /proc/self/ns/mnt)\\"}}"';
      const telling = createDriveCheck({ clock: systemClock, program: ['/bin/sh', '-c', namespace] });
      const why = await telling.look('/dev/x', 'ext4').catch(String);
      expect(why).toMatch(/mnt:\[\d+\]/);
      expect(why).not.toContain(await run('readlink', `/proc/${process.pid}/ns/mnt`));
      // As systemd makes all mounts of a host.
      const shared = join(lab.dir, 'shared');
      mkdirSync(shared);
      await lab.mount(shared, shared, '--bind', '--make-shared');
      const drive = await lab.drive({ name: 'other' });
      await lab.mkfs(drive.device, 'ext4');
      const point = join(shared, 'mnt');
      await lab.mount(drive.device, point);
      const hanging = createDriveCheck({
        clock: systemClock,
        program: ['/bin/sh', '-c', 'echo 1; exec sleep 2'],
        timeoutMs: { look: 5_000 },
      });
      const looking = hanging.look('/dev/x', 'ext4').catch(() => 'ended');
      await new Promise((resolve) => setTimeout(resolve, 300));
      await lab.umount(point);
      expect(await driveCheck().exclusive(drive.device)).toBe('free');
      expect(await looking).toBe('ended');
    });
  });

  test.each(['vfat', 'ntfs', 'exfat'] as const)('%s: by the kernel’s driver, or not at all', async (fstype) => {
    await withLab(async (lab) => {
      const drive = await lab.drive({ name: fstype, mb: 16 });
      await lab.mkfs(drive.device, fstype);
      const { looks } = await probesOf().read(drive);
      const driver = fstype === 'ntfs' ? 'ntfs3' : fstype;
      const can = (await kernelMounts(driver)) || (await kernelMounts(fstype));
      expect(looks.get(drive.name)).toMatchObject(can ? { known: true, value: { found: 'nothing' } } : { known: false });
    });
  });

  test('a link called "dump" leads nowhere; a damaged file system, or directory, tells nothing', async () => {
    await withLab(async (lab) => {
      const linked = await lab.drive({ name: 'linked' });
      await lab.mkfs(linked.device, 'ext4');
      const point = join(lab.dir, 'mnt');
      await lab.mount(linked.device, point);
      const outside = join(lab.dir, 'outside');
      mkdirSync(outside);
      writeFileSync(join(outside, 'vzdump-x'), '');
      symlinkSync(outside, join(point, 'dump'));
      await lab.umount(point);
      const gone = await lab.drive({ name: 'gone' });
      await lab.mkfs(gone.device, 'ext4');
      // Descriptors of the block groups: the superblock says they are there.
      await poke(gone.device, 2048, NOISE);
      const torn = await lab.drive({ name: 'torn' });
      await lab.mkfs(torn.device, 'ext4', { args: ['-b', '4096', '-O', '^metadata_csum'] });
      await lab.mount(torn.device, point);
      archives(point);
      await lab.umount(point);
      const block = Number(await run('debugfs', '-R', 'blocks dump', torn.device));
      await poke(torn.device, block * 4096, NOISE);
      const before = await digestOf(torn.file);
      const { looks } = await probesOf().read(linked, gone, torn);
      expect(looks.get(linked.name)).toEqual({ known: true, value: { found: 'nothing' } });
      expect(looks.get(gone.name)).toMatchObject({ known: false });
      // The kernel would show it as an empty directory, and write down that it found an error.
      expect(looks.get(torn.name)).toMatchObject({ known: false, why: expect.stringContaining('corrupted') });
      expect(await digestOf(torn.file)).toBe(before);
      await lab.mount(torn.device, point, '-o', 'errors=continue');
      expect((await probesOf().read(torn)).looks.get(torn.name)).toMatchObject({
        known: false,
        why: expect.stringContaining('damaged'),
      });
    });
  });

  test('what must not be written to is not, and is as it was afterwards', async () => {
    await withLab(async (lab) => {
      const [open, locked] = [await lab.drive({ name: 'open', mb: 128 }), await lab.drive({ name: 'locked', mb: 128 })];
      for (const drive of [open, locked]) await lab.mkfs(drive.device, 'btrfs');
      await run('blockdev', '--setro', locked.device);
      // It stays with the loop device, whatever is attached to it next.
      lab.undo(() => run('blockdev', '--setrw', locked.device));
      const { read } = probesOf();
      let looks: ReadonlyMap<string, unknown> = new Map();
      // While one is read it could be a copy of the other: then that one is looked into the next time.
      await until(async () => {
        const found = (await read(open, locked)).looks;
        looks = found;
        return [open, locked].every(({ name }) => found.get(name)?.known);
      });
      for (const drive of [open, locked]) expect(looks.get(drive.name)).toEqual({ known: true, value: { found: 'nothing' } });
      expect([isReadOnly(open), isReadOnly(locked)]).toEqual([false, true]);
    });
  });

  test('one that is mounted is looked into by its mount, also where only another namespace has it', async () => {
    await withLab(async (lab) => {
      const [here, there] = [await lab.drive({ name: 'here' }), await lab.drive({ name: 'there' })];
      for (const drive of [here, there]) await lab.mkfs(drive.device, 'ext4');
      const point = join(lab.dir, 'mnt');
      await lab.mount(here.device, point);
      archives(point);
      const inside = `mount ${there.device} ${join(lab.dir, 'inside')} && mkdir ${join(lab.dir, 'inside/.chunks')} && echo ready && exec sleep 60`;
      mkdirSync(join(lab.dir, 'inside'));
      const child = spawn('/usr/bin/unshare', ['--mount', '--propagation', 'slave', 'sh', '-c', inside]);
      lab.undo(async () => {
        child.kill('SIGKILL');
        if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      });
      await once(child.stdout, 'data');
      const before = statOf(there).trim().split(/\s+/)[6];
      const { looks } = await probesOf().read(here, there);
      expect(looks.get(here.name)).toEqual({ known: true, value: { found: 'vzdump' } });
      expect(looks.get(there.name)).toEqual({ known: true, value: { found: 'chunks' } });
      expect(statOf(there).trim().split(/\s+/)[6]).toBe(before);
    });
  });
});

describe.skipIf(hungMissing !== '')(`a drive that hangs${skipped(hungMissing)}`, () => {
  test('while it is read: the others answer at once, and it does again when it can', async () => {
    await withLab(async (lab) => {
      const good = await lab.drive({ name: 'good', mb: 16 });
      const dead = await hungDrive(lab, 'dead');
      const { probes, read } = probesOf({ device: createProbe(hasty) });
      dead.hang();
      const started = performance.now();
      for (let times = 0; times < 5; times += 1) {
        const seen = await read(dead, good);
        expect(seen.probes.get(good.name)).toMatchObject({ known: true, value: { clean: true } });
        expect(seen.probes.get(dead.name)).toMatchObject({ known: false });
      }
      // Two seconds once, and not each time.
      expect(performance.now() - started).toBeLessThan(9_000);
      await until(async () => (await read(dead)).notAnswering.has(dead.name));
      dead.answer();
      await until(async () => {
        await probes.again(await deviceOf(dead));
        return (await read(dead)).notAnswering.size === 0;
      });
      expect((await read(dead)).probes.get(dead.name)).toMatchObject({ known: true, value: { clean: true } });
    });
  });

  test('while it is looked into: what nobody can end is left, nothing is begun beside it, and it is told', async () => {
    await withLab(async (lab) => {
      const dead = await hungDrive(lab, 'dead', 128);
      await lab.mkfs(dead.device, 'btrfs');
      const check = driveCheck({ look: 3_000 });
      let mayLook = false;
      const { probes, read } = probesOf({ device: createProbe(hasty), check, mayLook: () => mayLook });
      expect((await read(dead)).probes.get(dead.name)).toMatchObject({ known: true });
      dead.hang();
      mayLook = true;
      await until(async () => (await read(dead)).notAnswering.has(dead.name));
      expect(await hangingMounts(dead.device)).toHaveLength(1);
      expect(isReadOnly(dead)).toBe(true);
      await expect(check.look(dead.device, 'btrfs')).rejects.toMatchObject({ reason: 'stuck' });
      expect(await hangingMounts(dead.device)).toHaveLength(1);
      dead.answer();
      await until(async () => (await hangingMounts(dead.device)).length === 0);
      await until(() => !isReadOnly(dead));
      await until(async () => {
        await probes.again(await deviceOf(dead));
        return (await read(dead)).notAnswering.size === 0;
      });
      expect((await read(dead)).looks.get(dead.name)).toEqual({ known: true, value: { found: 'nothing' } });
    });
  });
});

/** With deadlines of the test's patience. */
const hasty: RunForOutcome = (name, args) => runForOutcome(name, args, 2_500);

/** Numbers of mount(8)s that are still there, whatever they were sent. */
const hangingMounts = async (device: string): Promise<string[]> => {
  const { stdout } = await outcome('pgrep', '-f', `^/usr/bin/mount .*${device}`);
  return stdout.split('\n').filter((line) => line !== '');
};
