/** Formats through the whole agent on real drives: asked for over TLS, made by the program that ships. */
import { readdirSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import { withFormats } from './format-agent.ts';
import { shownOn } from './formatting.ts';
import { type LabDrive, labMissing } from './lab.ts';

// Real devices and programs: on a busy machine a test may take long.
vi.setConfig({ testTimeout: 120_000 });

const partitionsOf = ({ name }: LabDrive): string[] =>
  readdirSync(`/sys/block/${name}`).filter((entry) => entry.startsWith(`${name}p`));

describe.skipIf(labMissing !== '')(`format${labMissing && ` (skipped: ${labMissing})`}`, () => {
  test('a blank drive at once; one with data after it was confirmed, once', () =>
    withFormats(
      async (lab) => {
        const photos = await lab.drive({ name: 'photos', model: 'Portable SSD', serial: 'P1' });
        await lab.mkfs(photos.device, 'ext4', { label: 'photos' });
        return { photos, blank: await lab.drive({ name: 'blank', serial: 'B1', mb: 32 }) };
      },
      async ({ format, disk, asked }, { photos, blank }) => {
        const first = await format(blank);
        expect(first).toMatchObject({ status: 200, json: { ok: true, data: { formatted: true, data_bearing: false } } });
        const made = await shownOn(blank, partitionsOf(blank));
        expect([made.fstype, `uuid:${made.uuid}`]).toEqual(['ext4', first.json.data.durable_id]);
        expect(await disk(blank)).toMatchObject({
          owner: 'yours',
          role: 'user-data',
          durable_id: first.json.data.durable_id,
          not_assignable: '',
        });

        const refused = await format(photos);
        expect(refused).toMatchObject({
          status: 403,
          json: { data: { formatted: false, data_bearing: true, needs_confirmation: true } },
        });
        const id = refused.json.data.durable_id;
        const done = await format(photos, { confirmed: true, durable_id: id });
        expect(done).toMatchObject({ status: 200, json: { data: { formatted: true } } });
        // The same again is the same; with another name for it nothing is confirmed.
        expect((await format(photos, { confirmed: true, durable_id: id })).json.data.job_id).toBe(done.json.data.job_id);
        expect(await format(photos, { confirmed: true, durable_id: `${await asked(photos)}x` })).toMatchObject({ status: 403 });
      },
    ));
});
