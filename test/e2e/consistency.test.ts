/**
 * That an archive's label is true: databases under write load in guests with real volumes, backed up by the real programs, the
 * simulator's vzdump taking a real snapshot; then the archive is unpacked elsewhere and each database started on it.
 */
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createScope } from '../bench/scope.ts';
import { ENGINE_NAMES, type EngineName, kindOf } from './consistency/kinds.ts';
import { type Node, startNode } from './consistency/node.ts';
import { compare, stoodStillMs } from './consistency/rows.ts';
import { type Played, type PlayedApp, play, rowsOf, type Scene } from './consistency/scene.ts';
import { createWorkplace, lacksVolumes, makeSubvolume, type Workplace } from './consistency/volume.ts';

const SCENE_MS = 180_000;
const RESTORE_MS = 60_000;
const ROOTFS = (vmid: number) => `local-btrfs:${vmid}/vm-${vmid}-disk-0.subvol,size=8G`;
const VOLUME = (vmid: number, at: string) => `local-btrfs:${vmid}/vm-${vmid}-disk-1.subvol,mp=${at},backup=1,size=8G`;

const able = lacksVolumes() === null;
const lacking = (name: EngineName): string | null => (able ? kindOf(name).lacks() : null);
const here = <T extends { engine: EngineName }>(apps: readonly T[]): T[] => apps.filter(({ engine }) => lacking(engine) === null);
const titled = (name: EngineName): string => (lacking(name) === null ? name : `${name} (skipped: ${lacking(name)})`);

describe.skipIf(!able)('on btrfs volumes (skipped without root, btrfs-progs or loop devices)', () => {
  const scope = createScope();
  let place: Workplace;
  let node: Node;
  let [first, second] = ['', ''];

  beforeAll(async () => {
    place = createWorkplace();
    [first, second] = [place.volume('first'), place.volume('second')];
    node = await startNode(scope, { dir: place.dir, volumes: [first, second] });
  }, SCENE_MS);
  afterAll(async () => {
    await scope.dispose();
    await place.close();
  }, SCENE_MS);

  /** What the guest said of one application, and what came of its rows. */
  const appOf = ({ apps }: Played, engine: EngineName): PlayedApp => {
    const found = apps.find((app) => app.engine === engine);
    if (found === undefined) throw new Error(`${engine} was not there`);
    return found;
  };
  const claimOf = ({ status }: Played, engine: EngineName) => status.apps?.find(({ app }) => app === engine);
  const tell = (played: Played, { engine, done, owes }: PlayedApp, more: string): void => {
    const still = Math.round(stoodStillMs(done.written, played.cut));
    const claim = claimOf(played, engine);
    process.stdout.write(
      `consistency: guest ${played.status.vmid} ${engine}: ${compare(done.written, [], owes).owed} rows owed, held ${claim?.held_ms} ms, ` +
        `${still} ms without a row around the cut, label ${played.status.label}; ${more}\n`,
    );
  };
  /** Restores it, and finds what was committed, nothing else. */
  const proves = async (played: Played, engine: EngineName, data?: string): Promise<void> => {
    const app = appOf(played, engine);
    const found = await rowsOf(scope, engine, { data: data ?? join(played.tree, app.data) }, place.dir);
    const { lost, invented, owed } = compare(app.done.written, found, app.owes);
    tell(played, app, `${found.length} rows came back`);
    expect(owed).toBeGreaterThan(20);
    expect({ lost, invented }).toEqual({ lost: [], invented: [] });
  };

  /** Nothing was confirmed while the data was being fixed. */
  const stoodStill = (played: Played, engine: EngineName): void => {
    const { fromMs, toMs } = played.cut;
    const { written } = appOf(played, engine).done;
    expect(claimOf(played, engine)?.held_ms).toBeGreaterThan(0);
    expect(written.filter(({ ackedAt }) => ackedAt !== null && ackedAt > fromMs && ackedAt < toMs)).toEqual([]);
    expect(written.at(-1)?.ackedAt, 'it works again').toBeGreaterThan(toMs);
  };
  const backUp = (scene: Scene): Promise<Played> => play(scope, node, scene, place.dir);

  describe('a container, all data on its root file system', () => {
    let played: Played;
    beforeAll(async () => {
      const root = makeSubvolume(first, '101');
      const apps = here(ENGINE_NAMES.map((engine) => ({ engine, data: `/srv/${engine}` })));
      const config = { hostname: 'all', rootfs: ROOTFS(101) };
      played = await backUp({ vmid: 101, type: 'lxc', config, directories: { rootfs: root }, root, apps });
    }, SCENE_MS);

    test('its archive is labelled app', () => {
      expect(played.status, played.said).toMatchObject({ label: 'app', one_instant: true });
      expect(played.snapshots).toHaveLength(1);
    });
    for (const engine of ENGINE_NAMES) {
      test.skipIf(lacking(engine) !== null)(
        `${titled(engine)}: opens, passes its own check, and has what was committed before the cut`,
        { timeout: RESTORE_MS },
        async () => {
          expect(claimOf(played, engine), played.said).toMatchObject({ held: true, covered: true });
          await proves(played, engine);
        },
      );
    }
    test.each(here([{ engine: 'mariadb-myisam' as const }, { engine: 'redis-aof' as const }]))(
      '$engine was held for it, and works again',
      ({ engine }) => stoodStill(played, engine),
    );
    test.each(here([{ engine: 'postgres' as const }, { engine: 'mariadb' as const }, { engine: 'sqlite' as const }]))(
      '$engine was not held, for it would not be better for it',
      ({ engine }) => expect(claimOf(played, engine)).toMatchObject({ held: true, held_ms: 0 }),
    );
  });

  describe('a container with its data on a volume of its own, and applications that are always held', () => {
    const HELD = ['mariadb', 'redis-rdb', 'sqlite'] as const;
    let played: Played;
    beforeAll(async () => {
      const [root, data] = [makeSubvolume(first, '102'), makeSubvolume(first, '102-data')];
      const apps = here(HELD.map((engine) => ({ engine, data: `/srv/data/${engine}`, hold: 'always' as const })));
      const config = { hostname: 'volume', rootfs: ROOTFS(102), mp0: VOLUME(102, '/srv/data') };
      const volumes = [{ directory: data, at: '/srv/data' }];
      played = await backUp({
        ...{ vmid: 102, type: 'lxc', config, directories: { rootfs: root, mp0: data }, root, volumes, apps },
      });
    }, SCENE_MS);

    test('its archive is labelled app', () => {
      expect(played.status, played.said).toMatchObject({ label: 'app', one_instant: true });
      expect(played.snapshots).toHaveLength(2);
    });
    for (const engine of HELD) {
      test.skipIf(lacking(engine) !== null)(
        `${titled(engine)}: stands still for the cut, and comes back whole`,
        { timeout: RESTORE_MS },
        async () => {
          expect(claimOf(played, engine), played.said).toMatchObject({ held: true, covered: true });
          stoodStill(played, engine);
          await proves(played, engine);
        },
      );
    }
  });

  describe("a container with an application on the host's own directory", () => {
    let played: Played;
    beforeAll(async () => {
      const root = makeSubvolume(first, '103');
      const usb = join(place.dir, 'usb');
      mkdirSync(usb);
      const apps = here([
        { engine: 'sqlite' as const, data: '/srv/usb/sqlite' },
        { engine: 'redis-aof' as const, data: '/srv/redis-aof' },
      ]);
      const config = { hostname: 'bind', rootfs: ROOTFS(103), mp0: `${usb},mp=/srv/usb` };
      const volumes = [{ directory: usb, at: '/srv/usb' }];
      played = await backUp({ ...{ vmid: 103, type: 'lxc', config, directories: { rootfs: root }, root, volumes, apps } });
    }, SCENE_MS);

    test('is not in the archive, and so the archive is not app', () => {
      expect(played.status, played.said).toMatchObject({ label: 'filesystem', one_instant: true });
      expect(claimOf(played, 'sqlite'), played.said).toMatchObject({ covered: false });
      expect(readdirSync(join(played.tree, 'srv/usb'))).toEqual([]);
    });
    test.skipIf(lacking('redis-aof') !== null)(
      `${titled('redis-aof')}: the other one in it comes back all the same`,
      { timeout: RESTORE_MS },
      async () => {
        expect(claimOf(played, 'redis-aof'), played.said).toMatchObject({ held: true, covered: true });
        await proves(played, 'redis-aof');
      },
    );
  });

  describe.skipIf(lacking('mariadb-myisam') !== null)(`${titled('mariadb-myisam')}: never held`, () => {
    let played: Played;
    beforeAll(async () => {
      const root = makeSubvolume(first, '104');
      const apps = [{ engine: 'mariadb-myisam' as const, data: '/srv/mariadb-myisam', hold: 'never' as const }];
      const config = { hostname: 'never', rootfs: ROOTFS(104) };
      played = await backUp({ vmid: 104, type: 'lxc', config, directories: { rootfs: root }, root, apps });
    }, SCENE_MS);

    test('its archive is not app, and indeed its tables are broken', { timeout: RESTORE_MS }, async () => {
      expect(played.status, played.said).toMatchObject({ label: 'filesystem', one_instant: true });
      expect(claimOf(played, 'mariadb-myisam'), played.said).toMatchObject({ held: false, held_ms: 0, covered: true });
      await expect(proves(played, 'mariadb-myisam')).rejects.toThrow(/rows_plain/);
    });
  });

  describe('a virtual machine with two disks that are fixed one after the other', () => {
    const APPS = here([
      { engine: 'postgres' as const, data: '/srv/data/postgres', log: '/srv/wal' },
      { engine: 'redis-aof' as const, data: '/srv/data/redis-aof' },
    ]);
    const GAP_MS = 1500;
    let played: Played;
    beforeAll(async () => {
      const [root, data] = [makeSubvolume(first, '105'), makeSubvolume(second, '105-data')];
      const config = {
        name: 'disks',
        scsi0: 'local-btrfs:105/vm-105-disk-0.raw,size=8G',
        scsi1: 'local-btrfs:105/vm-105-disk-1.raw,size=8G',
      };
      const volumes = [{ directory: data, at: '/srv/data' }];
      const directories = { scsi0: root, scsi1: data };
      node.faults.cutGapMs = GAP_MS;
      played = await backUp({ vmid: 105, type: 'qemu', config, directories, root, volumes, apps: APPS });
    }, SCENE_MS);
    afterAll(() => {
      node.faults.cutGapMs = undefined;
    });
    /** Below a disk's own directory. */
    const on = (disk: 'scsi0' | 'scsi1', path: string): string => join(played.tree, disk, path);

    test('its archive is not app', () => {
      expect(played.status, played.said).toMatchObject({ label: 'crash', one_instant: false });
      expect(played.snapshots).toHaveLength(2);
    });
    test.skipIf(lacking('postgres') !== null)(
      `${titled('postgres')}: nothing helps it, and indeed it does not come up`,
      { timeout: RESTORE_MS },
      async () => {
        expect(claimOf(played, 'postgres'), played.said).toMatchObject({ held: false, held_ms: 0 });
        const dirs = { data: on('scsi1', 'postgres'), log: on('scsi0', 'srv/wal') };
        await expect(rowsOf(scope, 'postgres', dirs, place.dir)).rejects.toThrow(/checkpoint record/);
      },
    );
    test.skipIf(lacking('redis-aof') !== null)(
      `${titled('redis-aof')}: held until the last disk is fixed, it comes back whole`,
      { timeout: RESTORE_MS },
      async () => {
        expect(claimOf(played, 'redis-aof'), played.said).toMatchObject({ held: true });
        expect(claimOf(played, 'redis-aof')?.held_ms).toBeGreaterThan(GAP_MS);
        stoodStill(played, 'redis-aof');
        await proves(played, 'redis-aof', on('scsi1', 'redis-aof'));
      },
    );
  });
});
