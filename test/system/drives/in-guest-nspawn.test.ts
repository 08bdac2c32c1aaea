/** The same under a real systemd: the directory and the drives are its mounts, whatever namespace the agent is in, and are there after a reboot. */
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { bundleSources } from '../../chaos/bundle.ts';
import { guestNumber, lxcMissing, makeContainer } from '../../lxc/container.ts';
import { bootHost, lacks, type NspawnHost } from '../../nspawn/host.ts';
import { type Lab, labMissing, withLab } from './lab.ts';

const without = lacks();
const missing = labMissing || lxcMissing || (without === null ? '' : `a host with systemd needs ${without}`);
const GUEST = guestNumber(3);
const DIRECTORY = `/mnt/felhom/.guests/${GUEST}`;
const UNIT = `mnt-felhom-.guests-${GUEST}.mount`;
const CONFIG = `/srv/pve/nodes/pve1/lxc/${GUEST}.conf`;

/** Proxmox's directory, and one guest in it. */
const furnish = ({ root }: NspawnHost): void => {
  const at = (path: string) => join(root, path);
  for (const path of ['/srv/pve/nodes/pve1/lxc', '/srv/pve/nodes/pve1/qemu-server', '/srv/lab', '/mnt/felhom'])
    mkdirSync(at(path), { recursive: true, mode: 0o755 });
  symlinkSync('nodes/pve1', at('/srv/pve/local'));
  writeFileSync(at('/srv/pve/.version'), '{"version":1}');
  writeFileSync(at(CONFIG), 'arch: amd64\nhostname: ct\nunprivileged: 1\n');
};

const withHost = (use: (host: NspawnHost, lab: Lab, device: string) => Promise<void>): Promise<void> =>
  withLab(async (lab) => {
    const { device } = await lab.drive({ name: 'photos', mb: 32 });
    await lab.mkfs(device, 'ext4', { args: ['-E', 'root_owner=100000:100000'] });
    // LXC in it sets the out-of-memory score of what it starts.
    const host = await bootHost([`--bind=${device}`, '--capability=CAP_SYS_RAWIO']);
    lab.undo(() => host.close());
    furnish(host);
    await use(host, lab, device);
  });

// A machine that does much else is slow at all of it.
const PATIENT = { timeout: 90_000 };

describe.skipIf(missing !== '')(
  `drives in a container, under systemd${missing === '' ? '' : ` (skipped: ${missing})`}`,
  PATIENT,
  () => {
    test('mounted by units, seen at once, there after a reboot, and taken away', () =>
      withHost(async (host, lab, device) => {
        const program = await bundleSources('in-guest-main', { main: 'test/system/drives/in-guest-main.ts' });
        const agent = async (verb: string, ...args: string[]): Promise<unknown> =>
          JSON.parse(
            await host.run(
              '/usr/bin/unshare',
              '--mount',
              '--propagation',
              'slave',
              'node',
              program,
              verb,
              String(GUEST),
              ...args,
            ),
          );
        const container = makeContainer({ dir: '/srv/lab', config: CONFIG, vmid: GUEST, machine: host });
        lab.undo(() => container.stop());

        expect(await agent('enrol')).toEqual({ note: '' });
        expect(readFileSync(join(host.root, CONFIG), 'utf8')).toContain(`lxc.mount.entry: ${DIRECTORY} mnt/felhom none`);
        await container.start();
        expect(await agent('connect', 'photos', device)).toEqual({ guestPath: '/mnt/felhom/photos', note: '' });
        await container.run('sh', '-c', 'echo sunset > /mnt/felhom/photos/1');
        expect((await host.run('cat', '/mnt/felhom/photos/1')).trim()).toBe('sunset');
        expect((await container.try('touch', '/mnt/felhom/x')).code).not.toBe(0);
        const held = await container.hold('cd /mnt/felhom/photos; echo ready; exec sleep 60');
        await expect(agent('disconnect', 'photos')).rejects.toThrow(/busy|still mounted|failed/);
        expect(await agent('shown', 'photos')).toMatchObject({ guestPath: '/mnt/felhom/photos' });
        await held.end();
        await agent('disconnect', 'photos');
        expect(await container.run('ls', '-A', '/mnt/felhom')).toBe('');
        expect((await host.run('cat', '/proc/1/mountinfo')).includes('photos')).toBe(false);

        await container.stop();
        await host.powerOff();
        await host.boot();
        // Before any agent runs.
        expect((await host.run('systemctl', 'is-active', UNIT)).trim()).toBe('active');
        await container.start();
        expect(await container.run('stat', '-f', '-c', '%T', '/mnt/felhom')).toBe('tmpfs');
        await agent('prepare');
        expect(await agent('connect', 'photos', device)).toEqual({ guestPath: '/mnt/felhom/photos', note: '' });
        expect(await container.run('cat', '/mnt/felhom/photos/1')).toBe('sunset');
        await agent('disconnect', 'photos');

        await agent('takeBack');
        expect(readFileSync(join(host.root, CONFIG), 'utf8')).toBe('arch: amd64\nhostname: ct\nunprivileged: 1\n');
        for (const path of [DIRECTORY, `/etc/systemd/system/${UNIT}`, `/etc/systemd/system/local-fs.target.wants/${UNIT}`])
          expect([path, existsSync(join(host.root, path))]).toEqual([path, false]);
        await container.stop();
        await container.start();
      }));
  },
);
