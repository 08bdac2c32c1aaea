/** Under a real systemd, with the shipped unit's sandbox: a format goes on in a scope of its own when the agent's service is stopped or killed. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { FormatState } from '#agent/ports/drive-format';
import { bundleSources } from '../../chaos/bundle.ts';
import { bootHost, lacks, type NspawnHost } from '../../nspawn/host.ts';
import { type Order, orderFor, type Stops, stopsAt } from './formatting.ts';
import { labMissing, outcome, withLab } from './lab.ts';
import { deviceOf, until } from './touching.ts';

const without = lacks();
const missing = labMissing || (without === null ? '' : `a host with systemd needs ${without}`);

const STATE = '/var/lib/felhom-agent';
const SERVICE = 'felhom-agent.service';

/** The shipped unit, with what stands for the agent. */
const furnish = async (host: NspawnHost, order: Order, { program }: Stops): Promise<void> => {
  const standIn = await bundleSources('format-agent', { main: 'test/system/drives/format-agent-main.ts' });
  const command = ['/usr/bin/node', standIn, STATE, JSON.stringify(order), '/usr/bin/node', ...program.slice(1)];
  host.write('/srv/agent.sh', `exec ${command.map((word) => `'${word}'`).join(' ')}\n`);
  const unit = readFileSync(new URL(`../../../systemd/${SERVICE}`, import.meta.url), 'utf8')
    .replace(/^ExecStart=.*$/m, 'ExecStart=/bin/sh /srv/agent.sh\nStandardInput=data\nStandardInputText=go')
    .replace(/^(After|Wants|Restart)=.*$/gm, '');
  host.write(`/etc/systemd/system/${SERVICE}`, unit);
  await host.run('systemctl', 'daemon-reload');
};

const WAYS = [['stop'], ['kill', '--kill-who=all', '--signal=KILL']] as const;

// A machine that does much else is slow at all of it.
const PATIENT = { timeout: 90_000 };

describe.skipIf(missing !== '')(`a format under systemd${missing === '' ? '' : ` (skipped: ${missing})`}`, PATIENT, () => {
  test('goes on when the agent’s service is stopped, and when all of it is killed', () =>
    withLab(async (lab) => {
      const drives = [await lab.drive({ name: 'one' }), await lab.drive({ name: 'two' })];
      const host = await bootHost(drives.map(({ device }) => `--bind=${device}`));
      lab.undo(() => host.close());
      for (const [index, drive] of drives.entries()) {
        const order = orderFor(drive);
        const stops = stopsAt(join(host.root, `/srv/stops${index}`), `/srv/stops${index}`);
        stops.stopAt('wiping');
        await furnish(host, order, stops);
        const scope = `felhom-format-${order.jobId}.scope`;
        const state = (): FormatState => JSON.parse(readFileSync(join(host.root, STATE, `formats/${order.jobId}.json`), 'utf8'));
        const isActive = async (unit: string): Promise<string> => (await host.try('systemctl', 'is-active', unit)).stdout.trim();

        await host.run('systemctl', 'start', SERVICE);
        await stops.reached('wiping');
        await host.run('systemctl', ...(WAYS[index] ?? []), SERVICE);
        await until(async () => !/^(active|deactivating)/.test(await isActive(SERVICE)));
        expect(await isActive(scope)).toBe('active');
        expect(state()).toMatchObject({ phase: 'wiping', outcome: null });
        expect((await outcome('flock', '-n', drive.device, 'true')).exit).toBe(1);
        stops.goOn('wiping');

        // In a container nobody makes device nodes.
        await until(async () => (await deviceOf(drive)).partitions.length > 0);
        const [{ name = '', numbers = '' } = {}] = (await deviceOf(drive)).partitions;
        await host.run('mknod', `/dev/${name}`, 'b', ...numbers.split(':'));
        await until(() => state().outcome !== null);
        expect(state().outcome).toEqual({ ok: true, uuid: expect.any(String), partition: `/dev/${name}` });
        await until(async () => (await isActive(scope)) === 'inactive');
        expect((await outcome('flock', '-n', drive.device, 'true')).exit).toBe(0);
      }
    }));
});
