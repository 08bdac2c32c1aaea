/** Where a guest's file system is mounted: one name below the mount root, and nothing else. Pure. */
import { FelhomError } from '#shared/errors';

const NAME = /^[a-z0-9][a-z0-9_-]{0,31}$/;

/** @returns the name; throws `mount-point-refused` for anything that is not `<mount_root>/<name>` */
export const nameIn = (mountRoot: string, where: string): string => {
  const above = `${mountRoot}/`;
  const name = where.startsWith(above) ? where.slice(above.length) : '';
  if (NAME.test(name)) return name;
  throw new FelhomError(
    'mount-point-refused',
    `A drive is connected at ${above}NAME, where NAME has at most 32 lower-case letters, digits, dashes or underscores and begins with a letter or a digit. Nothing was changed.`,
  );
};
