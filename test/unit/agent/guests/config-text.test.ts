/** The sections of a guest's file, whichever Proxmox wrote it. */
import { expect, test } from 'vitest';
import { sectionsOf } from '#agent/guests/config-text';

test('what is in force, pending, kept by snapshots, and what cannot be read', () => {
  const text = `#notes: not a setting
cores: 2
lxc.mount.entry = /srv srv none bind 0 0\r
?

[pve:pending]
cores: 4

[before]
#more notes
cores: 1
[PENDING]
delete: scsi1
[special:fleecing]
`;
  expect(sectionsOf(text)).toEqual([
    {
      name: '',
      settings: [
        ['cores', '2'],
        ['lxc.mount.entry', '/srv srv none bind 0 0'],
      ],
      unreadable: ['?'],
    },
    { name: 'pending changes', settings: [['cores', '4']], unreadable: [] },
    { name: 'snapshot "before"', settings: [['cores', '1']], unreadable: [] },
    { name: 'pending changes', settings: [['delete', 'scsi1']], unreadable: [] },
    { name: 'section "special:fleecing"', settings: [], unreadable: [] },
  ]);
});
