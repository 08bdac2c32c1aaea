/** A format under systemd and on a drive that is slow: it outlives the agent, and a power cut in the middle of it is told as one. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FormatJob } from '#shared/wire/jobs';
import { figure } from '../figures.ts';
import { until, type VmHost } from '../host.ts';
import { SERIALS, WWNS } from '../vm.ts';

const SPARE = `/dev/disk/by-id/wwn-${WWNS.spare}`;
const STATES = '/var/lib/felhom-agent/formats';
/** Written in a second of this machine's: so that a phase takes long enough to be met in it. Some 40 MB are written before mkfs begins, and 1 MB by it. */
const SLOW_BYTES = 600_000;
/** Of two calls, the first of which only asks, by the machine's own clock. */
const ANSWER_MS = 12_000;

export const formatCases = (host: () => VmHost): void => {
  describe('a format', () => {
    const name = async (): Promise<string> => (await host().drive(SERIALS.spare)).name;
    const ask = async (body: object = {}) => host().post('/disks/format', { device: await name(), fstype: 'ext4', ...body });
    const job = async (id: string): Promise<FormatJob> => (await host().get(`/jobs/${id}`)).json.data;
    const ended = (id: string) =>
      until(
        () => job(id),
        ({ state }) => state !== 'running',
      );
    const problems = async (): Promise<string[]> =>
      (await host().get('/problems')).json.data.problems.map(({ code }: { code: string }) => code);
    const uuid = () => host().vm.out(`blkid -p -s UUID -o value ${SPARE}-part1`);
    const programs = () => host().vm.out("pgrep -c 'mkfs|mke2fs' || true");

    /** Asks, and confirms where it is asked to. @returns the answer to what made it begin */
    const begin = async () => {
      // The same words again would join what was done already.
      const first = await ask({ durable_id: 'anew' });
      if (first.status !== 403) return first;
      expect(first.json.data, first.json.error).toMatchObject({ formatted: false, needs_confirmation: true });
      return ask({ confirmed: true, durable_id: first.json.data.durable_id });
    };

    /** It stays there: the drive stands still from then on. */
    const reached = async (id: string, phase: string): Promise<void> => {
      await host().vm.waitFor(`grep -q '"phase":"${phase}"' ${STATES}/${id}.json`);
      await host().vm.throttle('spare', 1, 'writes');
    };

    /** On a slow drive, until it is in a phase. */
    const beginSlowly = async (phase: string): Promise<string> => {
      const { vm } = host();
      await vm.throttle('spare', SLOW_BYTES, 'writes');
      const began = await vm.clock();
      const { status, json } = await begin();
      const ms = (await vm.clock()) - began;
      figure('a format of a slow drive is answered', ms);
      expect([status, json.ok, json.data.formatted]).toEqual([202, true, false]);
      expect(ms).toBeLessThan(ANSWER_MS);
      await reached(json.data.job_id, phase);
      return json.data.job_id;
    };

    beforeAll(async () => {
      await host().vm.out('sync');
    });
    afterAll(() => host().vm.throttle('spare', 0));

    test('one partition, one file system, found by udev under its UUID; mkfs ran in a scope of its own', async () => {
      const { vm } = host();
      const { json } = await begin();
      const done = await ended(json.data.job_id);
      expect(done).toMatchObject({ state: 'done', error: '' });
      expect(done.durable_id).toBe(`uuid:${await uuid()}`);
      await vm.waitFor(`test "$(readlink -f /dev/disk/by-uuid/${await uuid()})" = "$(readlink -f ${SPARE}-part1)"`);
      expect(await vm.out(`journalctl --no-pager -o cat -u 'felhom-format-*' | wc -l`)).not.toBe('0');
    });

    test('of a slow drive it is answered in time with 202; it outlives the agent, which tells its end', async () => {
      const { vm } = host();
      const before = await uuid();
      const id = await beginSlowly('making');
      await vm.out('systemctl kill --signal=KILL felhom-agent; systemctl restart felhom-agent');
      await host().ready();
      await vm.throttle('spare', 0);
      expect(await ended(id)).toMatchObject({ state: 'done', error: '' });
      expect(await uuid()).not.toBe(before);
    });

    test.each(['wiping', 'making'])('power cut while it is %s: interrupted, and nothing goes on by itself', async (phase) => {
      const { vm } = host();
      const id = await beginSlowly(phase);
      await vm.powerCut();
      await vm.throttle('spare', 0);
      await host().again();
      expect(await ended(id)).toMatchObject({ state: 'interrupted', error: expect.stringMatching(/./), durable_id: '' });
      expect((await host().drive(SERIALS.spare)).role).toBe('user-data');
      await until(problems, (codes) => codes.includes('format-interrupted'));
      const content = await vm.out(`sha256sum < ${SPARE}`);
      await vm.out('sleep 20');
      expect([await programs(), await vm.out(`sha256sum < ${SPARE}`)]).toEqual(['0', content]);
    });

    test('asked for again it is formatted, and the problem is over', async () => {
      const { json } = await begin();
      expect(await ended(json.data.job_id)).toMatchObject({ state: 'done', error: '' });
      await until(problems, (codes) => !codes.includes('format-interrupted'));
    });
  });
};
