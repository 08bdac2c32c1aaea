/**
 * That an archive's label is true: databases under write load in guests with real volumes, backed up by the real programs, the
 * simulator's vzdump taking a real snapshot; then the archive is unpacked elsewhere and each database started on it.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createScope } from '../bench/scope.ts';
import { ENGINE_NAMES, type EngineName, kindOf } from './consistency/kinds.ts';
import { type Node, startNode } from './consistency/node.ts';
import { compare, stoodStillMs } from './consistency/rows.ts';
import { type Played, type PlayedApp, play, rowsOf } from './consistency/scene.ts';
import { createWorkplace, lacksVolumes, makeSubvolume, type Workplace } from './consistency/volume.ts';

const SCENE_MS = 120_000;
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
    node = await startNode(scope, place.dir);
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
  const proves = async (played: Played, engine: EngineName): Promise<void> => {
    const app = appOf(played, engine);
    const found = await rowsOf(scope, engine, { data: join(played.tree, app.data) }, place.dir);
    const { lost, invented, owed } = compare(app.done.written, found, app.owes);
    tell(played, app, `${found.length} rows came back`);
    expect(owed).toBeGreaterThan(20);
    expect({ lost, invented }).toEqual({ lost: [], invented: [] });
  };

  describe('a container, all data on its root file system', () => {
    let played: Played;
    beforeAll(async () => {
      const root = makeSubvolume(first, '101');
      const apps = here(ENGINE_NAMES.map((engine) => ({ engine, data: `/srv/${engine}` })));
      const config = { hostname: 'app', rootfs: ROOTFS(101) };
      played = await play(scope, node, { vmid: 101, type: 'lxc', config, directories: { rootfs: root }, root, apps }, place.dir);
    }, SCENE_MS);

    test('is labelled app', () => {
      expect(played.status, played.said).toMatchObject({ label: 'app', one_instant: true });
    });
    for (const engine of ENGINE_NAMES) {
      test.skipIf(lacking(engine) !== null)(
        `${titled(engine)}: opens, passes its own check, and has what was committed before the cut`,
        { timeout: RESTORE_MS },
        async () => {
          expect(claimOf(played, engine)).toMatchObject({ held: true, covered: true });
          await proves(played, engine);
        },
      );
    }
  });
});
