/** /proc/self/mountinfo, proc_pid_mountinfo(5). Pure. */

export interface Mount {
  /** Of the mount, as fdinfo(5) names it. */
  id: string;
  /** `8:1`; a btrfs, ZFS or network file system has `0:NN`. */
  numbers: string;
  point: string;
  fstype: string;
  source: string;
  /** Of the mount and of its file system. */
  options: readonly string[];
}

/** Blanks, tabs, newlines and backslashes are written in octal, as in fstab(5). */
export const decodeOctal = (field: string): string =>
  field.replace(/\\([0-7]{3})/g, (_all, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

const parseLine = (line: string): Mount[] => {
  const [head = '', tail = ''] = line.split(' - ');
  const [id, , numbers, , point, own = ''] = head.split(' ');
  const [fstype, source, shared = ''] = tail.split(' ');
  if (id === undefined || numbers === undefined || point === undefined || fstype === undefined || source === undefined) return [];
  return [
    { id, numbers, point: decodeOctal(point), fstype, source: decodeOctal(source), options: `${own},${shared}`.split(',') },
  ];
};

export const parseMountinfo = (text: string): Mount[] => text.split('\n').flatMap(parseLine);

const holds = (point: string, path: string): boolean => point === '/' || path === point || path.startsWith(`${point}/`);

/** The mount that a path lies on: the deepest, and of several on one point the last, which covers the others. */
export const mountOf = (mounts: readonly Mount[], path: string): Mount | undefined =>
  mounts
    .filter(({ point }) => holds(point, path))
    .reduce<Mount | undefined>((best, one) => (best && best.point.length > one.point.length ? best : one), undefined);
