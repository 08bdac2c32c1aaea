/** The table of file systems that can be made. */
import { expect, test } from 'vitest';
import { MAKERS, whatIsMissing } from '#agent/drive-format/filesystems';

test('what is not installed is named with its package', async () => {
  const without =
    (...names: string[]) =>
    async (program: string) =>
      !names.some((name) => program.endsWith(`/${name}`));
  expect(await whatIsMissing('xfs', without())).toBe('');
  expect(await whatIsMissing('ext4', without('mkfs.xfs'))).toBe('');
  expect(await whatIsMissing('xfs', without('mkfs.xfs'))).toBe('mkfs.xfs is not installed (package xfsprogs).');
  expect(await whatIsMissing('exfat', without('mkfs.exfat', 'sfdisk'))).toBe(
    'mkfs.exfat is not installed (package exfatprogs). sfdisk is not installed (package fdisk).',
  );
});

test.each(Object.entries(MAKERS))('%s is made without any flag that skips a look at what is destroyed', (_fstype, { args }) => {
  for (const arg of args({ uid: 1, gid: 2 })) expect(arg).not.toMatch(/^(-[a-zA-Z]*[fF]|--force)/);
});
