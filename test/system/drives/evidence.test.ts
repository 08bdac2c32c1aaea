/** What the agent sees of real drives, real namespaces, a real FUSE that hangs, and through the sandboxes of a real systemd. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { createPhysicalVolumes } from '#agent/disks/sources/physical-volumes';
import { seenMounts } from '#agent/disks/sources/seen-mounts';
import { runCommand } from '#agent/ports/command';
import { createLvm } from '#agent/ports/lvm';
import { createProc } from '#agent/ports/proc';
import { createSysfs } from '#agent/ports/sysfs';
import { createUdevDb } from '#agent/ports/udev-db';
import { bundleSources } from '../../chaos/bundle.ts';
import { bootHost, lacks } from '../../nspawn/host.ts';
import { labMissing, outcome, withLab } from './lab.ts';

const NO_NSPAWN = labMissing || (lacks() ?? '');
const skipped = (why: string): string => (why === '' ? '' : ` (skipped: ${why})`);
let program = '';
beforeAll(async () => {
  program = await bundleSources('evidence', { main: 'test/system/drives/evidence-main.ts' });
});

/** What the program prints, run by a shell in a mount namespace of its own. */
const within = (script: string, ...args: string[]): Promise<string> =>
  new Promise((resolve, reject) => {
    execFile(
      '/usr/bin/unshare',
      ['-m', '--propagation', 'slave', '/bin/sh', '-c', `${script}; exec "$0" "$@"`, process.execPath, program, ...args],
      { timeout: 20_000, killSignal: 'SIGKILL' },
      (error, stdout) => (stdout === '' ? reject(error) : resolve(stdout)),
    );
  });

describe.skipIf(labMissing !== '')(`drives${skipped(labMissing)}`, () => {
  test('a drive with partitions, as the kernel has it', () =>
    withLab(async (lab) => {
      const drive = await lab.drive({ name: 'photos', mb: 64, serial: 'SN1' });
      await lab.partition(drive, 'label: gpt\n,20M\n,\n');
      const found = (await createSysfs().kernelDevices()).find(({ name }) => name === drive.name);
      expect(found).toMatchObject({
        ...{ numbers: drive.numbers, sizeBytes: 64 * 1024 ** 2, backingFile: drive.file, transport: 'loop' },
        ...{ path: `/sys/devices/virtual/block/${drive.name}`, holders: [], removable: false, readOnly: false },
        partitions: [{ name: `${drive.name}p1`, sizeBytes: 20 * 1024 ** 2, startBytes: 1024 ** 2 }, { name: `${drive.name}p2` }],
      });
      expect(found?.diskseq).toBeGreaterThan(0);
    }));

  test('LVM reads the volumes that it is told, once; no other drive is touched', () =>
    withLab(async (lab) => {
      const [a, b, other] = await Promise.all(['a', 'b', 'other'].map((name) => lab.drive({ name })));
      if (!a || !b || !other) throw new Error('no drives');
      for (const drive of [a, b, other]) await lab.mkfs(drive.device, 'lvm2');
      // Without device mapper the group is made, and only its volumes could not be used.
      await outcome(
        'vgcreate',
        '--config',
        'backup{backup=0 archive=0} devices{use_devicesfile=0}',
        'felhom-lab',
        a.device,
        b.device,
      );
      const read = createPhysicalVolumes({ lvm: createLvm(runCommand), isAsleep: async () => false }, [a.file, b.file]);
      const look = async () => {
        const devices = await createSysfs().kernelDevices();
        const sectors = (name: string) => devices.find((device) => device.name === name)?.sectorsRead ?? null;
        return {
          volumes: await read(devices, await createUdevDb(lab.udevDir).read(devices)),
          reads: [a, other].map(({ name }) => sectors(name)),
        };
      };
      const [first, second, third] = [await look(), await look(), await look()];
      expect(first.volumes.map(({ device, group, missing }) => [device, group, missing]).sort()).toEqual(
        [a, b].map(({ device }) => [device, 'felhom-lab', false]).sort(),
      );
      expect(second.reads[0]).toBeGreaterThan(first.reads[0] ?? Number.NaN);
      expect(third.reads).toEqual(second.reads);
      expect(third.reads[1]).toBe(first.reads[1]);
      const alone = await createLvm(runCommand).physicalVolumes([a.device]);
      expect(alone).toMatchObject([{ device: a.device }, { device: '', group: 'felhom-lab', missing: true }]);
    }));

  test('a mount in a private namespace is seen, with a process that sees it', () =>
    withLab(async (lab) => {
      const drive = await lab.drive({ name: 'hidden' });
      await lab.mkfs(drive.device, 'ext4');
      const point = join(lab.dir, 'point');
      await mkdir(point);
      const child = spawn(
        '/usr/bin/unshare',
        ['-m', '--propagation', 'slave', '/bin/sh', '-c', `mount ${drive.device} ${point} && echo ready && exec sleep 60`],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      try {
        await once(child.stdout, 'data');
        const seen = (await seenMounts(createProc())).filter(({ mount }) => mount.device === drive.numbers);
        expect(seen).toMatchObject([{ mount: { point }, pid: child.pid, host: false }]);
      } finally {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
    }));

  test('a FUSE that hangs: Proxmox’s configuration is missing after three seconds, then at once, and the agent goes on', () =>
    withLab(async (lab) => {
      const pve = join(lab.dir, 'pve');
      await mkdir(pve);
      // Nobody ever answers what the kernel asks through descriptor 9.
      const hung = `exec 9<>/dev/fuse; mount -i -t fuse hung ${pve} -o fd=9,rootmode=40000,user_id=0,group_id=0 || exit 1`;
      const found = JSON.parse(await within(hung, 'gather', lab.udevDir, pve)) as Record<string, unknown>;
      const missing = { known: false, why: "Proxmox's configuration: no answer within 3 seconds." };
      expect(found).toMatchObject({ mounts: { known: true }, proxmox: [missing, missing] });
      expect(found.ms).toBeLessThan(6_000);
      expect(found.againMs).toBeLessThan(2_000);
    }));

  test('at /etc/pve a directory with all the files is not enough: it must be the cluster file system', () =>
    withLab(async (lab) => {
      const pve = join(lab.dir, 'pve');
      for (const name of ['lxc', 'qemu-server']) await mkdir(join(pve, 'nodes/pve1', name), { recursive: true });
      await symlink('nodes/pve1', join(pve, 'local'));
      await writeFile(join(pve, '.version'), '{}');
      const there = `mount -t tmpfs tmpfs /etc && mkdir /etc/pve && cp -a ${pve}/. /etc/pve/`;
      expect(JSON.parse(await within(there, 'gather', lab.udevDir, '/etc/pve'))).toMatchObject({
        proxmox: [{ known: false, why: "Proxmox's configuration: /etc/pve is not mounted." }, { known: false }],
      });
      expect(JSON.parse(await within('true', 'gather', lab.udevDir, pve))).toMatchObject({
        proxmox: [{ known: true }, { known: true }],
      });
    }));

  test('the self-test finds everything here, and says what is hidden from it', () =>
    withLab(async (lab) => {
      const drive = await lab.drive({ name: 'photos' });
      await lab.mkfs(drive.device, 'ext4');
      const test = async (hide: string) => JSON.parse(await within(hide, 'self-test', lab.udevDir, '', drive.file)) as string;
      expect(await test('true')).toBe('');
      expect(await test('mount --bind /dev/null /proc/swaps')).toContain('the swap space');
      expect(await test(`mount -t tmpfs tmpfs ${lab.udevDir}`)).toContain("udev's database");
      expect(await test(`mount --bind /dev/zero ${drive.device}`)).toContain('the signatures of a drive');
      expect(await test('mount -o remount,ro,bind /sys')).toContain('/sys is read-only');
      expect(await test('set -- setpriv --bounding-set -sys_ptrace "$0" "$@"; shift 0; exec "$@"')).toContain('CAP_SYS_PTRACE');
    }));
});

/** Each option, and what the self-test then misses. ProtectKernelTunables= is tried above: a container's /sys is read-only anyhow. */
const SANDBOXES = [
  ['ProcSubset=pid', 'the swap space'],
  ['PrivateDevices=yes', 'CAP_SYS_RAWIO'],
  ['CapabilityBoundingSet=~CAP_SYS_PTRACE', 'CAP_SYS_PTRACE'],
  ['CapabilityBoundingSet=~CAP_SYS_RAWIO', 'CAP_SYS_RAWIO'],
  ['CapabilityBoundingSet=~CAP_DAC_READ_SEARCH', 'CAP_DAC_READ_SEARCH'],
  ['InaccessiblePaths=/srv/udev', "udev's database"],
] as const;

/** What the shipped unit sets of its sandbox: all but what it runs, and what needs other files. */
const shipped = async (): Promise<string[]> => {
  const unit = await readFile(join(import.meta.dirname, '../../../systemd/felhom-agent.service'), 'utf8');
  const [, service = ''] = /^\[Service\]\n([\s\S]*?)^\[Install\]/m.exec(unit) ?? [];
  return service
    .split('\n')
    .filter((line) => /^(?:NoNew|Protect|Private|Lock|Restrict|System|Capability|Memory|Device|Proc|Read)\w+=/.test(line));
};

test.skipIf(NO_NSPAWN !== '')(
  `under the shipped unit's sandbox of a real systemd everything is seen; each dangerous option is noticed${skipped(NO_NSPAWN)}`,
  () =>
    withLab(async (lab) => {
      const drive = await lab.drive({ name: 'photos' });
      await lab.mkfs(drive.device, 'ext4');
      const host = await bootHost(['--capability=CAP_SYS_RAWIO', `--bind=${drive.device}`]);
      try {
        const entry = join('data', `b${drive.numbers}`);
        host.write(join('/srv/udev', entry), await readFile(join(lab.udevDir, entry), 'utf8'));
        // Not systemd-run(1): the guest has no D-Bus.
        const under = async (...options: string[]): Promise<string> => {
          const command = ['/usr/bin/node', program, 'self-test', '/srv/udev', '/etc/pve', drive.file].join(' ');
          const service = [
            '[Service]',
            'Type=oneshot',
            `ExecStart=${command}`,
            'SuccessExitStatus=SIGKILL',
            'StandardOutput=truncate:/srv/said',
          ];
          host.write('/etc/systemd/system/probe.service', [...service, ...options, ''].join('\n'));
          await host.run('/usr/bin/systemctl', 'daemon-reload');
          const { stderr } = await host.try('/usr/bin/systemctl', 'start', 'probe.service');
          const said = await readFile(join(host.root, 'srv/said'), 'utf8');
          return said === '' ? stderr : (JSON.parse(said) as string);
        };
        const sandbox = await shipped();
        expect(sandbox.length).toBeGreaterThan(5);
        expect(await under(...sandbox)).toBe('');
        for (const [option, misses] of SANDBOXES)
          expect([option, await under(...sandbox, option)]).toEqual([option, expect.stringContaining(misses)]);
      } finally {
        await host.close();
      }
    }),
  60_000,
);
