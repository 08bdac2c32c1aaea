import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nameIn } from '#agent/disks/deeds/mount-point';

test.each(['photos', 'a', '0', 'my-photos_2', 'a'.repeat(32)])('%s is a name', (name) => {
  expect(nameIn('/mnt/felhom', `/mnt/felhom/${name}`)).toBe(name);
});

test.each([
  ...[
    '',
    '/',
    'photos',
    '/mnt/felhom',
    '/mnt/felhom/',
    '/mnt/felhom/.guests',
    '/mnt/felhom/..',
    '/mnt/felhom/.',
    '/mnt/felhom//x',
  ],
  ...['/mnt/felhom/x/', '/mnt/felhom/x/y', '/mnt/felhom/x/../../etc/pve', '/mnt/felhomx/y', '/mnt/felhom/-x', '/mnt/felhom/_x'],
  ...[
    '/mnt/felhom/X',
    '/mnt/felhom/ä',
    '/mnt/felhom/x\n',
    '/mnt/felhom/x\0',
    '/mnt/felhom/%n',
    '/mnt/felhom/x y',
    '/mnt/Felhom/x',
  ],
  `/mnt/felhom/${'a'.repeat(33)}`,
])('%j is refused', (where) => {
  expect(() => nameIn('/mnt/felhom', where)).toThrow(expect.objectContaining({ code: 'mount-point-refused' }));
});

test('whatever is asked for, a name leads one level below the mount root', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('a', 'B', '/', '.', '-', '_', '%', '\n', ' ', '0', '\\') }), (rest) => {
      try {
        return /^[a-z0-9][a-z0-9_-]{0,31}$/.test(nameIn('/mnt/felhom', `/mnt/felhom/${rest}`));
      } catch {
        return true;
      }
    }),
  );
});
