import { expect, test } from 'vitest';
import { linkName, matchOf, specOf } from '#agent/disks/deeds/links';
import { madeDrive } from '../made.ts';

const UUID = '0b5f7c2e-8b1d-4f0e-9f0a-2c1d3e4f5a6b';
const MATCH = { serial: 'S1', wwn: '0x5', sizeBytes: 512 };

test('a link is named for its place, and is another one for any other drive or file system', () => {
  const name = linkName('photos', UUID, MATCH);
  expect(name).toMatch(/^photos\.[0-9a-f]{12}$/);
  expect(linkName('photos', UUID.toUpperCase(), MATCH)).toBe(name);
  const others = [
    linkName('photos', 'abcd-ef01', MATCH),
    linkName('photos', UUID, { ...MATCH, serial: 'S2' }),
    linkName('photos', UUID, { ...MATCH, wwn: '' }),
    linkName('photos', UUID, { ...MATCH, sizeBytes: 1024 }),
  ];
  expect(new Set([name, ...others]).size).toBe(5);
});

test('a drive is matched by what udev says of it, not by what else it is called', () => {
  const drive = madeDrive({ identity: { serial: 'of its controller', wwn: '0x5000c500a1b2c3d40001', sizeBytes: 512 } });
  const properties = {
    ID_SERIAL: '35000c500a1b2c3d4',
    ID_SERIAL_SHORT: '5000c500a1b2c3d4',
    ID_SCSI_SERIAL: 'of its controller',
    ID_WWN: '0x5000c500a1b2c3d4',
  };
  const udev = { known: true as const, value: new Map([['sdb', { properties, links: [] }]]) };
  expect(matchOf(drive, udev)).toEqual({ serial: '35000c500a1b2c3d4', wwn: '0x5000c500a1b2c3d4', sizeBytes: 512 });
  expect(matchOf(drive, { known: false, why: 'no' })).toEqual({ serial: '', wwn: '', sizeBytes: 512 });
});

test('a spec has both places', () => {
  const row = { mountPoint: '/mnt/felhom/photos', vmid: 101, drive: 1, uuid: UUID, fstype: 'ext4' as const, options: 'ro' };
  const spec = specOf(
    { ...row, link: 'photos.1', match: MATCH, state: 'assigned', createdAt: 0 },
    (vmid, name) => `/guests/${vmid}/${name}`,
  );
  expect(spec).toEqual({
    ...{ mountPoint: '/mnt/felhom/photos', guestPoint: '/guests/101/photos', link: 'photos.1', uuid: UUID },
    ...{ fstype: 'ext4', options: 'ro', match: MATCH },
  });
});
