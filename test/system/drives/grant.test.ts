/** Signatures of the operator through the whole agent on real drives: asked for over TLS, carried by the guest or by root. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { makeOperator } from '../../unit/agent/ops/operator.ts';
import { type Scene, withFormats } from './format-agent.ts';
import { shownOn } from './formatting.ts';
import { type Lab, type LabDrive, labMissing, outcome, run } from './lab.ts';

// Real devices and programs: on a busy machine a test may take long.
vi.setConfig({ testTimeout: 120_000 });

/** One that backups were written to. */
const backupDrive = async (lab: Lab, name: string, serial: string): Promise<LabDrive> => {
  const drive = await lab.drive({ name, serial });
  await lab.mkfs(drive.device, 'ext4', { label: name });
  const point = join(lab.dir, `mnt-${name}`);
  await run('mkdir', '-p', point);
  await lab.mount(drive.device, point);
  await run('mkdir', '-p', join(point, 'dump'));
  await run('touch', join(point, 'dump/vzdump-lxc-101-2026_01_01-00_00_00.tar.zst'));
  await lab.umount(point);
  return drive;
};

const hash = async ({ device }: LabDrive): Promise<string> => (await outcome('sha256sum', device)).stdout.split(' ')[0] ?? '';

const keysFile = ({ lab }: Scene): string => join(lab.dir, 'host/agent/opsign.keys');

describe.skipIf(labMissing !== '')(`grant${labMissing && ` (skipped: ${labMissing})`}`, () => {
  test('a backup drive is erased after a signature, once, whoever carries it', () =>
    withFormats(
      async (lab) => ({ old: await backupDrive(lab, 'old', 'O1'), other: await backupDrive(lab, 'other', 'O2') }),
      async (scene, { old, other }) => {
        const { agent, format } = scene;
        const operator = await makeOperator();
        const before = await hash(other);
        const asked = await format(old);
        expect(asked).toMatchObject({
          status: 403,
          json: { code: 'operator-needed', data: { formatted: false, data_bearing: true } },
        });
        const op = asked.json.data.pending_op as unknown as { id: string; host_scope: string; durable_id: string };
        const line = await operator.sign(op.host_scope, op.durable_id);
        const carry = (text = line) => agent.post(`/ops/${op.id}/grant`, { grant: text });

        const byRoot = () => agent.admin('POST', '/ops/grant', { grant: line });

        // No key may sign yet.
        expect((await carry()).json).toMatchObject({ ok: false, code: 'grants-off' });
        writeFileSync(keysFile(scene), operator.line());
        expect((await carry(`${line.slice(0, -12)}AAAAAAAAAAAA`)).json).toMatchObject({ ok: false, code: 'grant-refused' });

        // In use: refused, and still good.
        const point = join(scene.lab.dir, 'held');
        await run('mkdir', '-p', point);
        await scene.lab.mount(old.device, point);
        await expect(byRoot()).rejects.toThrow(new RegExp(`mounted at ${point}.*ops prepare ${op.id}.*not used up`));
        await scene.lab.umount(point);

        // Of two carriers at once one executes, and the other hears of the same job, or that it was used by it.
        const heard = byRoot().then(
          ({ job_id }) => job_id,
          ({ message }: Error) => message,
        );
        const [guest, root] = await Promise.all([carry(), heard]);
        const done = { type: 'format', permitted_by: 'granted', op_id: op.id, state: 'done' };
        expect(guest.json).toMatchObject({ ok: true, data: done });
        expect(root).toContain(guest.json.data.job_id);
        const made = await shownOn(old, [`${old.name}p1`]);
        expect(`uuid:${made.uuid}`).toBe(guest.json.data.durable_id);
        expect((await carry()).json).toMatchObject({
          ok: false,
          code: 'grant-refused',
          error: expect.stringMatching(/used already/),
        });
        expect(await hash(other)).toBe(before);

        // It is the guest's own now, and its operation tells how it went.
        expect(await scene.disk(old)).toMatchObject({ role: 'user-data', owner: 'yours' });
        const { ops } = (await agent.get('/ops')).json.data;
        expect(ops).toMatchObject([{ id: op.id, state: 'granted', job_id: guest.json.data.job_id, sign_command: '' }]);
        expect((await agent.get('/ops', 102)).json.data.ops).toEqual([]);
      },
    ));
});
